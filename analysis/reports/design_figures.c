/* The report's figures. Curves differ in colour, mark and dashes. */
#include "design.h"
#include "figure.h"

#define USERS "set xlabel 'users'\nset logscale x 2\n"
#define REFERENCE(at, title) "plot " at " with lines lc rgb 'black' dt 3 title '" title "', \\\n"

const struct report_figure design_figures[] = {
    {"design_trade",
     FIGURE_STYLE USERS "set title 'Half of the arithmetic for bandwidth: llama3-8b on H100 SXM (estimated)'\n"
                        "set ylabel 'time of the job over that as described'\nset yrange [0:2]\n"
                        "budgets = \"'power derived' 'power assumed' 'area 0.25' 'area 0.5' 'area 1'\"\n" REFERENCE(
                            "1", "as described") "  for [i=1:5] " FIGURE_CURVE("trade.csv",
                                                                               "strcol(1) eq 'H100 SXM' && $4 == 16 && "
                                                                               "strcol(2) eq word(budgets, i)",
                                                                               "5", "9", "i", "word(budgets, i)") "\n",
     "Time of a job of 16 + 128 tokens by users, if half of the card's arithmetic were given up for bandwidth of "
     "memory "
     "at five assumed exchanges (of power, or of area: percent of bandwidth for a percent of arithmetic), over the "
     "card "
     "as described (estimated in closed form, n = 1). Above 1 it loses."},
    {"design_memory",
     FIGURE_STYLE
     "set title 'Memory of equal capacity x bandwidth: llama3-8b on one H100 (simulated)'\n"
     "set key inside right bottom\nset xlabel 'ms a token, decoding alone'\nset ylabel 'tok/s'\nset logscale xy\n"
     "names = \"'half the size at twice the speed' 'as described' 'twice the size at half the speed' 'half the size "
     "and "
     "a slow tier' 'a quarter at twice the speed and a slow tier'\"\nplot \\\n  for [i=1:5] " FIGURE_CURVE(
         "memory.csv", "strcol(1) eq word(names, i) && strcol(6) eq 'llama3-8b'", "9", "10", "i",
         "word(names, i)") "\n",
     "Throughput against the latency of a token with 1, 8, 32 and as many users as fit (at most 512), for memories of "
     "the same sum of capacity times bandwidth (assumed); simulated, n = 1."},
    {"design_stream",
     FIGURE_STYLE USERS
     "set title 'Weights over a link in each pass: llama3-8b on one H100 (simulated)'\n"
     "set ylabel 'time of a token over that with resident weights'\nset logscale y\n"
     "links = \"'PCIe Gen4 x16' 'PCIe Gen5 x16' 'NVLink 4'\"\n" REFERENCE("2", "twice") "  for [i=1:3] " FIGURE_CURVE(
         "stream.csv", "strcol(1) eq word(links, i)", "3", "6", "i", "word(links, i)") "\n",
     "How many times as long a token takes by users if all weights come over a link in each pass, cache resident, no "
     "prefetch (simulated, n = 1)."},
    {"design_cliff",
     FIGURE_STYLE
     "set title 'The cliff beside the chip (simulated on NorthPole cards)'\n"
     "set xlabel 'capacity of the chip over what the plan needs'\nset ylabel 'latency over that with all on the chip'\n"
     "set logscale y\nset yrange [0.5:5000]\n"
     "models = 'smollm-135m qwen2.5-0.5b tinyllama-1.1b granite-3b-northpole'\n" REFERENCE(
         "1", "all on the chip") "  for [i=1:4] " FIGURE_CURVE("cliff_curve.csv", "strcol(1) eq word(models, i)", "3",
                                                               "5", "i", "word(models, i)") "\n",
     "Latency as the memory of the chip shrinks below, and grows beyond, what the plan puts on the fullest card; the "
     "rest is read from the host's memory over the card's link in each pass (simulated, n = 1). Lines join points that "
     "were simulated: between them are steps, of a layer each."},
    {"design_precision",
     FIGURE_STYLE USERS
     "set title 'Narrower numbers or twice the bandwidth: llama3-8b on one H100 (estimated)'\n"
     "set ylabel 'times as fast as with 16-bit weights and cache'\nset yrange [0:4]\n"
     "names = \"'8-bit weights' '4-bit weights' '8-bit cache'\"\nplot \\\n  for [i=1:3] " FIGURE_CURVE(
         "precision.csv", "strcol(1) eq 'H100 SXM' && strcol(3) eq word(names, i)", "4", "7", "i",
         "word(names, i)") ", \\\n  " FIGURE_CURVE("precision.csv",
                                                   "strcol(1) eq 'H100 SXM' && strcol(3) eq '8-bit weights'", "4", "10",
                                                   "4", "'twice the bandwidth'") "\n",
     "How many times as fast a token is, decoding alone, by users, with narrower weights or cache, and with twice the "
     "bandwidth of memory instead (estimated in closed form, n = 1)."},
    {0}};
