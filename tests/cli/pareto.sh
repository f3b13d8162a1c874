#!/usr/bin/env bash
# northwall report pareto: fronts are fronts, orders save with each step, rows are what simulate says, losses what
# quality says.
. "$(dirname "$0")/common.sh"

out=$tmp/report
ok "northwall report pareto" "$northwall" report pareto --quick --out "$out"
ok "no column twice" single "$out"
# machine, model, users, against; time in 10, energy in 11, KL in 12
ok "fronts: what costs more loses less" csv 'NR > 1 { key = $1 $2 $3 $4; cost = $4 == "time" ? $10 : $11
    if (key == last && !(cost > c && $12 < kl)) bad = 1; last = key; c = cost; kl = $12; n++ } END { exit bad || n < 50 }' pareto_front
ok "simulated as estimated" csv 'NR > 1 && ($16 < 0.99 || $16 > 1.01) { bad = 1 } END { exit bad }' pareto_front
# machine, model, users, least, step, saved, four kinds, strategy, time, energy, this step, so far, KL
ok "each step saves, by one kind of change" csv 'NR > 1 { key = $1 $2 $3 $4; cost = $4 == "time" ? $12 : $13; changed = 0
    for (i = 7; i <= 10; i++) { changed += $i != was[i]; was[i] = $i }
    if (key == last && (changed != 1 || cost > 0.995 * c)) bad = 1
    last = key; c = cost; n++ } END { exit bad || n < 30 }' pareto_order
ok "four machines, for time and energy" [ "$(csv 'NR > 1 && $5 == 0 { n++ } END { print n }' pareto_order)" = 8 ]
ok "no point of a machine beats its front" eval 'csv "NR > 1 && \$4 == \"time\" { print \$1, \$10, \$12 }" pareto_front >"$tmp/front";
    csv "NR > 1 && \$4 == \"time\" { print \$1, \$10, \$12 }" pareto_points >"$tmp/points";
    awk "NR == FNR { c[NR] = \$2; k[NR] = \$3; m[NR] = \$1; n = NR; next }
        { beaten = 0; for (i = 1; i <= n; i++) beaten += m[i] == \$1 && c[i] <= \$2 * (1 + 1e-8) && k[i] <= \$3 * (1 + 1e-8)
          if (!beaten) bad = 1; seen++ } END { exit bad || seen < 500 }" "$tmp/front" "$tmp/points"'

# The last step on the boards is what simulate estimates of the same words.
row=$(csv 'NR > 1 && $1 == "boards-1gbe" && $4 == "time" { row = $7 "|" $8 "|" $9 "|" $10 "|" $11 "|" $12 "|" $13 } END { print row }' pareto_order)
IFS='|' read -r numbers cache wires syncs strategy time energy <<<"$row"
ok "the last step drops all syncs" [ "$syncs" = "100 % dropped" ]
"$northwall" simulate --estimate --json --cluster "$source/cluster-configs/boards-1gbe.yaml" --model tinyllama-1.1b --quant "${numbers% *}" \
    --mode "${numbers#* }" --kv "$cache" --wire "${wires% *}" --allreduce "${wires#* }" --drop-sync all --strategy "$strategy" \
    --prompt 896 --generate 128 >"$tmp/simulated"
near() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a > 0 && a / b > 1 - 1e-6 && a / b < 1 + 1e-6) }'; }
ok "its time" near "$time" "$(field "$tmp/simulated" latency_ms_per_tok | cut -d: -f2)"
ok "its energy" near "$energy" "$(field "$tmp/simulated" energy_mJ_per_tok | cut -d: -f2)"

ok "a machine of one's own" "$northwall" report pareto --quick --cluster "$source/cluster-configs/h100-sxm.yaml" --ranks 2 \
    --model tinyllama-1.1b --users 4 --json >"$tmp/own"
ok "its users" [ "$(grep -c '"users": 4' "$tmp/own")" -gt 20 ]
fails "no machine" 2 "--users: on which machine? Give --cluster" 1 report pareto --users 3
fails "no model" 2 "of which model? Give --model" 1 report pareto --cluster "$source/cluster-configs/l4.yaml"
fails "no number of cards" 2 "give --ranks N" 1 report pareto --cluster "$source/cluster-configs/l4.yaml" --model gpt2

# Measured losses that are not what is measured now, or no table.
export NORTHWALL_SHARE=$tmp/share
mkdir -p "$NORTHWALL_SHARE/analysis/data"
ln -s "$source/models" "$source/cluster-configs" "$NORTHWALL_SHARE/"
ln -s "$source/analysis/sweeps" "$NORTHWALL_SHARE/analysis/"
losses=$source/analysis/data/quality.csv own=$NORTHWALL_SHARE/analysis/data/quality.csv
awk -F, -v OFS=, 'NR > 1 && $8 != "" { $8 *= 1.001 } 1' "$losses" >"$own"
fails "other losses" 7 "but measured now" 1 report pareto --quick
head -n 1 "$losses" >"$own"
fails "no losses" 3 "quality.csv: no row" 1 report pareto --quick
sed '2s/4080/4081/' "$losses" >"$own"
fails "losses of two texts" 3 "not of one text" 1 report pareto --quick
sed '1s/kl_nats:n/other/' "$losses" >"$own"
fails "losses without n" 3 "row 2: no kl_nats and dnll_nats with their n" 1 report pareto --quick
sed '3s/,/"/' "$losses" >"$own"
fails "no table" 3 "quality.csv:" 1 report pareto --quick
sed 's/kjv-3m-q4_0/none/' "$losses" >"$own"
fails "an unknown model" 4 "models/bundled/none.gguf" 1 report pareto --quick
finish
