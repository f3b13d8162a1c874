#!/usr/bin/env bash
# northwall report northpole: the fits give the published throughput, identities hold, files are what it says.
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

ok "the first finding is the throughput as described" grep -q "^\* As described, .*111812 tok/s, 3.94 times" "$tmp/text"

# Tables that a terminal can draw.
if command -v gnuplot >/dev/null; then
    ok "figures in letters" sh -c '"$1" report fits --quick --plot >"$2"' _ "$northwall" "$tmp/letters"
    ok "both of them, with axes" [ "$(grep -c '^ *[0-9.]* [|+][-+]' "$tmp/letters")" -gt 5 ]
    ok "no gnuplot: plain words" sh -c 'PATH=/nowhere "$1" report fits --quick --plot 2>&1 >/dev/null | grep -q "gnuplot is not installed"' _ "$northwall"
    ok "where the parent ignores the ends of its children" bash -c 'trap "" CHLD; exec "$1" report fits --quick --plot >"$2"' _ "$northwall" "$tmp/letters"
fi
fails "letters within JSON" 2 "give one of them" 1 report fits --plot --json
fails "letters to a file" 2 "draws to the terminal" 1 report fits --plot=x.svg
ok "no mpirun: one sentence" sh -c 'PATH=/nowhere "$1" report main-job --quick 2>&1 | grep -q "^northwall: mpirun is not there: install"' _ "$northwall"

fails "no such report" 2 "there are main-job," 1 report southpole
fails "a page, but where" 2 "where to? Give --out FOLDER" 1 report
fails "a page on two ranks" 2 "run it without mpirun" 2 report --out "$tmp/page"
fails "a page as JSON" 2 "report takes no --json, which is for report NAME" 1 report --out "$tmp/page" --json
touch "$tmp/file"
fails "a file in the way" 4 "cannot make this folder" 1 report northpole --out "$tmp/file"
fails "a folder nowhere" 4 "cannot make this folder" 1 report northpole --out "$tmp/none/there"
finish
