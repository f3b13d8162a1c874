set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set title 'llama3-70b on eight H100 of later years, tp8, 64 users: what binds (estimated)'
set xlabel 'year (2022: estimated; later: extrapolated)'
set ylabel 'part of the critical path, %'
set yrange [0:100]
scenario = "links at a device's rate"
users = 64
plot \
  'years.csv' skip 1 using (strcol(1) eq scenario && $2 == users ? $3 : NaN):7 with linespoints lc rgb color(1) pt 2*1 dt 1 lw 1.5 title 'memory', \
  'years.csv' skip 1 using (strcol(1) eq scenario && $2 == users ? $3 : NaN):8 with linespoints lc rgb color(2) pt 2*2 dt 2 lw 1.5 title 'compute', \
  'years.csv' skip 1 using (strcol(1) eq scenario && $2 == users ? $3 : NaN):9 with linespoints lc rgb color(3) pt 2*3 dt 3 lw 1.5 title 'link bandwidth', \
  'years.csv' skip 1 using (strcol(1) eq scenario && $2 == users ? $3 : NaN):10 with linespoints lc rgb color(4) pt 2*4 dt 4 lw 1.5 title 'link latency'
