/* figure.h - how the figures of reports look: gnuplot reads the CSV files of their tables. Curves differ in colour and
 * in mark or dashes, so that they can be told without colour (Okabe and Ito's palette). */
#ifndef ANALYSIS_FIGURE_H
#define ANALYSIS_FIGURE_H

#define FIGURE_STYLE                                                                                                   \
    "set datafile separator ','\n"                                                                                     \
    "set key outside right top font ',12' spacing 1.1\n"                                                               \
    "set grid lc rgb '#dddddd'\n"                                                                                      \
    "set border 3\nset tics nomirror\n"                                                                                \
    "color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)\n"

#endif
