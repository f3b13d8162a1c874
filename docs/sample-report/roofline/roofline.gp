set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set title 'GPT-2 on one core: each kind of step beside what the machine allows (measured)'
set xlabel 'operations a byte of memory'
set ylabel 'GOP/s'
set termoption noenhanced
set logscale xy
set key inside left top
stats 'roofs.csv' skip 1 using (strcol(1) eq '1' && strcol(2) eq 'decode' ? $3 : NaN) name 'read' nooutput
stats 'roofs.csv' skip 1 using (strcol(1) eq '1' && strcol(2) eq 'decode' ? $6 : NaN) name 'int8' nooutput
stats 'roofs.csv' skip 1 using (strcol(1) eq '1' && strcol(2) eq 'decode' ? $9 : NaN) name 'f32' nooutput
set xrange [0.1:1000]
set samples 400
plot (read_max*x < int8_max ? read_max*x : int8_max) with lines lc rgb 'black' lw 1.5 title 'int8 roof', \
  (read_max*x < f32_max ? read_max*x : f32_max) with lines lc rgb 'black' dt 2 lw 1.5 title 'F32 roof', \
'steps.csv' skip 1 using (strcol(1) eq '1' && strcol(2) eq 'decode' && strcol(3) ne 'sum' ? $4 : NaN):5:(0.8+0.25*sqrt($6)) with points pt 7 ps variable lc rgb color(1) lw 1.5 title 'decode', \
'steps.csv' skip 1 using (strcol(1) eq '1' && strcol(2) eq 'decode' && strcol(3) ne 'sum' ? 4 : NaN):(read_max*(2.2*0.66**$16)):($4-4):($5-(read_max*(2.2*0.66**$16))) with vectors nohead lc rgb '#bbbbbb' notitle, \
'steps.csv' skip 1 using (strcol(1) eq '1' && strcol(2) eq 'decode' && strcol(3) ne 'sum' ? 4 : NaN):(read_max*(2.2*0.66**$16)):3 with labels left font ',12' tc rgb color(1) notitle, \
'steps.csv' skip 1 using (strcol(1) eq '1' && strcol(2) eq 'prefill' && strcol(3) ne 'sum' ? $4 : NaN):5:(0.8+0.25*sqrt($6)) with points pt 4 ps variable lc rgb color(2) lw 1.5 title 'prefill', \
'steps.csv' skip 1 using (strcol(1) eq '1' && strcol(2) eq 'prefill' && strcol(3) ne 'sum' ? 230 : NaN):(read_max*(2.2*0.66**$16)):($4-230):($5-(read_max*(2.2*0.66**$16))) with vectors nohead lc rgb '#bbbbbb' notitle, \
'steps.csv' skip 1 using (strcol(1) eq '1' && strcol(2) eq 'prefill' && strcol(3) ne 'sum' ? 230 : NaN):(read_max*(2.2*0.66**$16)):3 with labels left font ',12' tc rgb color(2) notitle
