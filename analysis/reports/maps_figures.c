/* The report's figures: cells are grey or pale by winner and carry its letter; boundaries are marks, their intervals
 * hatched. */
#include "figure.h"
#include "maps.h"

#define AXES                                                                                                           \
    "set logscale xy\nset xrange [0.033:2100]\nset yrange [37:38000]\nunset grid\nunset key\n"                         \
    "set format x '%g'\nset format y '%g'\nset border 15\n"

/* A half step of the axes: cells of a factor of two, or of eight. */
#define STEP "stats 'cells.csv' skip 1 using 5 nooutput\nfew = STATS_records < 200\nh = few ? sqrt(8.) : sqrt(2.)\n"

/* Cells of one map: users in column 1, what is to be least in 2; memory in 4, links in 6; the winner in 8, what binds
 * in 13. */
#define CELLS(users, least)                                                                                            \
    "'cells.csv' skip 1 using (mine(" users ",'" least "') ? $6 : NaN):4:($6/h):($6*h):($4/h):($4*h):(pale($8)) \\\n"  \
    "  with boxxyerror lc rgb variable fs solid 1.0 border lc rgb '#bbbbbb', \\\n"                                     \
    "'cells.csv' skip 1 using (mine(" users ",'" least                                                                 \
    "') ? $6 : NaN):($4*1.15):(letter($8)) with labels font ',11', \\\n"

/* Boundaries: links in 8, low in 9, high in 10, memory in 3; the number of `to` in 6. */
#define LINES(users, least)                                                                                            \
    "for [i=0:3] 'boundaries.csv' skip 1 using (mine(" users ",'" least "') && $6 == i && strlen(strcol(9)) ? $8 : "   \
    "NaN):3:(number(9, NaN)):(number(10, 2100)):($3/h):($3*h) \\\n  with boxxyerror lc rgb 'black' fs transparent "    \
    "pattern 4 border lc rgb 'black', "                                                                                \
    "\\\n"                                                                                                             \
    "for [i=0:3] 'boundaries.csv' skip 1 using (mine(" users ",'" least                                                \
    "') && $6 == i ? $8 : NaN):($3/1.15) with points lc "                                                              \
    "rgb 'black' pt 4+2*((i+3)%4) ps 0.7 lw 1.5, \\\n"                                                                 \
    "'cells.csv' skip 1 using (mine(" users ",'" least "') && $3 == 1 && $5 == 1 ? $6 : NaN):4 with points lc rgb "    \
    "'black' pt 2 ps 1.6 lw 2\n"

#define MAP(title, users, least) "set title '" title "'\nplot \\\n" CELLS(users, least) LINES(users, least)

#define MAPS(least, unit)                                                                                              \
    FIGURE_STYLE STEP AXES                                                                                             \
        "mine(u, w) = $1 == u && strcol(2) eq w\nnumber(k, none) = strlen(strcol(k)) ? real(strcol(k)) : none\n"       \
        "letter(f) = substr('PhHT', f+1, f+1)\n"                                                                       \
        "pale(f) = f == 0 ? 0xffffff : f == 1 ? 0xe9e3c9 : f == 2 ? 0xb9d3e6 : 0x9aa7b5\n"                             \
        "set multiplot layout 1,2 title 'Least " unit ": llama3-8b on 8 cards (P pp8, h tp2xpp4, H tp4xpp2, T tp8)'\n" \
        "set xlabel 'bandwidth of links, GB/s'\nset ylabel 'bandwidth of memory, GB/s'\n" MAP(                         \
            "1 user", "1", least) "unset ylabel\n" MAP("8 users", "8", least) "unset multiplot\n"

/* Shares of each strategy: users in 1, strategy in 2, memory in 3, links in 4, the number of what binds in 6. */
#define REGIME(strategy, users)                                                                                        \
    "set title '" strategy "'\nplot \\\n"                                                                              \
    "'regimes.csv' skip 1 using (mine(" users ",'" strategy "') ? $4 : "                                               \
    "NaN):3:($4/h):($4*h):($3/h):($3*h):(pale($6)) \\\n"                                                               \
    "  with boxxyerror lc rgb variable fs solid 1.0 border lc rgb '#bbbbbb', \\\n"                                     \
    "'regimes.csv' skip 1 using (mine(" users ",'" strategy "') ? $4 : NaN):3:(letter($6)) with labels font ',9'\n"

#define REGIMES(users, text)                                                                                           \
    FIGURE_STYLE STEP AXES                                                                                             \
        "mine(u, s) = $1 == u && strcol(2) eq s\nletter(f) = substr('mcblo', f+1, f+1)\n"                              \
        "pale(f) = f == 0 ? 0xffffff : f == 1 ? 0xe6a0a0 : f == 2 ? 0xb9d3e6 : f == 3 ? 0xe9e3c9 : 0x9aa7b5\n"         \
        "set multiplot layout 2,2 title 'What binds each strategy, " text                                              \
        " (m memory, c compute, b link bandwidth, l link latency)'\n"                                                  \
        "set xlabel 'bandwidth of links, GB/s'\nset ylabel 'memory, GB/s'\n" REGIME("pp8", users)                      \
            REGIME("tp2xpp4", users) REGIME("tp4xpp2", users) REGIME("tp8", users) "unset multiplot\n"

/* Of floors.csv, a device in column 1, cards in 2, users in 3, latency in 6, kind in 13. */
#define CURVE(more, dash, mark)                                                                                        \
    ", for [i=1:3] 'floors.csv' skip 1 using (strcol(1) eq word(names, i)." more " ? $2 : NaN):6 with linespoints "    \
    "lc rgb color(i) pt " mark "+2*i dt " dash " lw 1.5 title word(names, i)." more
#define POINT(which, mark, title)                                                                                      \
    ", 'floors.csv' skip 1 using (" which " ? $2 : NaN):6 with points lc rgb 'black' pt " mark                         \
    " ps 1.6 lw 1.5 title '" title "'"
#define FLOORS                                                                                                         \
    "plot NaN notitle" CURVE("''", "1", "5") CURVE("' +1us/step'", "2", "4")                                           \
        POINT("strcol(1) eq 'northpole-16' && $3 == 1", "2", "NorthPole as described, 1 user")                         \
            POINT("strcol(1) eq 'northpole-16' && $3 > 1 && strcol(13) eq 'simulated'", "3",                           \
                  "NorthPole as described, 28 users")                                                                  \
                POINT("strcol(13) eq 'published'", "7", "NorthPole as published, 28 users") "\n"

const struct report_figure maps_figures[] = {
    {"maps_latency", MAPS("latency", "time a token"),
     "The strategy that takes least time a token in each cell of memory bandwidth by link bandwidth, for one user and "
     "for "
     "eight: letters and shades. Marks: link bandwidths at which two strategies take equally long; hatched: the middle "
     "95 % "
     "over draws of the cluster's other numbers, in every second row (to the edge where some draws have none). Cross: "
     "as described. Simulated, n = 1."},
    {"maps_energy", MAPS("energy", "energy a token"),
     "The same for energy a token, cards alone (modelled on simulated times, n = 1)."},
    {"maps_regimes1", REGIMES("1", "1 user"),
     "The greatest share of the critical path of each strategy, for one user, by memory and link bandwidth (simulated, "
     "n = "
     "1)."},
    {"maps_regimes8", REGIMES("8", "8 users"), "The same for eight users (simulated, n = 1)."},
    {"maps_floors",
     FIGURE_STYLE "set title 'Least latency by number of cards: granite-3b'\n"
                  "set logscale xy\nset xrange [0.8:80]\nset xtics (1, 2, 4, 8, 16, 32, 64)\nset xlabel 'cards'\n"
                  "set ylabel 'latency, ms a token and user'\nnames = 'l4 a100-sxm h100-sxm'\n" FLOORS,
     "Least latency of one user over all tensor x pipeline splits of so many cards, as described (full lines: bounds) "
     "and "
     "with 1 us more for each step (dashed) (simulated, n = 1), beside NorthPole's 16 cards as described and as "
     "published."},
    {0}};
