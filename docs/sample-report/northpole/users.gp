set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set title 'Users on NorthPole, by what is fitted (simulated)'
set xlabel 'users'
set ylabel 'latency, ms a token and user'
set logscale xy
stats 'users.csv' using 2 skip 1 nooutput
n = STATS_columns
plot for [i=3:n] 'users.csv' using 1:i with linespoints lc rgb color(i-3+1) pt i dt i \
  lw 1.5 title columnheader(i)
