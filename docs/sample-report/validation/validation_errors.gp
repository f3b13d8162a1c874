set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
array name[16]
n = 0
last = ''
stats 'points.csv' skip 1 using (last eq strcol(1) ? n : (n = n + 1, name[n] = strcol(1), last = strcol(1), n)) nooutput
set title 'Sizes of errors'
set xlabel '|error|, %' offset 0,0.5
set ylabel 'share of the points with no more, %'
set logscale x
set format x '10^{%T}'
set xrange [1e-4:1000]
set yrange [0:101]
set key outside below font ',10'
array count[16]
do for [i=1:n] { stats 'points.csv' skip 1 using (strcol(1) eq name[i] ? 1 : NaN) nooutput; count[i] = STATS_records }
plot for [i=1:n] 'points.csv' skip 1 \
  using (strcol(1) eq name[i] ? ($9 > 1e-4 ? $9 : 1e-4) : NaN):(100.0/count[i]) smooth cumulative \
  with linespoints lc rgb color(i) pt 2*i pi (count[i] > 60 ? 40 : 1) dt i lw 1.5 title name[i]
