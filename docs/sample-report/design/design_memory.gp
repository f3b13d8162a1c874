set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set title 'Memory of equal capacity x bandwidth: llama3-8b on one H100 (simulated)'
set xlabel 'ms a token, decoding alone'
set ylabel 'tok/s'
set logscale xy
plot \
  'memory.csv' skip 1 using (strcol(1) eq 'half the size at twice the speed' && strcol(6) eq 'llama3-8b' ? $9:NaN):10 with linespoints lc rgb color(1) pt 1 dt 1 lw 1.5 title 'half the size at twice the speed', \
  'memory.csv' skip 1 using (strcol(1) eq 'as described' && strcol(6) eq 'llama3-8b' ? $9:NaN):10 with linespoints lc rgb color(2) pt 2 dt 2 lw 1.5 title 'as described', \
  'memory.csv' skip 1 using (strcol(1) eq 'twice the size at half the speed' && strcol(6) eq 'llama3-8b' ? $9:NaN):10 with linespoints lc rgb color(3) pt 3 dt 3 lw 1.5 title 'twice the size at half the speed', \
  'memory.csv' skip 1 using (strcol(1) eq 'half the size and a slow tier' && strcol(6) eq 'llama3-8b' ? $9:NaN):10 with linespoints lc rgb color(4) pt 4 dt 4 lw 1.5 title 'half the size and a slow tier', \
  'memory.csv' skip 1 using (strcol(1) eq 'a quarter at twice the speed and a slow tier' && strcol(6) eq 'llama3-8b' ? $9:NaN):10 with linespoints lc rgb color(5) pt 5 dt 5 lw 1.5 title 'a quarter at twice the speed and a slow tier'
