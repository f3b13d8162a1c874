/* The report's figures. */
#include "figure.h"
#include "memory_wall.h"

/* Points of a series and their fit, in logarithms. */
#define FIT(name, as)                                                                                                  \
    "stats 'points.csv' skip 1 using (strcol(1) eq '" name "' ? $2 - 2003 : NaN):(log($3)) name '" as "' nooutput\n"
#define CURVE(name, title, as, i)                                                                                      \
    "  'points.csv' skip 1 using (strcol(1) eq '" name "' ? $2 : NaN):3 with points lc rgb color(" i ") pt 2*" i       \
    " title '" title "', \\\n"                                                                                         \
    "  exp(" as "_intercept + " as "_slope*(x - 2003)) with lines lc rgb color(" i ") dt " i " lw 1.5 notitle"

/* One column of intensity.csv or latency.csv for each model. */
#define MODELS_OF(file, column, kind, dash)                                                                            \
    "  for [i=1:3] '" file "' skip 1 using (strcol(1) eq word(models, i) ? $2 : NaN):" column                          \
    " with linespoints lc rgb color(i) pt 2*i+" dash " dt " dash " lw 1.5 title word(models, i).', " kind "'"

#define BY_TOKENS                                                                                                      \
    "models = 'bert-base bert-large gpt2'\nset xlabel 'tokens'\nset logscale xy\n"                                     \
    "set xtics (128, 256, 512, 1024, 2048, 4096)\n"

#define SHARE(column, title, i)                                                                                        \
    "  'years.csv' skip 1 using (strcol(1) eq scenario && $2 == users ? $3 : NaN):" column                             \
    " with linespoints lc rgb color(" i ") pt 2*" i " dt " i " lw 1.5 title '" title "'"

#define SHARES(users, title)                                                                                           \
    FIGURE_STYLE "set title '" title "'\nset xlabel 'year (2022: estimated; later: extrapolated)'\n"                   \
                 "set ylabel 'part of the critical path, %'\nset yrange [0:100]\n"                                     \
                 "scenario = \"links at a device's rate\"\nusers = " users                                             \
                 "\nplot \\\n" SHARE("7", "memory", "1") ", \\\n" SHARE("8", "compute", "2") ", \\\n" SHARE(           \
                     "9", "link bandwidth", "3") ", \\\n" SHARE("10", "link latency", "4") "\n"

const struct report_figure wall_figures[] = {
    {"wall_growth",
     FIGURE_STYLE
     "set title 'Growth: points as published, and their fits'\nset xlabel 'year'\n"
     "set ylabel 'times the first of the series'\nset logscale y\nset format y '10^{%T}'\n" FIT("peak", "peak") FIT(
         "dram", "dram") FIT("link", "lane")
         FIT("link-device", "device") "set xrange [1996:2024]\nset yrange [0.3:1e7]\nplot \\\n" CURVE(
             "peak", "peak FLOP/s", "peak",
             "1") ", \\\n" CURVE("dram", "DRAM bandwidth", "dram",
                                 "2") ", \\\n" CURVE("link", "link, a lane", "lane",
                                                     "3") ", \\\n" CURVE("link-device", "link, a device and direction",
                                                                         "device", "4") "\n",
     "Published points of each series over the first of it, and the exponential fitted to them (least squares of "
     "logarithms; the table has intervals)."},
    {"wall_intensity",
     FIGURE_STYLE "set title 'Arithmetic intensity, 8-bit operands (exact counts)'\n"
                  "set ylabel 'operations a byte'\n" BY_TOKENS
                  "plot \\\n" MODELS_OF("intensity.csv", "9", "published",
                                        "1") ", \\\n" MODELS_OF("intensity.csv", "11", "plan", "2") "\n",
     "Operations a byte of one text by its length: as published (8-bit operands) and as the program's own plan counts "
     "them (exact). An encoder's pass uses its weights for all tokens, a generated token reads them anew."},
    {"wall_latency",
     FIGURE_STYLE "set title 'Latency of one text, over bert-base at 128 tokens'\nset ylabel 'times'\n" BY_TOKENS
                  "plot \\\n" MODELS_OF("latency.csv", "3", "published",
                                        "1") ", \\\n" MODELS_OF("latency.csv", "4", "measured here", "2") "\n",
     "Latency of one text over that of bert-base at 128 tokens: as published and, where it was asked for, measured on "
     "this machine (medians; the table has n and intervals)."},
    {"wall_years", SHARES("1", "llama3-70b on eight H100 of later years, tp8, 1 user: what binds (estimated)"),
     "Parts of the critical path of a token if cards and links go on to grow as fitted: one user (estimated, n = 1; "
     "after 2022 extrapolated, the table has intervals)."},
    {"wall_years64", SHARES("64", "llama3-70b on eight H100 of later years, tp8, 64 users: what binds (estimated)"),
     "The same for 64 users (estimated, n = 1; after 2022 extrapolated)."},
    {0}};
