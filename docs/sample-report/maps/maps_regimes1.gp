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
mine(u, s) = $1 == u && strcol(2) eq s
letter(f) = substr('mcblo', f+1, f+1)
pale(f) = f == 0 ? 0xffffff : f == 1 ? 0xe6a0a0 : f == 2 ? 0xb9d3e6 : f == 3 ? 0xe9e3c9 : 0x9aa7b5
set multiplot layout 2,2 title 'What binds each strategy, 1 user (m memory, c compute, b link bandwidth, l link latency)'
set xlabel 'bandwidth of links, GB/s'
set ylabel 'memory, GB/s'
set title 'pp8'
plot \
'regimes.csv' skip 1 using (mine(1,'pp8') ? $4 : NaN):3:($4/h):($4*h):($3/h):($3*h):(pale($6)) \
  with boxxyerror lc rgb variable fs solid 1.0 border lc rgb '#bbbbbb', \
'regimes.csv' skip 1 using (mine(1,'pp8') ? $4 : NaN):3:(letter($6)) with labels font ',9'
set title 'tp2xpp4'
plot \
'regimes.csv' skip 1 using (mine(1,'tp2xpp4') ? $4 : NaN):3:($4/h):($4*h):($3/h):($3*h):(pale($6)) \
  with boxxyerror lc rgb variable fs solid 1.0 border lc rgb '#bbbbbb', \
'regimes.csv' skip 1 using (mine(1,'tp2xpp4') ? $4 : NaN):3:(letter($6)) with labels font ',9'
set title 'tp4xpp2'
plot \
'regimes.csv' skip 1 using (mine(1,'tp4xpp2') ? $4 : NaN):3:($4/h):($4*h):($3/h):($3*h):(pale($6)) \
  with boxxyerror lc rgb variable fs solid 1.0 border lc rgb '#bbbbbb', \
'regimes.csv' skip 1 using (mine(1,'tp4xpp2') ? $4 : NaN):3:(letter($6)) with labels font ',9'
set title 'tp8'
plot \
'regimes.csv' skip 1 using (mine(1,'tp8') ? $4 : NaN):3:($4/h):($4*h):($3/h):($3*h):(pale($6)) \
  with boxxyerror lc rgb variable fs solid 1.0 border lc rgb '#bbbbbb', \
'regimes.csv' skip 1 using (mine(1,'tp8') ? $4 : NaN):3:(letter($6)) with labels font ',9'
unset multiplot
