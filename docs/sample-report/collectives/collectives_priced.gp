set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set title 'All-reduce of eight cards on described links (priced, n = 1)'
set xlabel 'bytes of a card'
set ylabel 'us'
set logscale xy
set xrange [48:1400000]
names = 'tree oneshot twoshot ring'
places = 'h100-sxm-8 boards-1gbe'
plot for [p=1:2] for [i=1:4] 'collectives_priced.csv' skip 1 \
  using (strcol(1) eq word(places, p) && strcol(2) eq word(names, i) ? $3 : NaN):4 \
  with linespoints lc rgb color(i) pt 2*i+p dt p lw 1.5 title word(names, i).', '.word(places, p)
