/* The report's figures. Curves differ in colour, mark and dashes. */
#include "figure.h"
#include "scaling.h"

/* Rows of a table whose first three columns are these, column y against column x. */
#define OF(file, a, b, c, x, y, i, title)                                                                              \
    "  '" file "' skip 1 using (strcol(1) eq '" a "' && strcol(2) eq '" b "' && strcol(3) eq '" c "' ? $" x ":NaN):" y \
    " with linespoints lc rgb color(" i ") pt " i " dt " i " lw 1.5 title '" title "'"

#define CARDS "set xlabel 'cards'\nset logscale x 2\nset xrange [1:64]\n"

#define LOAD(machine, i)                                                                                               \
    "  'load.csv' skip 1 using (strcol(1) eq '" machine "' ? $2:NaN):9 with linespoints lc rgb color(" i ") pt " i     \
    " dt " i " lw 1.5 title '" machine "'"

#define ENERGY(machine, times, i, title)                                                                               \
    "  'even_curves.csv' skip 1 using (strcol(1) eq '" machine "' && strcol(2) eq '" times                             \
    "' ? $3:NaN):4 with linespoints lc rgb color(" i ") pt " i " dt " i " lw 1.5 title '" title "'"

const struct report_figure scaling_figures[] = {
    {"scaling_strong",
     FIGURE_STYLE CARDS
     "set title 'One user on more cards, tensor parallelism (simulated)'\nset ylabel 'times the speed of the fewest "
     "cards'\nset logscale y 2\nset yrange [0.25:64]\nplot \\\n"
     "  x with lines lc rgb 'black' dt 3 title 'linear', \\\n" OF("strong.csv", "H100 SXM", "llama3-8b", "tp", "4", "6", "1", "H100 SXM, 8B") ", \\\n" OF(
         "strong.csv", "H100 SXM", "llama3-70b",
         "tp", "4", "6", "2",
         "H100 SXM, 70B") ", \\\n" OF("strong.csv", "L4", "llama3-8b", "tp", "4", "6", "3",
                                      "L4, 8B") ", \\\n" OF("strong.csv", "L4", "llama3-70b", "tp", "4", "6", "4",
                                                            "L4, 70B") ", \\\n" OF("strong.csv", "Raspberry Pi 5",
                                                                                   "llama3-8b", "tp", "4", "6",
                                                                                   "5",
                                                                                   "Raspberry Pi 5, 8B") ", \\\n" OF("s"
                                                                                                                     "t"
                                                                                                                     "r"
                                                                                                                     "o"
                                                                                                                     "n"
                                                                                                                     "g"
                                                                                                                     "."
                                                                                                                     "c"
                                                                                                                     "s"
                                                                                                                     "v",
                                                                                                                     "R"
                                                                                                                     "a"
                                                                                                                     "s"
                                                                                                                     "p"
                                                                                                                     "b"
                                                                                                                     "e"
                                                                                                                     "r"
                                                                                                                     "r"
                                                                                                                     "y"
                                                                                                                     " "
                                                                                                                     "P"
                                                                                                                     "i"
                                                                                                                     " "
                                                                                                                     "5",
                                                                                                                     "l"
                                                                                                                     "l"
                                                                                                                     "a"
                                                                                                                     "m"
                                                                                                                     "a"
                                                                                                                     "3"
                                                                                                                     "-"
                                                                                                                     "7"
                                                                                                                     "0"
                                                                                                                     "b",
                                                                                                                     "t"
                                                                                                                     "p",
                                                                                                                     "4",
                                                                                                                     "6",
                                                                                                                     "6",
                                                                                                                     "R"
                                                                                                                     "a"
                                                                                                                     "s"
                                                                                                                     "p"
                                                                                                                     "b"
                                                                                                                     "e"
                                                                                                                     "r"
                                                                                                                     "r"
                                                                                                                     "y"
                                                                                                                     " "
                                                                                                                     "P"
                                                                                                                     "i"
                                                                                                                     " "
                                                                                                                     "5"
                                                                                                                     ","
                                                                                                                     " "
                                                                                                                     "7"
                                                                                                                     "0"
                                                                                                                     "B") "\n",
     "Speed of one user's decoding on more cards over that on the fewest that hold the model (simulated, n = 1); the "
     "dotted line is a speed in proportion to the cards, for a model that one card holds."},
    {"scaling_throughput",
     FIGURE_STYLE CARDS
     "set title '64 users on more cards (simulated)'\nset ylabel 'throughput a card, % of the fewest "
     "cards'\nset yrange [0:110]\nplot \\\n" OF("strong.csv", "H100 SXM", "llama3-70b", "tp", "4", "11", "1", "H100 SXM, 70B, tp") ", \\\n" OF(
         "strong.csv", "H100 SXM", "llama3-70b", "pp", "4", "11",
         "2",
         "H100 SXM, 70B, pp") ", \\\n" OF("strong.csv", "H100 SXM", "llama3-70b", "best", "4", "11", "3",
                                          "H100 SXM, 70B, best") ", \\\n" OF("strong.csv", "L4", "llama3-8b", "tp", "4",
                                                                             "11", "4",
                                                                             "L4, 8B, tp") ", \\\n" OF("strong."
                                                                                                       "csv",
                                                                                                       "L4",
                                                                                                       "llama3-8b",
                                                                                                       "pp", "4", "11",
                                                                                                       "5",
                                                                                                       "L4, 8B, "
                                                                                                       "pp") ", "
                                                                                                             "\\"
                                                                                                             "\n" OF(
                                                                                                                 "stron"
                                                                                                                 "g."
                                                                                                                 "csv",
                                                                                                                 "L4",
                                                                                                                 "llama"
                                                                                                                 "3-8b",
                                                                                                                 "best",
                                                                                                                 "4",
                                                                                                                 "11",
                                                                                                                 "6",
                                                                                                                 "L4, "
                                                                                                                 "8B, "
                                                                                                                 "best") "\n",
     "Throughput a card of the same 64 users on more cards, in percent of that on the fewest cards that hold them "
     "(simulated, n = 1): tensor parallelism, a pipeline, and the best product of both and replicas."},
    {"scaling_weak",
     FIGURE_STYLE CARDS
     "set title 'Work in proportion to the cards: llama3-8b on H100 SXM (simulated)'\n"
     "set ylabel 'work a second and card, % of one card'\nset yrange [0:*]\nplot \\\n" OF("weak.csv", "H100 SXM", "users", "dp", "4", "11", "1", "users, replicas") ", \\\n" OF(
         "weak.csv", "H100 SXM", "users", "tp", "4", "11",
         "2",
         "users, tp") ", \\\n" OF("weak.csv", "H100 SXM", "users", "pp", "4", "11", "3",
                                  "users, pp") ", \\\n" OF("weak.csv", "H100 SXM", "layers", "pp", "4", "11", "4",
                                                           "layers, pp") ", \\\n" OF("weak.csv", "H100 SXM", "context",
                                                                                     "tp", "4", "11", "5",
                                                                                     "context, tp") ", \\\n" OF("weak."
                                                                                                                "csv",
                                                                                                                "H100 "
                                                                                                                "SXM",
                                                                                                                "contex"
                                                                                                                "t",
                                                                                                                "kvp",
                                                                                                                "4",
                                                                                                                "11",
                                                                                                                "6",
                                                                                                                "contex"
                                                                                                                "t, "
                                                                                                                "kvp") "\n",
     "Work of a second and card, users times layers times positions, where one of them grows with the cards, in "
     "percent "
     "of one card's (simulated, n = 1). Above 100: weights that all users share do not grow."},
    {"scaling_load",
     FIGURE_STYLE
     "set title 'Fewer users than fit: tokens a joule over those of full load'\nset xlabel 'users'\n"
     "set ylabel '% of full load'\nset logscale x 2\nset yrange [0:105]\nplot \\\n"
     "  50 with lines lc rgb 'black' dt 3 title 'half', \\\n" LOAD("16 NorthPole", "1") ", \\\n" LOAD(
         "16 NorthPole (idle at half the power)", "2") ", \\\n" LOAD("H100 SXM", "3") ", \\\n" LOAD("L4", "4") "\n",
     "Tokens a joule (simulated as described, n = 1; energy modelled, of the cards) by users, in percent of those with "
     "as many users as fit: the HPEC 2024 model with 2,048 positions a user."},
    {"scaling_even",
     FIGURE_STYLE
     "set title 'Energy of a token by users: 16 NorthPole and single GPUs'\nset xlabel 'users'\n"
     "set ylabel 'mJ a token (modelled, of the cards)'\nset logscale xy 2\nset xrange [1:36]\nplot "
     "\\\n" ENERGY("16 NorthPole", "as described", "1", "16 NorthPole, described") ", \\\n" ENERGY(
         "1 x L4", "as described", "2",
         "L4, described") ", \\\n" ENERGY("1 x H100 SXM", "as described", "3",
                                          "H100 SXM, described") ", \\\n" ENERGY("16 NorthPole",
                                                                                 "as measured "
                                                                                 "(overheads fitted)",
                                                                                 "4",
                                                                                 "16 NorthPole, "
                                                                                 "fitted") ", "
                                                                                           "\\"
                                                                                           "\n" ENERGY(
                                                                                               "1 x L4",
                                                                                               "as measured (overheads "
                                                                                               "fitted)",
                                                                                               "5",
                                                                                               "L4, fitted") ", "
                                                                                                             "\\"
                                                                                                             "\n" ENERGY(
                                                                                                                 "1 x "
                                                                                                                 "H100 "
                                                                                                                 "SXM",
                                                                                                                 "as "
                                                                                                                 "measu"
                                                                                                                 "red "
                                                                                                                 "(over"
                                                                                                                 "heads"
                                                                                                                 " "
                                                                                                                 "fitte"
                                                                                                                 "d)",
                                                                                                                 "6",
                                                                                                                 "H100 "
                                                                                                                 "SXM, "
                                                                                                                 "fitte"
                                                                                                                 "d") "\n",
     "Energy of a token by users, where as many fit (simulated, n = 1; modelled): machines as described, and with "
     "overheads fitted to published throughputs (left out with --quick). Curves that cross do so at a break-even "
     "number of users."},
    {0}};
