set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set title 'Latency of one text, over bert-base at 128 tokens'
set ylabel 'times'
models = 'bert-base bert-large gpt2'
set xlabel 'tokens'
set logscale xy
set xtics (128, 256, 512, 1024, 2048, 4096)
plot \
  for [i=1:3] 'latency.csv' skip 1 using (strcol(1) eq word(models, i) ? $2 : NaN):3 with linespoints lc rgb color(i) pt 2*i+1 dt 1 lw 1.5 title word(models, i).', published', \
  for [i=1:3] 'latency.csv' skip 1 using (strcol(1) eq word(models, i) ? $2 : NaN):4 with linespoints lc rgb color(i) pt 2*i+2 dt 2 lw 1.5 title word(models, i).', measured here'
