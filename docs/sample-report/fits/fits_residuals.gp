set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set title 'What the best curves leave over'
set xlabel 'bytes'
set ylabel '(measured - fitted) / fitted, %'
set logscale x
set xzeroaxis lc rgb 'black'
set key inside left top
plot 'residuals.csv' skip 1 using 2:5 with points lc rgb color(1) pt 6 title 'one-shot', \
  'residuals_2.csv' skip 1 using 2:5 with points lc rgb color(2) pt 2 title 'mpi'
