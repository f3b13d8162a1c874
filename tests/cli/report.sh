#!/usr/bin/env bash
# northwall report northpole: the fits give the published throughput, identities hold, files are what it says.
# northwall report memory-wall: printed rates, counts of the survey, shares, what is measured and what is not.
. "$(dirname "$0")/common.sh"

out=$tmp/files
cell() { # TABLE ROW COLUMN: of a CSV file without quoted commas in front of it
    awk -F, -v row="$2" -v column="$3" '{ sub(/\r$/, "") } $1 == row { print $column; exit }' "$out/$1.csv"
}
near() { # A B RELATIVE
    awk -v a="$1" -v b="$2" -v most="$3" 'BEGIN { d = a / b - 1; exit !(a != "" && (d < 0 ? -d : d) <= most) }'
}

ok "northwall report northpole" sh -c '"$1" report northpole --out "$2" >"$3"' _ "$northwall" "$out" "$tmp/text"
ok "the text says what it is" grep -q "simulated and deterministic" "$tmp/text"
fits=$(awk -F, 'NR > 1 { print $1 }' "$out/fits.csv")
ok "each missing number is fitted" [ "$(echo "$fits" | wc -l)" -ge 8 ]
for f in $fits; do
    ok "$f gives 28,356 tok/s" near "$(cell fits $f 3)" 28356 1e-6
    ok "$f: shares sum to 1" near "$(awk -F, -v f=$f '$1 == f { print $6 + $7 + $8 + $9 + $10 }' "$out/fits.csv")" 100 1e-6
done
ok "the fits agree on the paper's run, and on no other" awk -F, '
    { sub(/\r$/, "") }
    NR == 1 { k = NF - 2; next }
    { least = most = $NF; for (i = NF - k + 1; i <= NF; i++) { if ($i < least) least = $i; if ($i > most) most = $i } }
    /^"the paper/ && most / least > 1.00001 { bad = 1 }
    !/^"the paper/ && least > 0 && most / least < 1.01 { bad = 1 }
    END { exit bad || NR < 8 }' "$out/apart.csv"
ok "a published figure is not the model's" [ "$(grep -c '^system throughput,tok/s,fitted,28356,' "$out/figures.csv")" = 1 ]
ok "as described it is another" sh -c '! grep -q "^system throughput,tok/s,fitted,28356,28356" "$1"' _ "$out/figures.csv"
ok "two GPU points are fitted, with three shares of the peak" [ "$(grep -c ",fitted," "$out/gpu_points.csv")" = 6 ]
ok "GPU points are predicted too" grep -q ',prediction,' "$out/gpu_points.csv"
ok "figure 2 has its five panels' data" [ "$(wc -l <"$out/figure2.csv")" -gt 100 ]
# 104 MiB in 14 passes at 7.2 GB/s: at least 212 ms a token
ok "weights that are not resident come over the link for each pass" near "$(cell judge "weights not resident" 3)" 222 0.02
for panel in a b c d e; do
    ok "figure 2$panel has commands" grep -q "figure2.csv" "$out/figure2$panel.gp"
    if command -v gnuplot >/dev/null; then
        ok "figure 2$panel is drawn" grep -q "</svg>" "$out/figure2$panel.svg"
        ok "figure 2$panel has 3 or 4 published points" awk '
            /<title>/ { published = /as published/ } published { n += gsub(/<use /, "") }
            END { exit n < 4 || n > 5 }' "$out/figure2$panel.svg" # one more in the key
    fi
done

out=$tmp/wall
wall() { # AWK-PROGRAM FILE: of a CSV file, whose quoted cells lose their commas
    sed -E ':a; s/^(([^"]*"[^"]*")*[^"]*"[^",]*),([^"]*")/\1;\3/; ta; s/\r$//' "$out/$2.csv" | awk -F, "$1"
}
ok "northwall report memory-wall" sh -c '"$1" report memory-wall --measure --ctx 200 --repeat 1 --out "$2" >"$3"' _ \
    "$northwall" "$out" "$tmp/text"
ok "every printed rate is looked at" [ "$(wc -l <"$out/growth.csv")" = 13 ]
ok "all agree with a fit" wall '!/rounds to it|in the interval/ && NR > 1 { bad = 1 } END { exit bad }' growth
ok "all but one by their digits" [ "$(grep -c "rounds to it" "$out/growth.csv")" = 11 ]
ok "over 20 years too" [ "$(grep -c "rounds to it" "$out/growth20.csv")" = 5 ]
ok "fits lie in their intervals" wall 'NR > 1 && !($7 < $6 && $6 < $8 && $9 < $6 && $6 < $10) { bad = 1 } END { exit bad || NR < 2 }' growth
ok "a lane grows less than a device's links" wall '/^.interconnect.* 2024/ && $11 > 1.05 { found = 1 } END { exit !found }' mixes
ok "FLOP/s outgrow DRAM" wall '/^.?FLOP.s over DRAM; 2024/ && $3 > 1 && $6 == "yes" { found = 1 } END { exit !found }' gaps
ok "operations by the rule are the survey's, but bert-large's" wall '
    NR > 1 { off = $4 / $3; if ($1 == "bert-large" ? off < 1.04 || off > 1.09 : off < 0.97 || off > 1.025) bad = 1 }
    END { exit bad || NR != 19 }' intensity
ok "generation has two operations a byte or less" wall '$1 == "gpt2" && !($11 > 1.7 && $11 < 2.1) { bad = 1 } END { exit bad }' intensity
ok "texts of 128 tokens are measured" [ "$(grep -c ',128,.*,1,measured' "$out/latency.csv")" = 3 ]
ok "the first is the unit" [ "$(wall '$1 == "bert-base" && $2 == 128 { print $4 }' latency)" = 1 ]
ok "longer ones are not, and say so" [ "$(grep -c ',,,,,,,,not measured' "$out/latency.csv")" = 15 ]
ok "shares of each year sum to 100" wall '
    NR > 1 { sum = $7 + $8 + $9 + $10 + $11; if (sum < 99.99 || sum > 100.01) bad = 1 } END { exit bad || NR != 67 }' years
ok "years to come are extrapolated, with an interval" wall '
    NR > 1 && ($3 > 2022 ? $13 != "extrapolated" || !($5 < $4 && $4 < $6) : $13 != "estimated" || $5 != "") { bad = 1 }
    END { exit bad }' years
ok "links take over" wall '$1 ~ /device/ && $2 == 1 && $3 > 2023 && $3 < 2032 && $4 < $3 && $3 < $5 { found = 1 } END { exit !found }' crossings
ok "some models fit NorthPole's chip, and llama3-70b one H200" wall '
    $NF == "yes" && $4 < 100 { small++ } $1 == "llama3-70b" && $NF == "no" && $9 < 100 { large++ } END { exit !(small > 3 && large == 1) }' on_chip
for figure in growth intensity latency years years64; do
    ok "figure $figure has commands" grep -q "csv" "$out/wall_$figure.gp"
    if command -v gnuplot >/dev/null; then
        ok "figure $figure is drawn" grep -q "</svg>" "$out/wall_$figure.svg"
    fi
done

fails "measuring for another report" 2 "report northpole takes no --measure, which is for report memory-wall" 1 report northpole --measure
fails "measuring on two ranks" 2 "leave mpirun out" 2 report memory-wall --measure
fails "no such report" 2 "there are northpole, memory-wall" 1 report southpole
fails "report what" 2 "there are northpole, memory-wall" 1 report
touch "$tmp/file"
fails "a file in the way" 4 "cannot make this folder" 1 report northpole --out "$tmp/file"
fails "a folder nowhere" 4 "cannot make this folder" 1 report northpole --out "$tmp/none/there"
finish
