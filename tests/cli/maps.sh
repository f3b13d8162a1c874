#!/usr/bin/env bash
# northwall report maps --quick: winners at the corners, boundaries on which both sides agree, shares, files.
. "$(dirname "$0")/common.sh"

out=$tmp/maps
table() { # AWK-PROGRAM FILE
    sed 's/\r$//' "$out/$2.csv" | awk -F, "$1"
}
ok "northwall report maps" sh -c '"$1" report maps --quick --out "$2" >"$3"' _ "$northwall" "$out" "$tmp/text"
"$northwall" report maps --quick >"$tmp/again"
ok "the same once more" sh -c 'grep -v "tables (CSV)" "$1" | sed "\$d" | cmp - "$2"' _ "$tmp/text" "$tmp/again"
ok "no column twice" single "$out"
findings=$(grep -c '^\* ' "$tmp/text")
ok "it finds something, and no more than one reads" [ "$findings" -ge 9 -a "$findings" -le 12 ]
least=$(grep -m 1 '^\* ' "$tmp/text" | sed -n 's|.* at least 1/\([0-9]*\) .* for 1 user,.*|\1|p')
ok "it leads with where tp8 begins" table '
    $1 == 1 && $2 == "latency" && $3 <= 3350 && $5 == "tp8" { n++; off = $3 / $8 / '"${least:-1}"' - 1; if (off * off > 4e-4) bad = 1 }
    END { exit bad || n < 2 }' boundaries
# rows from the fastest memory down, links from the slowest up
ok "slow memory and fast links: tp8" table 'END { exit $NF !~ /^T/ }' map_latency_1
ok "fast memory and slow links: pp8, bound by links" table 'NR == 2 { is = $2 ~ /^P1\.b/ } END { exit !is }' map_latency_1
ok "every cell has its best" table 'NR > 1 && !($16 >= 1 && $14 > 0 && $14 <= 100.001) { bad = 1 } END { exit bad || NR != 97 }' cells
ok "shares sum to 100" table 'NR > 1 { sum = $7 + $8 + $9 + $10 + $11; if (sum < 99.99 || sum > 100.01) bad = 1 } END { exit bad || NR != 193 }' regimes
ok "simulations agree on the boundaries" table 'NR > 1 && ($13 < 0.999 || $13 > 1.001) { bad = 1 } END { exit bad || NR < 20 }' boundaries
ok "intervals where there are draws" table 'NR > 1 && $11 != "" && $12 == 0 { n++; if (!($9 > 0 && $9 <= $10)) bad = 1 } END { exit bad || n < 4 }' boundaries
ok "latency's elasticities and the overhead sum to 1" table '
    NR > 1 { sum = -$6 - $7 + $8 - $9 + $10; if (sum < 0.9999 || sum > 1.0001) bad = 1 } END { exit bad || NR < 6 }' elasticities
ok "they are what simulations give" table 'NR > 1 && ($8 > 0.1 || $8 < -0.1 || $12 > 0.1 || $12 < -0.1) { bad = 1 } END { exit bad || NR < 25 }' secants
ok "roots of links agree with simulations" table 'NR > 1 && $9 != "" && ($9 < 0.99 || $9 > 1.01) { bad = 1 } END { exit bad || NR < 8 }' reach
ok "more cards are not always faster" table '$1 == "h100-sxm" { last = $6; if (!least || $6 < least) least = $6 } END { exit !(least < last) }' floors
for figure in latency energy regimes1 regimes8 floors; do
    ok "figure $figure has commands" grep -q "csv" "$out/maps_$figure.gp"
    if command -v gnuplot >/dev/null; then
        ok "figure $figure is drawn" grep -q "</svg>" "$out/maps_$figure.svg"
    fi
done
fails "a report of other options" 2 "takes no --measure" 1 report maps --measure
finish
