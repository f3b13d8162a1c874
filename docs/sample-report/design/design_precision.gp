set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set xlabel 'users'
set logscale x 2
set title 'Narrower numbers or twice the bandwidth: llama3-8b on one H100 (estimated)'
set ylabel 'times as fast as with 16-bit weights and cache'
set yrange [0:4]
names = "'8-bit weights' '4-bit weights' '8-bit cache'"
plot \
  for [i=1:3] 'precision.csv' skip 1 using (strcol(1) eq 'H100 SXM' && strcol(3) eq word(names, i) ? $4:NaN):7 with linespoints lc rgb color(i) pt i dt i lw 1.5 title word(names, i), \
  'precision.csv' skip 1 using (strcol(1) eq 'H100 SXM' && strcol(3) eq '8-bit weights' ? $4:NaN):10 with linespoints lc rgb color(4) pt 4 dt 4 lw 1.5 title 'twice the bandwidth'
