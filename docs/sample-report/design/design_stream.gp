set datafile separator ','
set key outside right top font ',12' spacing 1.1
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
color(i) = word('#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #999999 #882255 #44AA99 #332288', i)
set xlabel 'users'
set logscale x 2
set title 'Weights over a link in each pass: llama3-8b on one H100 (simulated)'
set ylabel 'time of a token over that with resident weights'
set logscale y
links = "'PCIe Gen4 x16' 'PCIe Gen5 x16' 'NVLink 4'"
plot 2 with lines lc rgb 'black' dt 3 title 'twice', \
  for [i=1:3] 'stream.csv' skip 1 using (strcol(1) eq word(links, i) ? $3:NaN):6 with linespoints lc rgb color(i) pt i dt i lw 1.5 title word(links, i)
