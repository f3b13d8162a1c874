set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set title 'Fewer users than fit: tokens a joule over those of full load'
set xlabel 'users'
set ylabel '% of full load'
set logscale x 2
set yrange [0:105]
plot \
  50 with lines lc rgb 'black' dt 3 title 'half', \
  'load.csv' skip 1 using (strcol(1) eq '16 NorthPole' ? $2:NaN):9 with linespoints lc rgb color(1) pt 1 dt 1 lw 1.5 title '16 NorthPole', \
  'load.csv' skip 1 using (strcol(1) eq '16 NorthPole (idle at half the power)' ? $2:NaN):9 with linespoints lc rgb color(2) pt 2 dt 2 lw 1.5 title '16 NorthPole (idle at half the power)', \
  'load.csv' skip 1 using (strcol(1) eq 'H100 SXM' ? $2:NaN):9 with linespoints lc rgb color(3) pt 3 dt 3 lw 1.5 title 'H100 SXM', \
  'load.csv' skip 1 using (strcol(1) eq 'L4' ? $2:NaN):9 with linespoints lc rgb color(4) pt 4 dt 4 lw 1.5 title 'L4'
