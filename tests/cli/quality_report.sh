#!/usr/bin/env bash
# northwall report quality: labels hold, errors are as predicted, divergences follow them.
. "$(dirname "$0")/common.sh"

out=$tmp/report
ok "northwall report quality" "$northwall" report quality --quick --out "$out"
ok "no column twice" single "$out"
ok "labels" [ "$(wc -l <"$out/quality_labels.csv")" = 5 ]
ok "bit-exact: no other bit, KL 0" csv '$1 == "bit-exact" && $2 > 20 && $3 > 5000 && $4 == 0 && $5 == 0 { found = 1 } END { exit !found }' quality_labels
ok "no divergence above its bound" csv 'NR > 1 && $7 != "" && $7 > 1 { bad = 1 } END { exit bad || NR < 5 }' quality_labels
ok "errors of normal values are as predicted" csv '$3 == "normal" { n++; if ($9 < 0.95 || $9 > 1.05) bad = 1 } END { exit bad || n < 20 }' quality_errors
ok "of the decoder's within half" csv '$3 ~ /decoder/ { n++; if ($9 < 0.5 || $9 > 1.5) bad = 1 } END { exit bad || n < 20 }' quality_errors
ok "no error above its bound" csv 'NR > 1 && $10 > 1 { bad = 1 } END { exit bad }' quality_errors
ok "divergences follow variances" csv 'NR > 1 { n++; if ($8 < 0.5 || $8 > 2) bad = 1 } END { exit bad || n < 5 }' quality_scaling
ok "sums in another order, in floats" csv '/in floats/ && $2 > 0 && $4 > 0 && $5 <= $6 { found = 1 } END { exit !found }' quality_labels
ok "two shots round twice" csv '$2 == "twoshot int8" && $6 != 2 { bad = 1 } $2 == "oneshot int8" && $6 != 1 { bad = 1 } END { exit bad }' quality_errors
ok "three decoders, of which training tells" csv 'NR > 1 { n++; if ($9 != "" || $6 < $7 || $6 > $8) bad = 1 } END { exit bad || n != 3 }' quality_training
# all of the held-out text, as the logs of the training have it
engine_and_log() { # FILE ROW-OF-THE-LOG
    local log=$source/models/bundled/lsq.log
    "$northwall" model perplexity --model "$source/models/bundled/$1" "$source/models/bundled/heldout.txt" --mode w4a4 \
        --window 512 --threads 2 --json -q >"$tmp/engine"
    awk -F, -v engine="$(field "$tmp/engine" perplexity | cut -d: -f2)" -v row="$2" '$6 ~ /^[0-9]/ { all[n++] = $6 }
        END { off = engine - all[row == "last" ? n - 1 : 0]; exit !(n > 1 && engine > 1 && off < 0.01 && off > -0.01) }' "$log"
}
ok "post-training: engine and log" engine_and_log kjv-3m-w4a4-ptq.gguf first
ok "learned steps: engine and log" engine_and_log kjv-3m-w4a4.gguf last
finish
