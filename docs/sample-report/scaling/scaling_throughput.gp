set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set xlabel 'cards'
set logscale x 2
set xrange [1:64]
set title '64 users on more cards (simulated)'
set ylabel 'throughput a card, % of the fewest cards'
set yrange [0:110]
plot \
  'strong.csv' skip 1 using (strcol(1) eq 'H100 SXM' && strcol(2) eq 'llama3-70b' && strcol(3) eq 'tp' ? $4:NaN):11 with linespoints lc rgb color(1) pt 1 dt 1 lw 1.5 title 'H100 SXM, 70B, tp', \
  'strong.csv' skip 1 using (strcol(1) eq 'H100 SXM' && strcol(2) eq 'llama3-70b' && strcol(3) eq 'pp' ? $4:NaN):11 with linespoints lc rgb color(2) pt 2 dt 2 lw 1.5 title 'H100 SXM, 70B, pp', \
  'strong.csv' skip 1 using (strcol(1) eq 'H100 SXM' && strcol(2) eq 'llama3-70b' && strcol(3) eq 'best' ? $4:NaN):11 with linespoints lc rgb color(3) pt 3 dt 3 lw 1.5 title 'H100 SXM, 70B, best', \
  'strong.csv' skip 1 using (strcol(1) eq 'L4' && strcol(2) eq 'llama3-8b' && strcol(3) eq 'tp' ? $4:NaN):11 with linespoints lc rgb color(4) pt 4 dt 4 lw 1.5 title 'L4, 8B, tp', \
  'strong.csv' skip 1 using (strcol(1) eq 'L4' && strcol(2) eq 'llama3-8b' && strcol(3) eq 'pp' ? $4:NaN):11 with linespoints lc rgb color(5) pt 5 dt 5 lw 1.5 title 'L4, 8B, pp', \
  'strong.csv' skip 1 using (strcol(1) eq 'L4' && strcol(2) eq 'llama3-8b' && strcol(3) eq 'best' ? $4:NaN):11 with linespoints lc rgb color(6) pt 6 dt 6 lw 1.5 title 'L4, 8B, best'
