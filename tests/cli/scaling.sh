#!/usr/bin/env bash
# northwall report scaling and design: planted numbers come back, efficiencies are what they say, files are there.
. "$(dirname "$0")/common.sh"

rows() { # AWK-PROGRAM FILE: of a CSV file, whose quoted cells lose their commas
    sed -E ':a; s/^(([^"]*"[^"]*")*[^"]*"[^",]*),([^"]*")/\1;\3/; ta; s/\r$//; s/"//g' "$out/$2.csv" | awk -F, "$1"
}
for report in scaling design; do
    out=$tmp/$report
    ok "northwall report $report" sh -c '"$1" report "$2" --quick --out "$3" >"$4"' _ "$northwall" $report "$out" "$tmp/$report.txt"
    ok "$report: findings come first, each with its kind" awk '
        /^\* / { n++; if (!/simulated|estimated|fitted to/) { print > "/dev/stderr"; bad = 1 } } END { exit bad || n < 8 }' "$tmp/$report.txt"
    ok "$report: no column twice" single "$out"
    ok "$report: figures have commands" [ "$(ls "$out"/*.gp | wc -l)" = 5 ]
    if command -v gnuplot >/dev/null; then
        ok "$report: figures are drawn" [ "$(grep -l "</svg>" "$out"/*.svg | wc -l)" = 5 ]
        most=$([ $report = scaling ] && echo 3 || echo 0) # what --quick leaves out
        ok "$report: curves have points" awk -v most=$most '
            function end() { empty += marks == 1; marks = 0 } # one stands in the key; lines without marks have none
            /<g id="gnuplot_plot_/ || FNR == 1 { end() } { marks += gsub(/<use /, "") } END { end(); exit empty > most }' \
            "$out"/*.svg
    fi
done

out=$tmp/scaling
ok "no more is found than one reads" [ "$(grep -c '^\* ' "$tmp/scaling.txt")" -le 12 ]
ok "efficiency is speed-up over cards" rows '
    NR == 1 { next } $1 != m || $2 != k || $3 != s { first = $4; m = $1; k = $2; s = $3 }
    { d = $7 - 100 * $6 * first / $4; if (d * d > 1e-6) bad = 1 } END { exit bad || NR < 40 }' strong
ok "the best product is no slower than tp and pp" rows '
    NR > 1 && $3 != "best" { key = $1 $2 $4; if (!(key in most) || $10 > most[key]) most[key] = $10 }
    NR > 1 && $3 == "best" { n++; if ($10 < 0.98 * most[$1 $2 $4]) bad = 1 } END { exit bad || n < 10 }' strong
ok "a pipeline makes one user no faster" rows 'NR > 1 && $3 == "pp" { n++; if ($6 > 1.0001) bad = 1 } END { exit bad || n < 10 }' strong
ok "replicas scale as their users" rows 'NR > 1 && $3 == "dp" { n++; if ($11 < 99.999 || $11 > 100.001) bad = 1 } END { exit bad || n < 10 }' weak
ok "a room's replicas scale as their users, one replica does not" rows '
    NR > 1 && $1 ~ /a server/ { n++; if ($5 < 99.999 || $5 > 100.001) bad = 1 }
    NR > 1 && $1 ~ /one replica/ && $2 > 8 { n++; if ($5 > 99) bad = 1 } END { exit bad || n != 3 }' room
ok "what is described is fitted: power, energy of a step, bytes" rows '
    function off(a, b) { return a / b - 1 > 0 ? a / b - 1 : 1 - a / b }
    $3 == "p0" || $3 == "e_step" || $3 == "e_seq" { n++; if (off($4, $7) > 1e-3) bad = 1 }
    ($3 == "b" || $3 == "c") && $7 != "" { n++; if (off($4, $7) > 1e-3) bad = 1 }
    $3 == "d" { n++; if (off($4, $7) > 0.05) bad = 1 } END { exit bad || n != 7 }' parameters
ok "full load is the whole" rows '$3 == 100 { n++; if ($9 != 100) bad = 1 } END { exit bad || n != 4 }' load
ok "break-even lies between its whole numbers" rows '
    NR > 1 && $9 != "" { n++; split($10, b, " and "); if (!(b[1] <= $9 && $9 <= b[2] && b[2] == b[1] + 1)) bad = 1 }
    NR > 1 && $9 == "" && $10 !~ /never/ { bad = 1 } END { exit bad || !n }' even

out=$tmp/design
ok "the cliff begins at the bytes of the plan" rows 'NR > 1 && ($4 != $5 || $8 <= $7 || $10 < $8) { bad = 1 } END { exit bad || NR != 5 }' cliff_step
ok "less room is no faster" rows '
    NR > 1 { if ($1 == m && $4 > last * 1.005) bad = 1; m = $1; last = $4 } END { exit bad || NR < 15 }' cliff_curve
ok "the best trade is no worse than none" rows 'NR > 1 && ($7 > 1 || $9 < $7) { bad = 1 } END { exit bad || NR < 20 }' trade
ok "a larger memory fits more users" rows '
    NR > 1 && $6 == "llama3-8b" { fit[$1] = $7 }
    END { exit !(fit["half the size at twice the speed"] < fit["as described"] && fit["as described"] < fit["twice the size at half the speed"]) }' memory
ok "streamed is slower, and less so with more users" rows '
    NR > 1 { if ($6 < 0.9999 || ($1 == l && $6 > last * 1.0001)) bad = 1; l = $1; last = $6 } END { exit bad || NR < 10 }' stream
ok "bandwidth that does the same is what narrower numbers are worth, where memory binds" rows '
    NR > 1 && $4 == 1 { d = $7 / $9 - 1; if (d * d > 1e-4) bad = 1; n++ } END { exit bad || !n }' precision

fails "measuring for another report" 2 "takes no --measure, which is for report memory-wall" 1 report scaling --measure
finish
