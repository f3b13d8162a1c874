set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set title 'Energy of a token by users: 16 NorthPole and single GPUs'
set xlabel 'users'
set ylabel 'mJ a token (modelled, of the cards)'
set logscale xy 2
set xrange [1:36]
plot \
  'even_curves.csv' skip 1 using (strcol(1) eq '16 NorthPole' && strcol(2) eq 'as described' ? $3:NaN):4 with linespoints lc rgb color(1) pt 1 dt 1 lw 1.5 title '16 NorthPole, described', \
  'even_curves.csv' skip 1 using (strcol(1) eq '1 x L4' && strcol(2) eq 'as described' ? $3:NaN):4 with linespoints lc rgb color(2) pt 2 dt 2 lw 1.5 title 'L4, described', \
  'even_curves.csv' skip 1 using (strcol(1) eq '1 x H100 SXM' && strcol(2) eq 'as described' ? $3:NaN):4 with linespoints lc rgb color(3) pt 3 dt 3 lw 1.5 title 'H100 SXM, described', \
  'even_curves.csv' skip 1 using (strcol(1) eq '16 NorthPole' && strcol(2) eq 'as measured (overheads fitted)' ? $3:NaN):4 with linespoints lc rgb color(4) pt 4 dt 4 lw 1.5 title '16 NorthPole, fitted', \
  'even_curves.csv' skip 1 using (strcol(1) eq '1 x L4' && strcol(2) eq 'as measured (overheads fitted)' ? $3:NaN):4 with linespoints lc rgb color(5) pt 5 dt 5 lw 1.5 title 'L4, fitted', \
  'even_curves.csv' skip 1 using (strcol(1) eq '1 x H100 SXM' && strcol(2) eq 'as measured (overheads fitted)' ? $3:NaN):4 with linespoints lc rgb color(6) pt 6 dt 6 lw 1.5 title 'H100 SXM, fitted'
