set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set xlabel 'cards'
set logscale x 2
set xrange [1:64]
set title 'One user on more cards, tensor parallelism (simulated)'
set ylabel 'times the speed of the fewest cards'
set logscale y 2
set yrange [0.25:64]
machines = "'H100 SXM' L4 'Raspberry Pi 5'"
models = 'llama3-8b llama3-70b'
plot x with lines lc rgb 'black' dt 3 title 'linear', \
  for [m=1:3] for [k=1:2] 'strong.csv' skip 1 using (strcol(1) eq word(machines, m) && strcol(2) eq word(models, k) && strcol(3) eq 'tp' ? $4:NaN):6 with linespoints lc rgb color(2*m+k-2) pt 2*m+k-2 dt 2*m+k-2 lw 1.5 title word(machines, m).', '.word(models, k)
