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
set title 'Times said beside times measured, emulated or published'
set xlabel 'taken for true, ms' offset 0,0.5
set ylabel 'said, ms'
set logscale xy
set format '10^{%T}'
set key outside below font ',10'
set xrange [1e-4:1e4]
set yrange [1e-4:1e4]
shown(i) = name[i][1:6] ne 'random' && strcol(1) eq name[i] && strcol(7) eq 'ms'
plot x with lines lc rgb '#999999' dt 3 title 'equal', \
  for [i=1:n] 'points.csv' skip 1 using (shown(i) ? $3 : NaN):6:($4 > 0 ? $4 : $3):($5 > 0 ? $5 : $3) \
  with xerrorbars lc rgb color(i) pt 2*i title (name[i][1:6] eq 'random' ? '' : name[i])
