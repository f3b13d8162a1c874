set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set logscale xy
set yrange [1e-8:1]
set format y '10^{%T}'
set xtics 2 font ',10'
set format x '%g'
numbers = "'F16 a16' 'Q8_0 a16' 'Q8_0 a8' 'Q4_0 a16' 'Q4_0 a8' 'I4 a4 (chosen steps)' 'I4 a4 (learned steps)'"
models = 'granite-3b-northpole llama3-8b llama3-70b tinyllama-1.1b'
cards = "'16 NorthPole' '4 L4' '8 H100 SXM' '8 Raspberry Pi 5, 1 GbE'"
mine(k) = strcol(2) eq word(models, k) && $3 == 1
loss(k) = column(k) > 1e-8 ? column(k) : 1e-8
set multiplot layout 2,2 margins 0.09,0.76,0.12,0.88 spacing 0.08,0.17 \
  title 'What fewer bytes lose, against time of a token (one user; estimated)'
set key at screen 0.995,0.88 right top font ',10' noenhanced
do for [k=1:4] {
  set title word(cards, k).': '.word(models, k) font ',12'
  set xlabel k > 2 ? 'ms' : ''
  set ylabel k % 2 ? 'KL, nats/token' : ''
  plot for [i=1:7] 'pareto_points.csv' skip 1 \
      using (mine(k) && strcol(4) eq 'time' && strcol(5) eq word(numbers, i) ? $10 : NaN):(loss(12)) \
      with points lc rgb color(i) pt 7 ps 0.25 title word(numbers, i), \
    'pareto_front.csv' skip 1 using (mine(k) && strcol(4) eq 'time' ? $10 : 1/0):(loss(12)) \
      with steps lc rgb 'black' lw 1.5 title 'none better', \
    'pareto_order.csv' skip 1 using (mine(k) && strcol(4) eq 'time' ? $12 : NaN):(loss(16)) \
      with points lc rgb 'black' pt 6 ps 0.9 title 'in order'
  unset key
}
unset multiplot
