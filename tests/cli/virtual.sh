#!/usr/bin/env bash
# Virtual time: ranks that run have the simulator's times to the picosecond; what cannot be described is refused.
. "$(dirname "$0")/common.sh"

configs=$source/cluster-configs
h100=$configs/h100-sxm-8.yaml
northpole=$configs/northpole-16.yaml
printf 'In the beginning\nAnd God said\nIn the beginning\nAnd God said\n' >"$tmp/prompts"

# The prompts have as many tokens as simulate is told: both are given one prompt, several times.
same_time() { # NAME RANKS CLUSTER OPTIONS...
    local name=$1 n=$2 cluster=$3
    shift 3
    yes "In the beginning" | head -n 4 >"$tmp/prompts"
    ranks "$n" run --model "$kjv" --prompts "$tmp/prompts" -n 9 --ignore-eos --cluster "$cluster" --clock virtual --trace "$tmp/run.trace" --json -q "$@" \
        >"$tmp/run" 2>"$tmp/err"
    local tokens
    tokens=$(field "$tmp/run" prompt_tokens | grep -oE '[0-9]+')
    "$northwall" simulate --model "$kjv" --cluster "$cluster" --users 4 --prompt $((tokens / 4)) --generate 9 --trace "$tmp/sim.trace" --json "$@" >"$tmp/sim"
    ok "$name: trace" cmp "$tmp/run.trace" "$tmp/sim.trace"
    rm -f "$tmp/run.trace"
    for key in total_ps prefill_ms critical_path energy_mJ_per_tok throughput_tok_per_s memory_bytes_per_card; do
        ok "$name: $key" [ -n "$(field "$tmp/sim" $key)" -a "$(field "$tmp/run" $key)" = "$(field "$tmp/sim" $key)" ]
    done
}
same_time "one card" 1 "$configs/l4.yaml"
same_time "tensor parallel" 3 "$h100" --tp 3 --chunk 5
same_time "pipeline and hybrid" 4 "$h100" --tp 2 --pp 2 --micro-batches 2
same_time "replicas" 4 "$configs/ib-cpu.yaml" --dp 2 --pp 2
same_time "shared cache" 4 "$h100" --tp 2 --kvp 2
same_time "lossy links" 2 "$configs/boards-1gbe.yaml" --tp 2 --wire int8
sed 's/^    transfer: push/    transfer: push\n    medium: fifo/' "$h100" >"$tmp/shared.yaml"
same_time "a shared link and its arbiter" 4 "$tmp/shared.yaml" --tp 3
same_time "stragglers" 4 "$h100" --tp 2 --pp 2 --straggler 2=0.7 --straggler 3=1.5
sed 's/^    transfer: push/    transfer: via-host/' "$northpole" >"$tmp/through.yaml"
same_time "messages through the host" 6 "$tmp/through.yaml" --strategy stages:host,1*3,2/1 --kv int4 --chunk 4
same_time "hidden states in fewer bits" 4 "$h100" --tp 2 --pp 2 --hidden int8
sed 's/32 MiB/6 KiB/' "$northpole" >"$tmp/frames.yaml"
same_time "small frame buffers" 3 "$tmp/frames.yaml" --pp 3 --kv int4 --chunk 2 --micro-batches 2
total=$(field "$tmp/run" total_ps | cut -d: -f2)
same_time "large frame buffers" 3 "$northpole" --pp 3 --kv int4 --chunk 2 --micro-batches 2
ok "messages wait for room in small ones" [ "$(field "$tmp/run" total_ps | cut -d: -f2)" -lt "$total" ]
sed 's/^    transfer: push/    transfer: push\n    medium: fluid/' "$h100" >"$tmp/fluid.yaml"
same_time "a fair medium" 3 "$tmp/fluid.yaml" --tp 3
same_time "a fair medium in a pipeline" 4 "$tmp/fluid.yaml" --tp 2 --pp 2 --micro-batches 2 --chunk 5

# What was executed, replayed with other media.
split=(--tp 2 --pp 2 --micro-batches 2)
ranks 4 run --model "$kjv" --prompts "$tmp/prompts" -n 9 --ignore-eos --cluster "$h100" --clock virtual --operations "$tmp/ops" -q "${split[@]}" >/dev/null 2>&1
for c in "$h100" "$tmp/shared.yaml" "$tmp/fluid.yaml"; do
    "$northwall" replay "$tmp/ops" --cluster "$c" --json >"$tmp/replayed"
    "$northwall" simulate --model "$kjv" --cluster "$c" --users 4 --prompt $(($(field "$tmp/replayed" prompt_tokens | grep -oE '[0-9]+') / 4)) \
        --generate 9 --json "${split[@]}" >"$tmp/sim"
    for key in total_ps critical_path decode_ms_per_tok; do
        ok "replayed on $(basename "$c"): $key" [ -n "$(field "$tmp/sim" $key)" -a "$(field "$tmp/replayed" $key)" = "$(field "$tmp/sim" $key)" ]
    done
done
ok "replay: words" [ "$("$northwall" replay "$tmp/ops" --cluster "$tmp/fluid.yaml" | grep -cE '^replayed on h100-sxm-8: KJV 3M, strategy tp2xpp2, 4 ranks|^  link_bandwidth ')" = 2 ]
head -n 40 "$tmp/ops" >"$tmp/cut"
fails "operations that are cut short" 3 "$tmp/cut:41: expected one more line" 1 replay "$tmp/cut" --cluster "$h100"
fails "operations of other cards" 6 "l4-4 differs from h100-sxm-8, where the operations were executed, in more than its links" 1 replay "$tmp/ops" --cluster "$configs/l4-4.yaml"
fails "operations of what" 2 "no operations: give a file" 1 replay --cluster "$h100"
fails "operations on what" 2 "no cluster: give --cluster FILE" 1 replay "$tmp/ops"
fails "operations in real time" 2 "--operations shows virtual time" 1 run --model "$kjv" --operations "$tmp/o" --prompt a
same_time "a host" 6 "$northpole" --strategy stages:host,1*3,2/1 --kv int4 --chunk 4

# All cards share a link: one more rank is the arbiter.
sed 's/^  - name: nvlink/  - name: nvlink\n    medium: fifo/' "$h100" >"$tmp/fifo.yaml"
shared_time() { # RANKS OPTIONS...
    local n=$1
    shift
    ranks "$n" run --model "$kjv" --prompts "$tmp/prompts" -n 9 --ignore-eos --cluster "$tmp/fifo.yaml" --clock virtual --json -q "$@" >"$tmp/run"
    "$northwall" simulate --model "$kjv" --cluster "$tmp/fifo.yaml" --users 4 --prompt $(($(field "$tmp/run" prompt_tokens | grep -oE '[0-9]+') / 4)) \
        --generate 9 --json "$@" >"$tmp/sim"
    "$northwall" simulate --model "$kjv" --cluster "$h100" --users 4 --prompt $(($(field "$tmp/run" prompt_tokens | grep -oE '[0-9]+') / 4)) \
        --generate 9 --json "$@" >"$tmp/private"
    local private shared
    private=$(field "$tmp/private" total_ps | cut -d: -f2) shared=$(field "$tmp/sim" total_ps | cut -d: -f2)
    ok "shared link, $*: total_ps" [ "$(field "$tmp/run" total_ps)" = "$(field "$tmp/sim" total_ps)" ]
    ok "shared link, $*: not earlier than private ones" [ "$private" -le "$shared" ]
}
shared_time 5 --tp 4
ok "four cards meet on a shared link" [ "$(field "$tmp/private" total_ps)" != "$(field "$tmp/sim" total_ps)" ]
shared_time 5 --tp 2 --pp 2
fails "no rank for the arbiter" 6 "and one as arbiter of the links that cards share, but 4 were started: use mpirun -n 5" 4 run -q --model "$kjv" --tp 4 \
    --cluster "$tmp/fifo.yaml" --clock virtual --prompt a

"$northwall" simulate --model granite-3b-northpole --mode w4a4 --cluster "$northpole" --strategy northpole --users 28 \
    --micro-batches 14 --prompt 64 --generate 64 --chunk 4 --json >"$tmp/np"
for key in kind latency_ms_per_tok decode_ms_per_tok throughput_tok_per_s power_W energy_mJ_per_tok tok_per_s_per_W \
    tok_per_s_per_1e9_transistors critical_path memory link_bandwidth link_latency overhead speed_of_light_ms_per_tok fits memory_bytes_per_card; do
    ok "JSON of simulate: $key" [ -n "$(field "$tmp/np" $key)" ]
done
ok "16 cards of 42 W" [ "$(field "$tmp/np" power_W | cut -d: -f2 | xargs printf %.6f)" = 672.000000 ]

small=(--model "$kjv" --cluster "$h100" --users 2 --prompt 9 --generate 4)
"$northwall" simulate "${small[@]}" --tp 3 --timeline >"$tmp/out"
ok "timeline: a row a card" [ "$(grep -cE '^card [012], stage 0 \|[mco.=lb ]{80}\|$' "$tmp/out")" = 3 ]
"$northwall" simulate "${small[@]}" --tp 3 --timeline 0:0.01,"$tmp/t.svg" >"$tmp/out"
ok "timeline: a picture" [ "$(grep -c 'card [012], stage 0<' "$tmp/t.svg")" = 3 -a "$(grep -c '|$' "$tmp/out")" = 0 ]
"$northwall" explain "${small[@]}" --tp 3 >"$tmp/out"
ok "explain: words" [ "$(grep -cE '^What binds is|^  ffn_reduce|^By stage: 0 with|^Checked: ' "$tmp/out")" = 4 ]
"$northwall" explain "${small[@]}" --tp 3 --json >"$tmp/out"
for key in kind binds binds_next elasticities time_estimated time_simulated stage_ms; do
    ok "JSON of explain: $key" [ -n "$(field "$tmp/out" $key)" ]
done
faster() { # ESTIMATED SIMULATED: better numbers help, and by less than by all that they are better
    awk -v e="${1#*:}" -v s="${2#*:}" 'BEGIN { exit !(e > 2 / 3 && e < 1 && s > 2 / 3 && s < 1) }'
}
ok "explain: the check" faster "$(field "$tmp/out" time_estimated)" "$(field "$tmp/out" time_simulated)"

fails "a trace of real time" 2 "--trace shows virtual time: give --cluster FILE" 1 run --model "$kjv" --trace "$tmp/t" --prompt a
fails "a window that ends before it begins" 2 "--timeline '2:1': expected A:B in ms" 1 simulate "${small[@]}" --timeline 2:1
fails "too many events" 6 "more than 4000000 events to record" 1 simulate --model llama3-8b --cluster "$h100" --tp 8 --prompt 9 \
    --generate 800 --trace "$tmp/t"
ok "no part of a trace" [ -z "$(ls "$tmp" | grep '^t\.[0-9]*\.part$\|^t$')" ]
"$northwall" plan --search --model "$kjv" --cluster "$configs/l4-4.yaml" --users 4 --prompt 20 --generate 10 >"$tmp/search"
ok "search: one card is among the best" grep -qE '^1 +1 +4 +1 - +(int4|int8|f16 ) ' "$tmp/search"
ok "search: and so for one user" grep -qE '^[a-z0-9]+ +[0-9]+ +1 +1 ' "$tmp/search"
ok "search: a loser has its reason" grep -q 'beats it: latency x' "$tmp/search"
"$northwall" plan --search --model "$kjv" --cluster "$configs/l4-4.yaml" --users 4 --prompt 20 --generate 10 --kv f16 --json >"$tmp/search"
cat >"$tmp/best.py" <<'END'
import json, sys
plans = [p for p in json.load(open(sys.argv[1]))["plans"] if p["fits"]]
figures = lambda p: (p["latency_ms_per_tok"], -p["throughput_tok_per_s"], p["energy_mJ_per_tok"], p["cards"])
beaten = lambda p: any(figures(q) != figures(p) and all(a <= b for a, b in zip(figures(q), figures(p))) for q in plans)
best = {figures(p) for p in plans if p["why_not"] is None}
sys.exit(len(plans) < 9 or any(beaten(p) != (figures(p) not in best) for p in plans))
END
ok "search: nothing beats the best, and something the others" python3 "$tmp/best.py" "$tmp/search"
ok "search: its best latency is the simulator's" [ "$(field "$tmp/search" simulated_latency_ms_per_tok | cut -d: -f2)" = \
    "$("$northwall" simulate --model "$kjv" --cluster "$configs/l4-4.yaml" --prompt 20 --generate 10 --kv f16 --json \
        --users "$(field "$tmp/search" users | cut -d: -f2)" --allreduce "$(field "$tmp/search" allreduce | cut -d'"' -f4)" \
        --strategy "$(field "$tmp/search" strategy | cut -d'"' -f4)" --micro-batches "$(field "$tmp/search" micro_batches | cut -d: -f2)" |
        tr -d ' \n' | grep -oE '"latency_ms_per_tok":[^,]*' | cut -d: -f2)" ]
"$northwall" plan --search --model llama3-8b --cluster "$northpole" --users 1 --prompt 8 --generate 8 --all >"$tmp/search"
ok "search: what does not fit says why" grep -q 'does not fit NorthPole: weights' "$tmp/search"
sed 's/^  - name: .*/&\n    medium: fifo/' "$configs/l4-4.yaml" >"$tmp/shared.yaml"
"$northwall" plan --search --model "$kjv" --cluster "$tmp/shared.yaml" --users 4 --prompt 20 --generate 10 --kv f16,int8 >"$tmp/search"
ok "search: shared links are simulated" grep -q 'plans were$' "$tmp/search"
ok "search: until all of the best have been" grep -q 'first: all of the best' "$tmp/search"
ok "search: the caches of a list" [ "$(grep -c ' int4 ' "$tmp/search")" = 0 ]
one=(plan --search --model "$kjv" --cluster "$configs/l4-4.yaml" --kv f16 --generate 4 --all)
"$northwall" "${one[@]}" >"$tmp/search"
ok "search: no approximate sums" [ "$(grep -cE '\(exact to rounding\)$' "$tmp/search")" = 0 ]
"$northwall" "${one[@]}" --approximate >"$tmp/search"
ok "search: approximate sums" grep -qE ' ring .*\(exact to rounding\)$' "$tmp/search"
fails "search of how many cards" 2 "h100-sxm does not say how many cards there are: give --ranks N" 1 plan --search --model "$kjv" --cluster "$configs/h100-sxm.yaml"
fails "search with a cache of no type" 2 "fp8" 1 plan --search --model "$kjv" --cluster "$h100" --kv fp8
mkfifo "$tmp/pipe"
fails "a trace into no folder" 4 "is its folder there?" 1 simulate --model "$kjv" --cluster "$h100" --trace "$tmp/none/t"
ok "said before the work" [ ! -s "$tmp/out" ]
fails "operations into no folder" 4 "is its folder there?" 2 run --model "$kjv" --tp 2 --prompt a --cluster "$h100" --clock virtual --operations "$tmp/none/o"
ok "said before the text" [ ! -s "$tmp/out" ]
fails "another number of cards" 6 "strategy tp2 takes 2 cards, but --ranks says 3" 1 simulate --model "$kjv" --cluster "$h100" --ranks 3 --tp 2
fails "a trace into what is no file" 4 "is not a regular file" 1 simulate --model "$kjv" --cluster "$h100" --trace "$tmp/pipe"
ok "what is no file stays what it is" [ -p "$tmp/pipe" ]
: >"$tmp/linked.json"
chmod 600 "$tmp/linked.json"
ln -s linked.json "$tmp/link.json"
"$northwall" simulate --model "$kjv" --cluster "$h100" --prompt 4 --generate 2 --trace "$tmp/link.json" >/dev/null
ok "a trace through a link" [ -L "$tmp/link.json" -a -s "$tmp/linked.json" -a "$(stat -c %a "$tmp/linked.json")" = 600 ]
fails "search without a cluster" 2 "no cluster: give --cluster FILE" 1 plan --search --model "$kjv"
fails "search of one strategy" 2 "plan --search takes no --tp" 1 plan --search --model "$kjv" --cluster "$h100" --tp 2

fails "a straggler of no cluster" 2 "--straggler: a card of which cluster?" 1 plan --search --model "$kjv" --straggler 1=0.5
fails "a straggler that is none" 2 "--straggler '1': expected CARD=FACTOR of 0.001 to 1000, as 3=0.8" 1 simulate "${small[@]}" --straggler 1
fails "a straggler that stands" 2 "--straggler '1=0': expected CARD=FACTOR" 3 run --model "$kjv" --cluster "$h100" --straggler 1=0 --prompt a
fails "a straggler that is no card" 2 "--straggler '8=0.5': h100-sxm-8 has 8 cards, counted from 0" 1 explain "${small[@]}" --straggler 8=0.5
fails "a straggler that takes no part" 6 "--straggler '3=0.5': strategy tp3 takes 3 cards, counted from 0" 1 simulate "${small[@]}" --tp 3 --straggler 3=0.5
fails "no cluster" 2 "no cluster: give --cluster FILE" 1 simulate --model "$kjv"
# Real time that follows: the same tokens, never faster than described, and how much of it is not described.
paced() { # N STRATEGY [more]
    ranks "$1" run --model "$kjv" --prompt "In the" -n 12 --seed 3 --strategy "$2" --json -q "${@:3}" >"$tmp/paced" 2>"$tmp/err"
}
ok "unpaced" paced 1 1
hash=$(field "$tmp/paced" logits_hash)
for s in 1 tp2 pp2 tp2xpp2; do
    n=$(echo "$s" | tr -dc 0-9x | tr x '*')
    ok "$s, paced" paced "$((n))" $s --pace mem=1GB/s,link=1Gb/s,latency=100us
    ok "$s, paced: logits" [ "$(field "$tmp/paced" logits_hash)" = "$hash" ]
    ok "$s, paced: not faster than simulated" awk '/"latency_ms_per_tok"/ { t[++n] = $2 + 0 } END { exit !(n == 2 && t[1] >= t[2] && t[2] > 1) }' "$tmp/paced"
    ok "$s, paced: what is not described" awk '/"not_described"/ { v = $2 + 0; n++ } END { exit !(n == 1 && v >= 0 && v < 1) }' "$tmp/paced"
done
ok "a described cluster, paced" paced 2 tp2 --cluster "$source/cluster-configs/boards-1gbe.yaml" --clock paced
ok "a described cluster, paced: logits" [ "$(field "$tmp/paced" logits_hash)" = "$hash" ]
ok "bench, paced" ranks 2 bench --model "$kjv" --strategies tp2,pp2 --repeat 1 -n 4 --pace mem=1GB/s,link=1Gb/s -q
# A pass takes as long as the weights' bytes, whether it holds a prompt or a token: neither time has the other's in it.
ranks 1 bench --model "$kjv" --n-prompt 4 -n 2 --repeat 7 --pace mem=0.1GB/s --json >"$tmp/paced" 2>/dev/null
ok "bench, paced: prompt and token each by themselves" awk '/"prefill_tok_per_s"/ { p = 4e3 / ($2 + 0) } /"latency_ms_per_tok"/ { t = $2 + 0 }
    END { exit !(p > 20 && t / p > 0.65 && t / p < 1.5) }' "$tmp/paced"
fails "no pace" 2 "--pace 'mem': expected mem=5GB/s" 1 run --model "$kjv" --prompt a --pace mem
fails "a pace of nothing" 2 "--pace 'frob=5us': expected" 1 run --model "$kjv" --prompt a --pace frob=5us
fails "a pace without its unit" 3 "--pace" 1 run --model "$kjv" --prompt a --pace mem=5GB
fails "two paces" 2 "leave --cluster, --net and --clock out" 1 run --model "$kjv" --prompt a --pace mem=5GB/s --cluster "$h100"
fails "shared links, paced" 3 "real time follows private links alone" 3 run --model "$kjv" --tp 2 --prompt a --cluster "$tmp/fifo.yaml" --clock paced
fails "clock of no cluster" 2 "--clock virtual: of which cluster?" 1 run --model "$kjv" --clock virtual --prompt a
fails "cluster without a clock" 2 "give --clock virtual" 3 run --model "$kjv" --cluster "$h100" --prompt a
fails "clock of another kind" 2 "--clock 'lamport': expected real, virtual or paced" 1 run --model "$kjv" --clock lamport --prompt a
fails "prompt that is a text" 2 "the number of its tokens" 1 simulate --model "$kjv" --cluster "$h100" --prompt "In the"
fails "prompts beyond the context" 8 "prompts have 9 tokens, but the context holds 8: raise --ctx" 1 simulate "${small[@]}" --prompt 9 --ctx 8
fails "too few cards" 6 "takes 32 cards, but northpole-16 has 16" 1 simulate --model llama3-8b --cluster "$northpole" --pp 32
fails "too small a frame buffer" 6 "take 9.16 KiB, and the frame buffer of NorthPole holds 6.00 KiB: use a smaller --chunk" 1 simulate --model "$kjv" \
    --cluster "$tmp/frames.yaml" --pp 2 --users 2 --micro-batches 1 --prompt 9 --generate 4 --chunk 9
fails "too little memory" 6 "rank 0 does not fit NorthPole: weights" 1 simulate --model llama3-8b --cluster "$northpole" --tp 8 --pp 2
fails "no such arithmetic" 6 "has no rate for int4 operations" 1 simulate --model granite-3b-northpole --mode w4a4 --cluster "$h100"
fails "the library's messages" 6 "carry no virtual time" 2 run -q --model "$kjv" --tp 2 --allreduce mpi --cluster "$h100" --clock virtual --prompt a
fails "shared memory" 2 "--transport shm: virtual time travels on messages" 2 run --model "$kjv" --tp 2 --transport shm --cluster "$h100" --clock virtual --prompt a
fails "links alone" 3 "describes links but no card" 1 simulate --model "$kjv" --cluster "$data/links.yaml"
fails "two files" 2 "give either --net or --cluster" 1 run --model "$kjv" --cluster "$h100" --clock virtual --net "$h100" --prompt a
fails "an encoder" 3 "is an encoder" 1 simulate --model bert-base --cluster "$h100"
finish
