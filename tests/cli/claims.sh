#!/usr/bin/env bash
# northwall report claims and report validation: rows, verdicts, what is left out without mpirun.
. "$(dirname "$0")/common.sh"

out=$tmp/files
ok "northwall report claims" sh -c '"$1" report claims --quick --out "$2" >"$3"' _ "$northwall" "$out" "$tmp/text"
ok "each claim has a verdict that there is" csv '
    NR > 1 && $4 !~ /^(holds|holds where|does not hold|cannot be told)$/ { bad = 1 } END { exit bad || NR < 50 }' claims
ok "and a criterion and a reason" csv 'NR > 1 && ($3 == "" || $4 == "") { bad = 1 } END { exit bad || NR < 50 }' criteria
ok "verdicts are counted" [ "$(csv 'NR > 1 { n += $6 } END { print n }' verdicts)" = "$(csv 'END { print NR - 1 }' claims)" ]
ok "each that does not hold is said" [ "$(grep -c '^\* Does not hold' "$tmp/text")" = "$(csv '$4 == "does not hold"' claims | wc -l)" ]
ok "what is fitted cannot be told" csv '
    $NF == "fitted" && $2 ~ /NorthPole/ { n++; if ($4 != "cannot be told") bad = 1 } END { exit bad || n < 2 }' claims
ok "nor what is an input" csv '/672 W/ && $4 == "cannot be told" { found = 1 } END { exit !found }' claims
ok "nor what 4 bits cost" csv '/4-bit weights and activations cost/ && $4 == "cannot be told" { found = 1 } END { exit !found }' claims
ok "weights on the chip: 200 to 2,000 times" csv '/weights on the chip/ && $4 == "holds" && $6 > 200 && $7 < 2000 { found = 1 } END { exit !found }' claims
ok "misses: 4 to 5 cycles" csv '/of misses/ && $4 == "holds" && $6 == 4 && $7 == 5 { found = 1 } END { exit !found }' claims
ok "shares of a token sum to 100" csv '
    NR > 1 { sum = $4 + $5 + $6 + $7 + $8; if (sum < 99.99 || sum > 100.01) bad = 1 } END { exit bad || NR < 20 }' batches
ok "a batch of 8 is looked at, as its finding says" csv '$2 == 8 { n++ } END { exit n < 6 }' batches
ok "lengths are those looked at" csv '/of two encoders/ && /128 to 2048 tokens; 4 cards/ { found = 1 } END { exit !found }' criteria
ok "no number for what has a range alone" csv '/fewer operations a byte/ && $5 == "" && $6 > 0 && $7 > $6 { found = 1 } END { exit !found }' claims

# No mpirun: what needs it is left out, and said to be. The random plans follow from their numbers.
mkdir "$tmp/path"
ok "northwall report validation" sh -c 'PATH=$4 "$1" report validation --quick --out "$2" >"$3"' _ "$northwall" "$out" "$tmp/text" "$tmp/path"
ok "without mpirun it says so" grep -q "^\* Left out: .*emulated runs: mpirun is not there" "$tmp/text"
ok "nothing is measured with --quick" grep -q "everything measured on this machine: --quick" "$tmp/text"
ok "errors of the closed form are small, and some" csv '
    /^random plans/ { n += $4; if (!($5 < 0.1 && $6 < 1 && $7 > 0)) bad = 1 } END { exit bad || n < 100 }' errors
ok "a point for each that is counted" [ "$(csv 'NR > 1 { n += $4 } END { print n }' errors)" = "$(csv 'END { print NR - 1 }' points)" ]
ok "the rack was not fitted to" csv '/rack of 2025; if/ { n++; if ($3 != 2.8 || $8 == 0) bad = 1 } END { exit bad || n < 3 }' points
ok "with mpirun" sh -c '"$1" report validation --quick --out "$2" >"$3"' _ "$northwall" "$out" "$tmp/text"
ok "simulated equals emulated" grep -q "^\* runs beside virtual clocks: simulated equals emulated to the last digit in all cases, n = 2" "$tmp/text"
for figure in claims_batches validation_points validation_errors; do
    ok "figure $figure has commands" grep -q "csv" "$out/$figure.gp"
    if command -v gnuplot >/dev/null; then
        ok "figure $figure is drawn" grep -q "</svg>" "$out/$figure.svg"
    fi
done
finish
