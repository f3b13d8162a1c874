set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set xlabel 'users'
set logscale x 2
set title 'Fewer users than fit: tokens a joule over those of full load'
set ylabel '% of full load'
set yrange [0:110]
machines = "'16 NorthPole' '16 NorthPole (idle at half the power)' 'H100 SXM' L4"
plot \
  50 with lines lc rgb 'black' dt 3 title 'half', \
  for [i=1:4] 'load.csv' skip 1 using (strcol(1) eq word(machines, i) ? $2:NaN):9 with linespoints lc rgb color(i) pt i dt i lw 1.5 title word(machines, i)
