set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set xlabel 'users'
set logscale x 2
set title 'Half of the arithmetic for bandwidth: llama3-8b on H100 SXM (estimated)'
set ylabel 'time of the job over that as described'
set yrange [0:2]
budgets = "'power derived' 'power assumed' 'area 0.25' 'area 0.5' 'area 1'"
plot 1 with lines lc rgb 'black' dt 3 title 'as described', \
  for [i=1:5] 'trade.csv' skip 1 using (strcol(1) eq 'H100 SXM' && $4 == 16 && strcol(2) eq word(budgets, i) ? $5:NaN):9 with linespoints lc rgb color(i) pt i dt i lw 1.5 title word(budgets, i)
