set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set title 'Memory in the time of a token, by users in a batch (estimated)'
set xlabel 'users in a batch' offset 0,0.5
set ylabel 'share of the critical path, %'
set logscale x 2
set yrange [0:100]
set key outside below font ',10'
array name[16]
n = 0
last = ''
stats 'batches.csv' skip 1 using (last eq strcol(1) ? n : (n = n + 1, name[n] = strcol(1), last = strcol(1), n)) nooutput
plot 50 with lines lc rgb '#999999' dt 3 notitle, \
  for [i=1:n] 'batches.csv' skip 1 using (strcol(1) eq name[i] ? $2 : NaN):4 \
  with linespoints lc rgb color(i) pt i dt i lw 1.5 title name[i]
