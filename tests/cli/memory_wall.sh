#!/usr/bin/env bash
# northwall report memory-wall: printed rates, counts of the survey, shares, what is measured and what is not.
. "$(dirname "$0")/common.sh"

out=$tmp/wall
ok "northwall report memory-wall" sh -c '"$1" report memory-wall --measure --ctx 200 --repeat 1 --out "$2" >"$3"' _ \
    "$northwall" "$out" "$tmp/text"
ok "every printed rate is looked at" [ "$(wc -l <"$out/growth.csv")" = 13 ]
ok "all agree with a fit" csv '!/rounds to it|in the interval/ && NR > 1 { bad = 1 } END { exit bad }' growth
ok "all but one by their digits" [ "$(grep -c "rounds to it" "$out/growth.csv")" = 11 ]
ok "over 20 years too" [ "$(grep -c "rounds to it" "$out/growth20.csv")" = 5 ]
ok "fits lie in their intervals" csv 'NR > 1 && !($7 < $6 && $6 < $8 && $9 < $6 && $6 < $10) { bad = 1 } END { exit bad || NR < 2 }' growth
ok "a lane grows less than a device's links" csv '/^.interconnect.* 2024/ && $11 > 1.05 { found = 1 } END { exit !found }' mixes
ok "FLOP/s outgrow DRAM" csv '/^.?FLOP.s over DRAM; 2024/ && $3 > 1 && $6 == "yes" { found = 1 } END { exit !found }' gaps
ok "operations by the rule are the survey's, but bert-large's" csv '
    NR > 1 { off = $4 / $3; if ($1 == "bert-large" ? off < 1.04 || off > 1.09 : off < 0.97 || off > 1.025) bad = 1 }
    END { exit bad || NR != 19 }' intensity
ok "generation has two operations a byte or less" csv '$1 == "gpt2" && !($11 > 1.7 && $11 < 2.1) { bad = 1 } END { exit bad }' intensity
ok "texts of 128 tokens are measured" [ "$(grep -c ',128,.*,1,measured' "$out/latency.csv")" = 3 ]
ok "the first is the unit" [ "$(csv '$1 == "bert-base" && $2 == 128 { print $4 }' latency)" = 1 ]
ok "longer ones are not, and say so" [ "$(grep -c ',,,,,,,,not measured' "$out/latency.csv")" = 15 ]
ok "shares of each year sum to 100" csv '
    NR > 1 { sum = $7 + $8 + $9 + $10 + $11; if (sum < 99.99 || sum > 100.01) bad = 1 } END { exit bad || NR != 67 }' years
ok "years to come are extrapolated, with an interval" csv '
    NR > 1 && ($3 > 2022 ? $13 != "extrapolated" || !($5 < $4 && $4 < $6) : $13 != "estimated" || $5 != "") { bad = 1 }
    END { exit bad }' years
ok "links take over" csv '$1 ~ /device/ && $2 == 1 && $3 > 2023 && $3 < 2032 && $4 < $3 && $3 < $5 { found = 1 } END { exit !found }' crossings
ok "some models fit NorthPole's chip, and llama3-70b one H200" csv '
    $NF == "yes" && $4 < 100 { small++ } $1 == "llama3-70b" && $NF == "no" && $9 < 100 { large++ } END { exit !(small > 3 && large == 1) }' on_chip
for figure in growth intensity latency years years64; do
    ok "figure $figure has commands" grep -q "csv" "$out/wall_$figure.gp"
    if command -v gnuplot >/dev/null; then
        ok "figure $figure is drawn" grep -q "</svg>" "$out/wall_$figure.svg"
    fi
done

fails "measuring for another report" 2 "report NAME takes no --measure, which is for report memory-wall" 1 report northpole --measure
fails "measuring on two ranks" 2 "leave mpirun out" 2 report memory-wall --measure
finish
