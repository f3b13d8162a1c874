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
plot \
  x with lines lc rgb 'black' dt 3 title 'linear', \
  'strong.csv' skip 1 using (strcol(1) eq 'H100 SXM' && strcol(2) eq 'llama3-8b' && strcol(3) eq 'tp' ? $4:NaN):6 with linespoints lc rgb color(1) pt 1 dt 1 lw 1.5 title 'H100 SXM, 8B', \
  'strong.csv' skip 1 using (strcol(1) eq 'H100 SXM' && strcol(2) eq 'llama3-70b' && strcol(3) eq 'tp' ? $4:NaN):6 with linespoints lc rgb color(2) pt 2 dt 2 lw 1.5 title 'H100 SXM, 70B', \
  'strong.csv' skip 1 using (strcol(1) eq 'L4' && strcol(2) eq 'llama3-8b' && strcol(3) eq 'tp' ? $4:NaN):6 with linespoints lc rgb color(3) pt 3 dt 3 lw 1.5 title 'L4, 8B', \
  'strong.csv' skip 1 using (strcol(1) eq 'L4' && strcol(2) eq 'llama3-70b' && strcol(3) eq 'tp' ? $4:NaN):6 with linespoints lc rgb color(4) pt 4 dt 4 lw 1.5 title 'L4, 70B', \
  'strong.csv' skip 1 using (strcol(1) eq 'Raspberry Pi 5' && strcol(2) eq 'llama3-8b' && strcol(3) eq 'tp' ? $4:NaN):6 with linespoints lc rgb color(5) pt 5 dt 5 lw 1.5 title 'Raspberry Pi 5, 8B', \
  'strong.csv' skip 1 using (strcol(1) eq 'Raspberry Pi 5' && strcol(2) eq 'llama3-70b' && strcol(3) eq 'tp' ? $4:NaN):6 with linespoints lc rgb color(6) pt 6 dt 6 lw 1.5 title 'Raspberry Pi 5, 70B'
