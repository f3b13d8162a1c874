set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set xlabel 'cards'
set logscale x 2
set xrange [1:64]
set title '64 users on more cards, llama3-70b (simulated)'
set ylabel 'throughput a card, % of the fewest cards'
set yrange [0:110]
machines = "'H100 SXM' L4"
kinds = 'tp pp best'
plot \
  for [m=1:2] for [k=1:3] 'strong.csv' skip 1 using (strcol(1) eq word(machines, m) && strcol(2) eq 'llama3-70b' && strcol(3) eq word(kinds, k) ? $4:NaN):11 with linespoints lc rgb color(3*m+k-3) pt 3*m+k-3 dt 3*m+k-3 lw 1.5 title word(machines, m).', '.word(kinds, k)
