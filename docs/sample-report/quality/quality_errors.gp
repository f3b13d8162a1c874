set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set title 'Errors of what is rounded'
set xlabel 'predicted rms, relative'
set ylabel 'measured rms, relative'
set logscale xy
set key inside left top
names = 'normal decoder'
plot x with lines lc rgb 'black' dt 3 title 'equal', for [i=1:2] 'quality_errors.csv' skip 1 \
  using (strcol(3)[1:6] eq word(names, i)[1:6] ? $7 : NaN):8 with points lc rgb color(i) pt 2*i ps 1.2 \
  title word(names, i)
