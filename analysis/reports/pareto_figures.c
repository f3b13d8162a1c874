/* The report's figures: loss against time and against energy, a panel a machine. */
#include "figure.h"
#include "pareto.h"

/* Column 4 of all tables has what is least, time or energy. Weights and activations are in column 5 of the points; KL
 * is in 12 of points and front, in 16 of the order; time in 10, 10 and 12, energy one further. */
#define PANELS(least, unit, points, front, order)                                                                      \
    FIGURE_STYLE                                                                                                       \
    "set logscale xy\nset yrange [1e-8:1]\nset format y '10^{%T}'\nset xtics 2 font ',10'\nset format x '%g'\n"        \
    "numbers = \"'F16 a16' 'Q8_0 a16' 'Q8_0 a8' 'Q4_0 a16' 'Q4_0 a8' 'I4 a4 (chosen steps)' 'I4 a4 (learned "          \
    "steps)'\"\n"                                                                                                      \
    "models = 'granite-3b-northpole llama3-8b llama3-70b tinyllama-1.1b'\n"                                            \
    "cards = \"'16 NorthPole' '4 L4' '8 H100 SXM' '8 Raspberry Pi 5, 1 GbE'\"\n"                                       \
    "mine(k) = strcol(2) eq word(models, k) && $3 == 1\n"                                                              \
    "loss(k) = column(k) > 1e-8 ? column(k) : 1e-8\n"                                                                  \
    "set multiplot layout 2,2 margins 0.09,0.76,0.12,0.88 spacing 0.08,0.17 \\\n"                                      \
    "  title 'What fewer bytes lose, against " least " of a token (one user; estimated)'\n"                            \
    "set key at screen 0.995,0.88 right top font ',10' noenhanced\n"                                                   \
    "do for [k=1:4] {\n"                                                                                               \
    "  set title word(cards, k).': '.word(models, k) font ',12'\n"                                                     \
    "  set xlabel k > 2 ? '" unit "' : ''\n  set ylabel k % 2 ? 'KL, nats/token' : ''\n"                               \
    "  plot for [i=1:7] 'pareto_points.csv' skip 1 \\\n"                                                               \
    "      using (mine(k) && strcol(4) eq '" least "' && strcol(5) eq word(numbers, i) ? $" points                     \
    " : NaN):(loss(12)) \\\n"                                                                                          \
    "      with points lc rgb color(i) pt 7 ps 0.25 title word(numbers, i), \\\n"                                      \
    "    'pareto_front.csv' skip 1 using (mine(k) && strcol(4) eq '" least "' ? $" front " : 1/0):(loss(12)) \\\n"     \
    "      with steps lc rgb 'black' lw 1.5 title 'none better', \\\n"                                                 \
    "    'pareto_order.csv' skip 1 using (mine(k) && strcol(4) eq '" least "' ? $" order " : NaN):(loss(16)) \\\n"     \
    "      with points lc rgb 'black' pt 6 ps 0.9 title 'in order'\n"                                                  \
    "  unset key\n}\nunset multiplot\n"
#define CAPTION                                                                                                        \
    " of a token, prompt included (estimated in closed form, n = 1), each saving on the strategy that takes "          \
    "least of it; KL beside full precision, measured on the bundled decoder, not on the model that is named. Line: "   \
    "what "                                                                                                            \
    "none "                                                                                                            \
    "beats in both; rings: the order of most saved for a nat. A KL of 0 is drawn at the lower end."

const struct report_figure pareto_figures[] = {
    {"pareto_time", PANELS("time", "ms", "10", "10", "12"), "Divergence against the time" CAPTION},
    {"pareto_energy", PANELS("energy", "mJ", "11", "11", "13"), "Divergence against the energy (modelled)" CAPTION},
    {0}};
