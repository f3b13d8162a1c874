set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set title 'All-reduce of two ranks on this machine (measured)'
set xlabel 'bytes of a rank'
set ylabel 'us'
set logscale xy
set xrange [48:1400000]
set key inside left top
set datafile missing NaN
names = "'oneshot shm' 'twoshot shm' 'oneshot link' 'twoshot link' mpi"
plot for [i=1:5] 'collectives.csv' skip 1 using (strcol(1) eq word(names, i) ? $2 : NaN):3:4:5 \
  with yerrorlines lc rgb color(i) pt 2*i dt i title word(names, i), \
  'collectives.csv' skip 1 using (strcol(1) eq 'oneshot shm' ? $2 : NaN):7 with lines lc rgb 'black' dt 3 \
  title 'floor'
