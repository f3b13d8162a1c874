set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set title 'The cliff beside the chip (simulated on NorthPole cards)'
set xlabel 'capacity of the chip over what the plan needs'
set ylabel 'latency over that with all on the chip'
set logscale y
set yrange [0.5:5000]
plot \
  1 with lines lc rgb 'black' dt 3 title 'all on the chip', \
  'cliff_curve.csv' skip 1 using (strcol(1) eq 'smollm-135m' ? $3:NaN):5 with linespoints lc rgb color(1) pt 1 dt 1 lw 1.5 title 'smollm-135m', \
  'cliff_curve.csv' skip 1 using (strcol(1) eq 'qwen2.5-0.5b' ? $3:NaN):5 with linespoints lc rgb color(2) pt 2 dt 2 lw 1.5 title 'qwen2.5-0.5b', \
  'cliff_curve.csv' skip 1 using (strcol(1) eq 'tinyllama-1.1b' ? $3:NaN):5 with linespoints lc rgb color(3) pt 3 dt 3 lw 1.5 title 'tinyllama-1.1b', \
  'cliff_curve.csv' skip 1 using (strcol(1) eq 'granite-3b-northpole' ? $3:NaN):5 with linespoints lc rgb color(4) pt 4 dt 4 lw 1.5 title 'granite-3b-northpole'
