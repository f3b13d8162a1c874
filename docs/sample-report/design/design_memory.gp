set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set title 'Memory of equal capacity x bandwidth: llama3-8b on one H100 (simulated)'
set key inside right bottom
set xlabel 'ms a token, decoding alone'
set ylabel 'tok/s'
set logscale xy
names = "'half the size at twice the speed' 'as described' 'twice the size at half the speed' 'half the size and a slow tier' 'a quarter at twice the speed and a slow tier'"
plot \
  for [i=1:5] 'memory.csv' skip 1 using (strcol(1) eq word(names, i) && strcol(6) eq 'llama3-8b' ? $9:NaN):10 with linespoints lc rgb color(i) pt i dt i lw 1.5 title word(names, i)
