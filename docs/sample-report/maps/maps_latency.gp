set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
stats 'cells.csv' skip 1 using 5 nooutput
few = STATS_records < 200
h = few ? sqrt(8.) : sqrt(2.)
set logscale xy
set xrange [0.033:2100]
set yrange [37:38000]
unset grid
unset key
set format x '%g'
set format y '%g'
set border 15
mine(u, w) = $1 == u && strcol(2) eq w
number(k, none) = strlen(strcol(k)) ? real(strcol(k)) : none
letter(f) = substr('PhHT', f+1, f+1)
pale(f) = f == 0 ? 0xffffff : f == 1 ? 0xe9e3c9 : f == 2 ? 0xb9d3e6 : 0x9aa7b5
set multiplot layout 1,2 title 'Least time a token: llama3-8b on 8 cards (P pp8, h tp2xpp4, H tp4xpp2, T tp8)'
set xlabel 'bandwidth of links, GB/s'
set ylabel 'bandwidth of memory, GB/s'
set title '1 user'
plot \
'cells.csv' skip 1 using (mine(1,'latency') ? $6 : NaN):4:($6/h):($6*h):($4/h):($4*h):(pale($8)) \
  with boxxyerror lc rgb variable fs solid 1.0 border lc rgb '#bbbbbb', \
'cells.csv' skip 1 using (mine(1,'latency') ? $6 : NaN):($4*1.15):(letter($8)) with labels font ',11', \
for [i=0:3] 'boundaries.csv' skip 1 using (mine(1,'latency') && $6 == i && strlen(strcol(9)) ? $8 : NaN):3:(number(9, NaN)):(number(10, 2100)):($3/h):($3*h) \
  with boxxyerror lc rgb 'black' fs transparent pattern 4 border lc rgb 'black', \
for [i=0:3] 'boundaries.csv' skip 1 using (mine(1,'latency') && $6 == i ? $8 : NaN):($3/1.15) with points lc rgb 'black' pt 4+2*((i+3)%4) ps 0.7 lw 1.5, \
'cells.csv' skip 1 using (mine(1,'latency') && $3 == 1 && $5 == 1 ? $6 : NaN):4 with points lc rgb 'black' pt 2 ps 1.6 lw 2
unset ylabel
set title '8 users'
plot \
'cells.csv' skip 1 using (mine(8,'latency') ? $6 : NaN):4:($6/h):($6*h):($4/h):($4*h):(pale($8)) \
  with boxxyerror lc rgb variable fs solid 1.0 border lc rgb '#bbbbbb', \
'cells.csv' skip 1 using (mine(8,'latency') ? $6 : NaN):($4*1.15):(letter($8)) with labels font ',11', \
for [i=0:3] 'boundaries.csv' skip 1 using (mine(8,'latency') && $6 == i && strlen(strcol(9)) ? $8 : NaN):3:(number(9, NaN)):(number(10, 2100)):($3/h):($3*h) \
  with boxxyerror lc rgb 'black' fs transparent pattern 4 border lc rgb 'black', \
for [i=0:3] 'boundaries.csv' skip 1 using (mine(8,'latency') && $6 == i ? $8 : NaN):($3/1.15) with points lc rgb 'black' pt 4+2*((i+3)%4) ps 0.7 lw 1.5, \
'cells.csv' skip 1 using (mine(8,'latency') && $3 == 1 && $5 == 1 ? $6 : NaN):4 with points lc rgb 'black' pt 2 ps 1.6 lw 2
unset multiplot
