set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set title 'Least latency by number of cards: granite-3b'
set logscale xy
set xrange [0.8:80]
set xtics (1, 2, 4, 8, 16, 32, 64)
set xlabel 'cards'
set ylabel 'latency, ms a token and user'
names = 'l4 a100-sxm h100-sxm'
plot NaN notitle, for [i=1:3] 'floors.csv' skip 1 using (strcol(1) eq word(names, i).'' ? $2 : NaN):6 with linespoints lc rgb color(i) pt 5+2*i dt 1 lw 1.5 title word(names, i).'', for [i=1:3] 'floors.csv' skip 1 using (strcol(1) eq word(names, i).' +1us/step' ? $2 : NaN):6 with linespoints lc rgb color(i) pt 4+2*i dt 2 lw 1.5 title word(names, i).' +1us/step', 'floors.csv' skip 1 using (strcol(1) eq 'northpole-16' && $3 == 1 ? $2 : NaN):6 with points lc rgb 'black' pt 2 ps 1.6 lw 1.5 title 'NorthPole as described, 1 user', 'floors.csv' skip 1 using (strcol(1) eq 'northpole-16' && $3 > 1 && strcol(13) eq 'simulated' ? $2 : NaN):6 with points lc rgb 'black' pt 3 ps 1.6 lw 1.5 title 'NorthPole as described, 28 users', 'floors.csv' skip 1 using (strcol(13) eq 'published' ? $2 : NaN):6 with points lc rgb 'black' pt 7 ps 1.6 lw 1.5 title 'NorthPole as published, 28 users'
