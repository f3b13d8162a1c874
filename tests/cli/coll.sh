#!/usr/bin/env bash
# northwall coll: columns, checked results, JSON, bad options. Sizes and repetitions are small: nothing here is a speed.
. "$(dirname "$0")/common.sh"

small=(-b 64 -e 4K -f 8 -n 7 -w 1)
rows() { awk '$6 == "out" || $6 == "in"' "$1"; } # of the table
wrong() { rows "$1" | sed 's/\[[^]]*\]/-/' | awk '{w += $13} END {print w + 0}'; }

for n in 1 2 3 4; do
    ranks $n coll "${small[@]}" >"$tmp/out" 2>"$tmp/err"
    status=$?
    ok "all algorithms, $n ranks: status $status $(head -c 200 "$tmp/err")" [ $status = 0 -a ! -s "$tmp/err" ]
    for column in 'size(B)' count type algo via p5 p50 p95 algbw busbw '#wrong' msgs words predicted 'x floor' 'x mpi' label hand-off; do
        ok "column $column, $n ranks" grep -qF "$column" "$tmp/out"
    done
    methods=$("$northwall" list | sed -n '/^collective/,/^$/p' | grep -cE '^  [a-z]+ ')
    [ $n = 1 ] && methods=$((methods - 1)) # no library below one rank
    ok "rows, $n ranks" [ "$(rows "$tmp/out" | wc -l)" = $((3 * 2 * (methods - 1))) ]
    ok "nothing wrong, $n ranks" [ "$(wrong "$tmp/out")" = 0 ]
    whats=("--op allgather" "--context gemv:32K --algo oneshot,ring")
    [ $n = 3 ] && whats+=("--op reduce_scatter" "--reduce attn_merge:5" "--reduce topk:3" "--wire fp16" "--wire int8" "--wire int4"
        "--algo auto,hierarchical:tree:ring --transport link")
    for what in "${whats[@]}"; do
        ranks $n coll "${small[@]}" --in-place --json $what >"$tmp/json" 2>"$tmp/err"
        status=$?
        ok "$what, $n ranks: status $status $(head -c 200 "$tmp/err")" [ $status = 0 ]
        python3 - "$tmp/json" $n <<'PY'
import json, sys
o = json.load(open(sys.argv[1]))
keys = """algo bytes time_us_p5 time_us_p50 time_us_p95 wrong messages words handoff_ns floor_us predicted_us label transport n
context in_place count op""".split()
assert o["rows"] and o["ranks"] == int(sys.argv[2]) and o["wrong"] == 0
for r in o["rows"]:
    assert all(k in r for k in keys), [k for k in keys if k not in r]
    assert 0 < r["time_us_p5"] <= r["time_us_p50"] <= r["time_us_p95"] and r["wrong"] == 0 and r["n"] == 7
    assert r["messages"] >= (o["ranks"] > 1)
PY
        ok "$what, $n ranks: JSON" [ $? = 0 ]
    done
    [ $n = 1 -o $n = 3 ] || continue
    flip=$((n - 1))
    fails "flipped operand, $n ranks" 7 "wrong" $n coll --algo oneshot "${small[@]}" --flip $flip
    ok "flipped operand, $n ranks: one element of each result" [ "$(wrong "$tmp/out")" = $((3 * 2 * 2 * 8 * n)) ]
    fails "flipped operand on the wire, $n ranks" 7 "wrong" $n coll --algo twoshot "${small[@]}" --flip $flip --wire int8
    fails "flipped operand behind a product, $n ranks" 7 "wrong" $n coll --algo oneshot "${small[@]}" --context gemv:16K --flip $flip
done
ranks 2 coll "${small[@]}" --algo mpi,tree --transport shm,link --osu >"$tmp/out"
ok "OSU's columns" [ "$(grep -c '^# Size' "$tmp/out")" = 9 -a "$(grep -cE '^[0-9]+ +[0-9.]+$' "$tmp/out")" = 9 ]
ranks 2 coll "${small[@]}" --algo tree --json --out "$tmp/file.json" >"$tmp/out"
ok "--out" [ ! -s "$tmp/out" -a -s "$tmp/file.json" ]
ranks 2 coll -b 4K -e 4K --algo tree --in-place >"$tmp/out"
ok "as many repetitions as it takes" grep -qE 'n = (31|63|127|255|511|1001):' "$tmp/out"

"$northwall" coll --verify --ranks 9 >"$tmp/out" 2>"$tmp/err"
ok "--verify: status $?" grep -q "all counts as the formulas say" "$tmp/out"
ok "--verify: a row of each algorithm and collective" [ "$(grep -c ' ok$' "$tmp/out")" -ge 19 ]
ok "--verify: messages, words, additions of 8 ranks" grep -qE '^ring +allreduce .* 14 +1\.750 +0\.875 ' "$tmp/out"
ok "--verify: twoshot is bit-exact" grep -qE '^twoshot +allreduce .* bit-exact ' "$tmp/out"
ranks 2 coll --verify --ranks 5 --algo tree,hierarchical:ring:tree >"$tmp/out"
ok "--verify of two, under mpirun" [ "$(grep -c ' ok$' "$tmp/out")" = 2 ]
"$northwall" list >"$tmp/out"
ok "list: methods with their costs" grep -qE 'tp, ring +2L \(2 \(P-1\)\) +2L \(2 \(P-1\)/P d\)' "$tmp/out"
ok "list: every algorithm" [ "$(grep -c '^  tp, ' "$tmp/out")" = "$(sed -n '/^collective/,/^$/p' "$tmp/out" | grep -c '^  ')" ]

fails "an algorithm that is none" 2 "no collective algorithm is called 'nosuch'" 1 coll --algo nosuch
fails "a collective that is none" 2 "--op bcast" 1 coll --op bcast
fails "an algorithm without that collective" 2 "tree has no allgather" 1 coll --op allgather --algo tree
fails "a size that is none" 2 "--min-bytes 1x" 1 coll -b 1x
fails "sizes that cross" 2 "is more than" 1 coll -b 2K -e 1K
fails "repetitions" 2 "--reps" 1 coll -n some
fails "a wire form that is none" 2 "--wire int9" 1 coll --wire int9
fails "a wire form of what is no sum" 2 "is for sums" 1 coll --wire int8 --reduce topk:2
fails "an op without its size" 2 "write topk:64" 1 coll --reduce topk
fails "a transport that is none" 2 "--transport pigeon" 1 coll --transport shm,pigeon
fails "a context that is none" 2 "--context sun" 1 coll --context sun
fails "a rank that is none" 2 "no such rank" 1 coll --flip 2
fails "--verify with sizes" 2 "takes no --min-bytes" 1 coll --verify -b 4
fails "--verify of too many ranks" 2 "at most 64" 1 coll --verify --ranks 65
fails "--out without --json" 2 "--out is for --json" 1 coll --out x
for n in 2 3; do
    fails "an algorithm that is none, $n ranks" 2 "no collective algorithm" $n coll --algo nosuch
    fails "--verify of too many ranks, $n ranks" 2 "at most 64" $n coll --verify --ranks 65
done
fails "the library's on one rank" 2 "start it with mpirun" 1 coll --algo mpi
finish

# The bandwidth below which a form pays and the gain at the link's own bandwidth come from the same prices.
"$northwall" coll --crossover --ranks 8 -b 4K -e 256K >"$tmp/out" 2>"$tmp/err"
ok "--crossover: status $?" [ "$(grep -c 'x$' "$tmp/out")" = 12 -a ! -s "$tmp/err" ]
ok "--crossover: bandwidths agree with gains" python3 - "$tmp/out" <<'PY'
import re, sys
unit = {"kB/s": 1e3, "MB/s": 1e6, "GB/s": 1e9, "TB/s": 1e12}
seen = set()
for line in open(sys.argv[1]):
    own = re.search(r"(?:shm|mpi|net) +(\S+) ([kMGT]B/s)", line)
    for rate, u, gain in re.findall(r"(?:fp16|int8|int4) +(\S+) (.B/s) +([0-9.]+)x", line):
        pays = float(own[1]) * unit[own[2]] < float(rate) * unit[u]
        assert (float(gain) >= 1) if pays else (float(gain) <= 1), line
        seen.add(pays)
assert seen == {True, False}
PY
ranks 3 coll --ping-pong -b 64 -e 256 --json >"$tmp/out"
ok "--ping-pong: pairs and sizes" [ "$(grep -c '"time_us_p50":' "$tmp/out")" = 4 -a "$(tr -d ' \n' <"$tmp/out" | grep -o '"ranks":\[[0-9,]*\]' | tr '\n' ' ')" = '"ranks":[0,1] "ranks":[2,0] ' ]
fails "--ping-pong faster than the link" 7 "not those of 0.01 Mb/s" 2 coll --ping-pong -b 64 -e 1K --expect 0.01
ok "--ping-pong faster than the link: early" [ "$(grep -c 'early$' "$tmp/out")" = 3 ]
fails "--ping-pong alone" 2 "two ranks" 1 coll --ping-pong
fails "--crossover of one rank" 2 "how many ranks" 1 coll --crossover
fails "--crossover of too many" 2 "at most 64" 1 coll --crossover --ranks 65
fails "--crossover measures nothing" 2 "takes no --reps" 1 coll --crossover --ranks 2 -n 5
