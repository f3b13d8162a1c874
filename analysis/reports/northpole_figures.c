/* The report's figures. Devices differ in colour and in mark, numbers of cards in the dashes of their line. */
#include "figure.h"
#include "northpole.h"

#define DEVICES "names = \"L4 L40S 'A100 SXM' 'H100 SXM'\"\n"

/* Column `column` of figure2.csv against the latency, for GPUs alone or for all numbers of cards. */
#define PANEL(title, ylabel, column, counts)                                                                           \
    FIGURE_STYLE DEVICES                                                                                               \
        "set title '" title "'\n"                                                                                      \
        "set xlabel 'latency, ms a token and user, prefill included (GPUs: up to 50 ms)'\nset ylabel '" ylabel "'\n"   \
        "set logscale xy\nset xrange [0.5:60]\n"                                                                       \
        "plot for [c in '" counts "'] for [i=1:4] 'figure2.csv' skip 1 \\\n"                                           \
        "  using (strcol(1) eq word(names, i) && int($2) == int(c) && strcol(8) eq 'yes' ? $4 : NaN):" column " \\\n"  \
        "  with linespoints lc rgb color(i) pt 4+2*i dt 1+int(log(int(c))/log(2)+0.5) lw 1.5 \\\n"                     \
        "  title word(names, i).(int(c) > 1 ? ' x '.c : ''), \\\n"                                                     \
        "  'figure2.csv' skip 1 using (strcol(1) eq 'GPU as published' && strstrt('" counts                            \
        "', strcol(2)) ? $4 : NaN):" column                                                                            \
        " with points lc rgb 'black' pt 2 ps 1.6 lw 1.5 title 'GPU as published (from ratios)', \\\n"                  \
        "  'figure2.csv' skip 1 using (strcol(1) eq 'NorthPole' ? $4 : NaN):" column " \\\n"                           \
        "  with points lc rgb 'black' pt 7 ps 1.8 title 'NorthPole x 16, published'\n"

/* Each fit a curve: columns from `first` of a sweep's table. */
#define SWEEP(title, file, xlabel, ylabel, x, first, log)                                                              \
    FIGURE_STYLE "set title '" title "'\nset xlabel '" xlabel "'\nset ylabel '" ylabel "'\nset logscale " log "\n"     \
                 "stats '" file "' using 2 skip 1 nooutput\nn = STATS_columns\n"                                       \
                 "plot for [i=" first ":n] '" file "' using " x ":i with linespoints lc rgb color(i-" first            \
                 "+1) pt i dt i \\\n"                                                                                  \
                 "  lw 1.5 title columnheader(i)\n"

const struct report_figure northpole_figures[] = {
    {"figure2a", PANEL("(a) energy metric, one GPU (simulated; NorthPole published)", "tok/s/W", "6", "1"),
     "Tokens a second and watt against latency, one GPU at batches of 1 to 128: simulated with two fitted times of the "
     "host (n = 1); crosses: points reconstructed from the paper's ratios; disc: NorthPole's 16 cards as published."},
    {"figure2b", PANEL("(b) energy metric, sharded GPUs (simulated; NorthPole published)", "tok/s/W", "6", "1 2 4 8"),
     "The same for 1, 2, 4 and 8 GPUs under tensor parallelism (simulated, n = 1)."},
    {"figure2c",
     PANEL("(c) space metric, one GPU (simulated; NorthPole published)", "tok/s a 10^9 transistors", "7", "1"),
     "Tokens a second and 10^9 transistors against latency, one GPU (simulated, n = 1), beside the published points."},
    {"figure2d",
     PANEL("(d) space metric, sharded GPUs (simulated; NorthPole published)", "tok/s a 10^9 transistors", "7",
           "1 2 4 8"),
     "The same for 1, 2, 4 and 8 GPUs (simulated, n = 1)."},
    {"figure2e",
     PANEL("(e) throughput of a card, sharded GPUs (simulated; NorthPole published)", "tok/s a card", "5", "1 2 4 8"),
     "Tokens a second and card against latency for 1, 2, 4 and 8 GPUs (simulated, n = 1)."},
    {"users",
     SWEEP("Users on NorthPole, by what is fitted (simulated)", "users.csv", "users", "latency, ms a token and user",
           "1", "3", "xy"),
     "Latency of the 16 cards by number of users; a curve for each number that may be what is missing, fitted alone to "
     "the published throughput (simulated, n = 1). Where curves part, a measurement would tell them."},
    {"micro_batches",
     SWEEP("Micro-batches over the 15 stages, by what is fitted (simulated)", "micro_batches.csv",
           "micro-batches / stages", "throughput, tok/s", "2", "3", "x\nset xtics (0.25, 0.5, 1, 2, 4)"),
     "Throughput by micro-batches over stages (simulated, n = 1); a curve for each fit."},
    {"memory_sweep",
     SWEEP("Bandwidth of the cards, by what is fitted (simulated)", "memory_sweep.csv", "times 13 TB/s",
           "latency, ms a token and user", "2", "3", "xy"),
     "Latency as the cards' memory gets slower and faster than 13 TB/s (simulated, n = 1); a curve for each fit."},
    {"pcie_sweep",
     SWEEP("Bandwidth of the links, by what is fitted (simulated)", "pcie_sweep.csv", "times PCIe Gen3 x8",
           "latency, ms a token and user", "2", "3", "xy"),
     "Latency as the links get slower and faster than PCIe Gen3 x8 (simulated, n = 1); a curve for each fit."},
    {0}};
