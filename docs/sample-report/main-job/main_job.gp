set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set title 'One token of the bundled decoder by strategy'
set xlabel 'strategy'
set ylabel 'ms a token'
set logscale y
set xrange [0.5:6.5]
set key outside top center horizontal
plot 'main_job.csv' skip 1 using 2:5:6:7:xtic(1) with yerrorbars lc rgb color(1) pt 7 ps 1.2 lw 1.5 \
  title 'this machine, measured', \
  for [i=1:2] 'main_job_clusters.csv' skip 1 using \
  (strcol(1) eq word('h100-sxm-8 boards-1gbe', i) ? $3 : NaN):4 with points lc rgb color(i+1) pt 2*i+2 ps 1.4 \
  lw 1.5 title word('h100-sxm-8 boards-1gbe', i).', simulated'
