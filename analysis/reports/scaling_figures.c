/* The report's figures. Curves differ in colour, mark and dashes. */
#include "figure.h"
#include "scaling.h"

#define CARDS "set xlabel 'cards'\nset logscale x 2\nset xrange [1:64]\n"
#define USERS "set xlabel 'users'\nset logscale x 2\n"

const struct report_figure scaling_figures[] = {
    {"scaling_strong",
     FIGURE_STYLE CARDS
     "set title 'One user on more cards, tensor parallelism (simulated)'\nset ylabel 'times the speed of the fewest "
     "cards'\nset logscale y 2\nset yrange [0.25:64]\nmachines = \"'H100 SXM' L4 'Raspberry Pi 5'\"\n"
     "models = 'llama3-8b llama3-70b'\nplot x with lines lc rgb 'black' dt 3 title 'linear', \\\n"
     "  for [m=1:3] for [k=1:2] " FIGURE_CURVE(
         "strong.csv", "strcol(1) eq word(machines, m) && strcol(2) eq word(models, k) && strcol(3) eq 'tp'", "4", "6",
         "2*m+k-2", "word(machines, m).', '.word(models, k)") "\n",
     "Speed of one user's decoding on more cards over that on the fewest that hold the model (simulated, n = 1); the "
     "dotted line is a speed in proportion to the cards, for a model that one card holds."},
    {"scaling_throughput",
     FIGURE_STYLE CARDS
     "set title '64 users on more cards, llama3-70b (simulated)'\nset ylabel 'throughput a card, % of the fewest "
     "cards'\nset yrange [0:110]\nmachines = \"'H100 SXM' L4\"\nkinds = 'tp pp best'\nplot \\\n"
     "  for [m=1:2] for [k=1:3] " FIGURE_CURVE(
         "strong.csv", "strcol(1) eq word(machines, m) && strcol(2) eq 'llama3-70b' && strcol(3) eq word(kinds, k)",
         "4", "11", "3*m+k-3", "word(machines, m).', '.word(kinds, k)") "\n",
     "Throughput a card of the same 64 users on more cards, in percent of that on the fewest cards that hold them "
     "(simulated, n = 1): tensor parallelism, a pipeline, and the best product of both and replicas."},
    {"scaling_weak",
     FIGURE_STYLE CARDS
     "set title 'Work in proportion to the cards: llama3-8b on H100 SXM (simulated)'\n"
     "set ylabel 'work a second and card, % of one card'\nset yrange [0:*]\n"
     "what = 'users users users layers context context'\nkinds = 'dp tp pp pp tp kvp'\nplot \\\n"
     "  for [i=1:6] " FIGURE_CURVE(
         "weak.csv", "strcol(1) eq 'H100 SXM' && strcol(2) eq word(what, i) && strcol(3) eq word(kinds, i)", "4", "11",
         "i", "word(what, i).', '.word(kinds, i)") "\n",
     "Work of a second and card, users times layers times positions, where one of them grows with the cards, in "
     "percent "
     "of one card's (simulated, n = 1). Above 100: weights that all users share do not grow."},
    {"scaling_load",
     FIGURE_STYLE USERS "set title 'Fewer users than fit: tokens a joule over those of full load'\n"
                        "set ylabel '% of full load'\nset yrange [0:110]\n"
                        "machines = \"'16 NorthPole' '16 NorthPole (idle at half the power)' 'H100 SXM' L4\"\nplot \\\n"
                        "  50 with lines lc rgb 'black' dt 3 title 'half', \\\n"
                        "  for [i=1:4] " FIGURE_CURVE("load.csv", "strcol(1) eq word(machines, i)", "2", "9", "i",
                                                      "word(machines, i)") "\n",
     "Tokens a joule (simulated as described, n = 1; energy modelled, of the cards) by users, in percent of those with "
     "as many users as fit: the HPEC 2024 model with 2,048 positions a user."},
    {"scaling_even",
     FIGURE_STYLE USERS
     "set title 'Energy of a token by users: 16 NorthPole and single GPUs'\n"
     "set ylabel 'mJ a token (modelled, of the cards)'\nset logscale y 2\nset xrange [1:36]\n"
     "machines = \"'16 NorthPole' '1 x L4' '1 x H100 SXM'\"\ntimes = \"'as described' 'as measured (overheads "
     "fitted)'\"\nplot \\\n  for [k=1:2] for [i=1:3] " FIGURE_CURVE(
         "even_curves.csv",
         "strcol(1) eq word(machines, i) && strcol(2) eq "
         "word(times, k)",
         "3", "4", "3*k+i-3", "word(machines, i).(k > 1 ? ', fitted' : ', described')") "\n",
     "Energy of a token by users, where as many fit (simulated, n = 1; modelled): machines as described, and with "
     "overheads fitted to published throughputs (left out with --quick). Curves that cross do so at a break-even "
     "number "
     "of users."},
    {0}};
