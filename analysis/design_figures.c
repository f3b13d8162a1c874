/* The report's figures. Curves differ in colour, mark and dashes. */
#include "design.h"
#include "figure.h"

/* Rows of a table for which a condition holds, as a curve. */
#define ROWS(file, condition, x, y, i, title)                                                                          \
    "  '" file "' skip 1 using (" condition " ? $" x ":NaN):" y " with linespoints lc rgb color(" i ") pt " i " dt " i \
    " lw 1.5 title '" title "'"

#define TRADE(name, i, title)                                                                                          \
    ROWS("trade.csv", "strcol(1) eq 'H100 SXM' && $4 == 16 && strcol(2) eq '" name "'", "5", "9", i, title)
#define MEMORY(name, i) ROWS("memory.csv", "strcol(1) eq '" name "' && strcol(6) eq 'llama3-8b'", "9", "10", i, name)
#define LINK(name, i) ROWS("stream.csv", "strcol(1) eq '" name "'", "3", "6", i, name)
#define CHIP(name, i) ROWS("cliff_curve.csv", "strcol(1) eq '" name "'", "3", "5", i, name)
#define NARROW(name, y, i, title)                                                                                      \
    ROWS("precision.csv", "strcol(1) eq 'H100 SXM' && strcol(3) eq '" name "'", "4", y, i, title)

#define USERS "set xlabel 'users'\nset logscale x 2\n"

const struct report_figure design_figures[] =
    {
        {"design_trade",
         FIGURE_STYLE USERS
         "set title 'Half of the arithmetic for bandwidth: llama3-8b on H100 SXM (estimated)'\n"
         "set ylabel 'time of the job over that as described'\nset yrange [0:2]\nplot \\\n"
         "  1 with lines lc rgb 'black' dt 3 title 'as described', \\\n" TRADE("power derived", "1", "power, derived") ", \\\n" TRADE(
             "power assumed", "2",
             "power, assumed") ", \\\n" TRADE("area 0.25", "3",
                                              "area, 0.25 % for 1 %") ", \\\n" TRADE("area 0.5", "4",
                                                                                     "area, 0.5 % for 1 %") ", "
                                                                                                            "\\"
                                                                                                            "\n" TRADE(
                                                                                                                "area "
                                                                                                                "1",
                                                                                                                "5",
                                                                                                                "area, "
                                                                                                                "1 % "
                                                                                                                "for 1 "
                                                                                                                "%") "\n",
         "Time of a job of 16 + 128 tokens by users, if half of the card's arithmetic were given up for bandwidth of "
         "memory "
         "at five assumed exchanges, over the card as described (estimated in closed form, n = 1). Above 1 it loses."},
        {"design_memory",
         FIGURE_STYLE
         "set title 'Memory of equal capacity x bandwidth: llama3-8b on one H100 (simulated)'\n"
         "set xlabel 'ms a token, decoding alone'\nset ylabel 'tok/s'\nset logscale xy\nplot \\\n" MEMORY(
             "half the size at twice the speed",
             "1") ", \\\n" MEMORY("as described",
                                  "2") ", \\\n" MEMORY("twice the size at half the speed",
                                                       "3") ", \\\n" MEMORY("half the size and a slow tier",
                                                                            "4") ", \\\n" MEMORY("a quarter at twice "
                                                                                                 "the "
                                                                                                 "speed and a slow "
                                                                                                 "tier",
                                                                                                 "5") "\n",
         "Throughput against the latency of a token with 1, 8, 32 and as many users as fit (at most 512), for memories "
         "of "
         "the same sum of capacity times bandwidth (assumed); simulated, n = 1."},
        {"design_stream",
         FIGURE_STYLE USERS
         "set title 'Weights over a link in each pass: llama3-8b on one H100 (simulated)'\n"
         "set ylabel 'time of a token over that with resident weights'\nset logscale y\nplot \\\n"
         "  2 with lines lc rgb 'black' dt 3 title 'twice', \\\n" LINK("PCIe Gen4 x16", "1") ", \\\n" LINK(
             "PCIe Gen5 x16", "2") ", \\\n" LINK("NVLink 4", "3") "\n",
         "How many times as long a token takes by users if all weights come over a link in each pass, cache resident, "
         "no "
         "prefetch (simulated, n = 1)."},
        {"design_cliff",
         FIGURE_STYLE
         "set title 'The cliff beside the chip (simulated on NorthPole cards)'\n"
         "set xlabel 'capacity of the chip over what the plan needs'\n"
         "set ylabel 'latency over that with all on the chip'\nset logscale y\nset yrange [0.5:5000]\nplot \\\n"
         "  1 with lines lc rgb 'black' dt 3 title 'all on the chip', \\\n" CHIP("smollm-135m", "1") ", \\\n" CHIP(
             "qwen2.5-0.5b", "2") ", \\\n" CHIP("tinyllama-1.1b", "3") ", \\\n" CHIP("granite-3b-northpole", "4") "\n",
         "Latency as the memory of the chip shrinks below, and grows beyond, what the plan puts on the fullest card; "
         "the "
         "rest is read from the host's memory over the card's link in each pass (simulated, n = 1). Lines join points "
         "that "
         "were simulated: between them are steps, of a layer each."},
        {"design_precision",
         FIGURE_STYLE USERS
         "set title 'Narrower numbers or twice the bandwidth: llama3-8b on one H100 (estimated)'\n"
         "set ylabel 'times as fast as with 16-bit weights and cache'\nset yrange [0:4]\nplot "
         "\\\n" NARROW("8-bit weights", "7", "1", "8-bit weights") ", \\\n" NARROW(
             "4-bit weights", "7", "2",
             "4-bit weights") ", \\\n" NARROW("8-bit cache", "7", "3",
                                              "8-bit cache") ", \\\n" NARROW("8-bit weights", "10", "4",
                                                                             "twice the bandwidth") "\n",
         "How many times as fast a token is, decoding alone, by users, with narrower weights or cache, and with twice "
         "the "
         "bandwidth of memory instead (estimated in closed form, n = 1)."},
        {0}};
