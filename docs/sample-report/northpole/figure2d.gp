set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
names = "L4 L40S 'A100 SXM' 'H100 SXM'"
set title '(d) space metric, sharded GPUs (simulated; NorthPole published)'
set xlabel 'latency, ms a token and user, prefill included (GPUs: up to 50 ms)'
set ylabel 'tok/s a 10^9 transistors'
set logscale xy
set xrange [0.5:60]
plot for [c in '1 2 4 8'] for [i=1:4] 'figure2.csv' skip 1 \
  using (strcol(1) eq word(names, i) && int($2) == int(c) && strcol(8) eq 'yes' ? $4 : NaN):7 \
  with linespoints lc rgb color(i) pt 4+2*i dt 1+int(log(int(c))/log(2)+0.5) lw 1.5 \
  title word(names, i).(int(c) > 1 ? ' x '.c : ''), \
  'figure2.csv' skip 1 using (strcol(1) eq 'GPU as published' && strstrt('1 2 4 8', strcol(2)) ? $4 : NaN):7 with points lc rgb 'black' pt 2 ps 1.6 lw 1.5 title 'GPU as published (from ratios)', \
  'figure2.csv' skip 1 using (strcol(1) eq 'NorthPole' ? $4 : NaN):7 \
  with points lc rgb 'black' pt 7 ps 1.8 title 'NorthPole x 16, published'
