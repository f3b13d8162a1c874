#!/usr/bin/env bash
# Shares by the speeds of cards: the same bits as one rank, less time than even shares, and who may ask for them.
. "$(dirname "$0")/common.sh"

l4=$source/cluster-configs/l4-4.yaml
slow=(--straggler 1=0.5 --straggler 2=1.4)
run() { # N FILE OPTIONS...
    ranks "$1" run --model "$kjv" --prompt "In the beginning" -n 8 --seed 3 --json -q "${@:3}" >"$2" 2>"$tmp/err" ||
        { echo "$* on $1 ranks: $(cat "$tmp/err")" >&2; return 1; }
}
same_words() { # FILE
    [ -n "$(field "$1" logits_hash)" ] && [ "$(field "$tmp/one" logits_hash)" = "$(field "$1" logits_hash)" ] &&
        [ "$(field "$tmp/one" ids)" = "$(field "$1" ids)" ]
}
value() { # FILE KEY: of bench that of the row, behind the reference's
    tr -d ' \n' <"$1" | grep -oE "\"$2\":[^,}]*" | tail -n 1 | cut -d: -f2
}
less() {
    awk -v a="$1" -v b="$2" 'BEGIN { exit !(a > 0 && a < b) }'
}

run 1 "$tmp/one" --tp 1
for n in 2 3 4; do
    virtual=(--tp $n --cluster "$l4" --clock virtual --straggler 1=0.5 --set memory-bandwidth=0.05)
    ok "$n ranks" run $n "$tmp/$n" "${virtual[@]}"
    ok "$n ranks, even" run $n "$tmp/even" "${virtual[@]}" --shares even
    ok "$n ranks: the bits of one" same_words "$tmp/$n"
    ok "$n ranks: other shares" [ "$(field "$tmp/$n" plan_hash)" != "$(field "$tmp/even" plan_hash)" ]
    ok "$n ranks: less time" less "$(value "$tmp/$n" total_ps)" "$(value "$tmp/even" total_ps)"
done
ok "two stages" run 4 "$tmp/stages" --tp 2 --pp 2 --cluster "$l4" --clock virtual "${slow[@]}"
ok "two stages: the bits of one" same_words "$tmp/stages"

# A described machine shapes the plan of runs on the clock of this one too.
awk '{ print } /^cards:/ { print "exceptions:\n  - cards: 1\n    speed: {value: 0.5 x, source: \"assumed: a test\"}" }' "$l4" >"$tmp/unlike.yaml"
ok "--net" run 2 "$tmp/net" --tp 2 --net "$tmp/unlike.yaml"
ok "--net, even" run 2 "$tmp/even" --tp 2 --net "$tmp/unlike.yaml" --shares even
ok "--net: the bits of one" same_words "$tmp/net"
ok "--net: other shares" [ "$(field "$tmp/net" plan_hash)" != "$(field "$tmp/even" plan_hash)" ]
fails "--net of unequal ranks, and a map" 2 "tells of unequal speeds by the launcher's numbers" 2 run --model "$kjv" --tp 2 --net "$tmp/unlike.yaml" --map plan
ok "--net, even, and a map" run 2 "$tmp/map" --tp 2 --net "$tmp/unlike.yaml" --shares even --map plan
# A rank with more rows of the vocabulary offers more candidates, where all are wanted.
for n in 1 2; do
    ranks $n run --model "$kjv" --prompt "In the beginning" -n 8 --seed 3 --temperature 1.5 --top-k 0 --tp $n \
        --net "$tmp/unlike.yaml" --json -q >"$tmp/all$n" 2>"$tmp/err"
done
ok "all candidates: the ids of one" [ -n "$(field "$tmp/all1" ids)" -a "$(field "$tmp/all1" ids)" = "$(field "$tmp/all2" ids)" ]
"$northwall" plan --model "$kjv" --tp 2 --net "$tmp/unlike.yaml" --json >"$tmp/plan"
"$northwall" plan --model "$kjv" --tp 2 --net "$l4" --json >"$tmp/plain"
ok "plan: fewer leaves on the slow card" [ "$(field "$tmp/plan" ffn_leaf_begin)" != '"ffn_leaf_begin":[0,8,16]' ]
ok "plan: even shares of equal cards" [ "$(field "$tmp/plain" ffn_leaf_begin)" = '"ffn_leaf_begin":[0,8,16]' ]
ok "bench" ranks 2 bench --model "$kjv" --tp 2 --net "$tmp/unlike.yaml" --n-prompt 4 -n 4 --repeat 2 -q >"$tmp/bench"

# Measured on a machine that is slowed down: half of the bandwidth on rank 1.
paced() {
    ranks 2 bench --model "$kjv" --tp 2 --n-prompt 2 -n 4 --repeat 3 --pace mem=0.1GB/s --straggler 1=0.5 --json "$@" 2>/dev/null
}
ok "paced" paced >"$tmp/paced"
ok "paced, even" paced --shares even >"$tmp/even"
ok "paced: less time" less "$(value "$tmp/paced" latency_ms_per_tok)" "$(value "$tmp/even" latency_ms_per_tok)"

# Without such cards, and where ranks share a cache, there is nothing to follow.
for word in speed even; do
    simulate=("$northwall" simulate --model llama3-8b --cluster "$l4" --shares $word --json --generate 16)
    "${simulate[@]}" --tp 2 >"$tmp/equal-$word"
    "${simulate[@]}" --tp 2 --straggler 1=0.5 >"$tmp/half-$word"
    "${simulate[@]}" --kvp 2 --straggler 1=0.5 >"$tmp/kvp-$word"
    "${simulate[@]}" --pp 2 --straggler 1=0.5 >"$tmp/pp-$word"
done
ok "equal cards" cmp "$tmp/equal-speed" "$tmp/equal-even"
ok "a shared cache" cmp "$tmp/kvp-speed" "$tmp/kvp-even"
ok "two cards: at least a fifth less" less "$(value "$tmp/half-speed" total_ps)" "$(awk -v t="$(value "$tmp/half-even" total_ps)" 'BEGIN { print 0.8 * t }')"
ok "a pipeline: layers follow" less "$(value "$tmp/pp-speed" total_ps)" "$(value "$tmp/pp-even" total_ps)"
fails "shares of another kind" 2 "--shares 'odd': expected speed or even" 2 run --model "$kjv" --prompt a --shares odd
fails "a straggler of no pace" 2 "--straggler: a card of which cluster?" 2 bench --model "$kjv" --straggler 1=0.5

finish
