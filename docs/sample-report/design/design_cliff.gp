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
models = 'smollm-135m qwen2.5-0.5b tinyllama-1.1b granite-3b-northpole'
plot 1 with lines lc rgb 'black' dt 3 title 'all on the chip', \
  for [i=1:4] 'cliff_curve.csv' skip 1 using (strcol(1) eq word(models, i) ? $3:NaN):5 with linespoints lc rgb color(i) pt i dt i lw 1.5 title word(models, i)
