set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set xlabel 'cards'
set logscale x 2
set xrange [1:64]
set title 'Work in proportion to the cards: llama3-8b on H100 SXM (simulated)'
set ylabel 'work a second and card, % of one card'
set yrange [0:*]
what = 'users users users layers context context'
kinds = 'dp tp pp pp tp kvp'
plot \
  for [i=1:6] 'weak.csv' skip 1 using (strcol(1) eq 'H100 SXM' && strcol(2) eq word(what, i) && strcol(3) eq word(kinds, i) ? $4:NaN):11 with linespoints lc rgb color(i) pt i dt i lw 1.5 title word(what, i).', '.word(kinds, i)
