set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set title 'Growth: points as published, and their fits'
set xlabel 'year'
set ylabel 'times the first of the series'
set logscale y
set format y '10^{%T}'
stats 'points.csv' skip 1 using (strcol(1) eq 'peak' ? $2 - 2003 : NaN):(log($3)) name 'peak' nooutput
stats 'points.csv' skip 1 using (strcol(1) eq 'dram' ? $2 - 2003 : NaN):(log($3)) name 'dram' nooutput
stats 'points.csv' skip 1 using (strcol(1) eq 'link' ? $2 - 2003 : NaN):(log($3)) name 'lane' nooutput
stats 'points.csv' skip 1 using (strcol(1) eq 'link-device' ? $2 - 2003 : NaN):(log($3)) name 'device' nooutput
set xrange [1996:2024]
set yrange [0.3:1e7]
plot \
  'points.csv' skip 1 using (strcol(1) eq 'peak' ? $2 : NaN):3 with points lc rgb color(1) pt 2*1 title 'peak FLOP/s', \
  exp(peak_intercept + peak_slope*(x - 2003)) with lines lc rgb color(1) dt 1 lw 1.5 notitle, \
  'points.csv' skip 1 using (strcol(1) eq 'dram' ? $2 : NaN):3 with points lc rgb color(2) pt 2*2 title 'DRAM bandwidth', \
  exp(dram_intercept + dram_slope*(x - 2003)) with lines lc rgb color(2) dt 2 lw 1.5 notitle, \
  'points.csv' skip 1 using (strcol(1) eq 'link' ? $2 : NaN):3 with points lc rgb color(3) pt 2*3 title 'link, a lane', \
  exp(lane_intercept + lane_slope*(x - 2003)) with lines lc rgb color(3) dt 3 lw 1.5 notitle, \
  'points.csv' skip 1 using (strcol(1) eq 'link-device' ? $2 : NaN):3 with points lc rgb color(4) pt 2*4 title 'link, a device and direction', \
  exp(device_intercept + device_slope*(x - 2003)) with lines lc rgb color(4) dt 4 lw 1.5 notitle
