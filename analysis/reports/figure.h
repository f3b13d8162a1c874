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

/* Rows of a table for which a condition holds, as curve i: column y against column x. For `plot for`: i and title may
 * be expressions. */
#define FIGURE_CURVE(file, condition, x, y, i, title)                                                                  \
    "'" file "' skip 1 using (" condition " ? $" x ":NaN):" y " with linespoints lc rgb color(" i ") pt " i " dt " i   \
    " lw 1.5 title " title

#endif
