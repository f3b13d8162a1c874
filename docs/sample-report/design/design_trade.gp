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
plot \
  1 with lines lc rgb 'black' dt 3 title 'as described', \
  'trade.csv' skip 1 using (strcol(1) eq 'H100 SXM' && $4 == 16 && strcol(2) eq 'power derived' ? $5:NaN):9 with linespoints lc rgb color(1) pt 1 dt 1 lw 1.5 title 'power, derived', \
  'trade.csv' skip 1 using (strcol(1) eq 'H100 SXM' && $4 == 16 && strcol(2) eq 'power assumed' ? $5:NaN):9 with linespoints lc rgb color(2) pt 2 dt 2 lw 1.5 title 'power, assumed', \
  'trade.csv' skip 1 using (strcol(1) eq 'H100 SXM' && $4 == 16 && strcol(2) eq 'area 0.25' ? $5:NaN):9 with linespoints lc rgb color(3) pt 3 dt 3 lw 1.5 title 'area, 0.25 % for 1 %', \
  'trade.csv' skip 1 using (strcol(1) eq 'H100 SXM' && $4 == 16 && strcol(2) eq 'area 0.5' ? $5:NaN):9 with linespoints lc rgb color(4) pt 4 dt 4 lw 1.5 title 'area, 0.5 % for 1 %', \
  'trade.csv' skip 1 using (strcol(1) eq 'H100 SXM' && $4 == 16 && strcol(2) eq 'area 1' ? $5:NaN):9 with linespoints lc rgb color(5) pt 5 dt 5 lw 1.5 title 'area, 1 % for 1 %'
