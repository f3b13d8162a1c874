set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set xlabel 'users'
set logscale x 2
set title 'Energy of a token by users: 16 NorthPole and single GPUs'
set ylabel 'mJ a token (modelled, of the cards)'
set logscale y 2
set xrange [1:36]
machines = "'16 NorthPole' '1 x L4' '1 x H100 SXM'"
times = "'as described' 'as measured (overheads fitted)'"
plot \
  for [k=1:2] for [i=1:3] 'even_curves.csv' skip 1 using (strcol(1) eq word(machines, i) && strcol(2) eq word(times, k) ? $3:NaN):4 with linespoints lc rgb color(3*k+i-3) pt 3*k+i-3 dt 3*k+i-3 lw 1.5 title word(machines, i).(k > 1 ? ', fitted' : ', described')
