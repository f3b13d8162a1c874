#!/usr/bin/env bash
# What commands print.
. "$(dirname "$0")/common.sh"

ok "help" sh -c '"$1" --help | grep -q "northwall COMMAND"' _ "$northwall"
ok "version" sh -c '"$1" --version | grep -Eq "^northwall [0-9]+\.[0-9]+"' _ "$northwall"
for c in $("$northwall" list | sed -n '/^commands/,$p' | awk 'NR > 1 {print $1}'); do
    ok "$c --help" sh -c '"$1" "$2" --help | grep -q "^usage: northwall $2"' _ "$northwall" "$c"
done
"$northwall" run --model "$stories" --prompt "Once upon a time" -n 20 >"$tmp/text" 2>"$tmp/err"
ok "text alone on stdout" [ "$(cat "$tmp/text")" = "Once upon a time, there was a little girl named Lily. She loved to play outsid" ]
ok "statistics on stderr" grep -q "tok/s" "$tmp/err"
continuation() { "$northwall" run --model "$stories" --prompt "$1" -n 3 -q --json | sed -n 's/.*"text": "\(.*\)".*/\1/p'; }
ok "a continuation keeps its space" [ "$(continuation Once)" = " upon a time" ]
ok "a text opens without one" [ "$(continuation '')" = "Once upon a" ]
ok "--no-echo prints what follows the prompt" [ "$("$northwall" run --model "$stories" --prompt Once -n 3 -q --no-echo)" = " upon a time" ]
"$northwall" run --model "$stories" --prompt Once --ctx 4 -n 9 --json >"$tmp/full" 2>"$tmp/err"
ok "a full context is told" grep -q "context of 4 positions is full" "$tmp/err"
ok "--json tells it too" grep -q '"finish": "context"' "$tmp/full"
printf 'Once upon a time\nLily\n' >"$tmp/prompts"
"$northwall" run --model "$stories" --prompts "$tmp/prompts" -n 5 -q >"$tmp/text" 2>/dev/null
ok "two prompts, two lines" [ "$(wc -l <"$tmp/text")" = 2 ]
printf 'Once\r\n\r\n\n upon' >"$tmp/prompts"
"$northwall" run --model "$stories" --prompts "$tmp/prompts" -n 1 --json -q | tr -d ' \n' >"$tmp/ids"
ok "prompts: line ends and empty lines" grep -q 'prompt_ids":\[1,403\].*prompt_ids":\[1,[0-9,]*\]' "$tmp/ids"
ok "tokenize --text" [ "$("$northwall" model tokenize --model "$stories" --text 'Once upon a time')" = "1 403 407 261 378" ]
ok "tokenize stdin" [ "$(printf 'Once upon a time' | "$northwall" model tokenize --model "$stories")" = "1 403 407 261 378" ]
ok "tokenize with a vocabulary alone" [ "$("$northwall" model tokenize --no-bos --model "$data/ggml-vocab-gpt-2.gguf" --text 'Hello world')" = "15496 995" ]
LC_ALL=C sed 's/\(add_eos_token\x07\x00\x00\x00\)\x00/\1\x01/' "$data/ggml-vocab-llama-spm.gguf" >"$tmp/eos.gguf"
ok "tokenize with an end token" [ "$("$northwall" model tokenize --model "$tmp/eos.gguf" --text 'Hello world')" = "1 15043 3186 2" ]
ok "tokenize without" [ "$("$northwall" model tokenize --no-bos --model "$tmp/eos.gguf" --text 'Hello world')" = "15043 3186" ]
ok "info of a vocabulary alone" sh -c '"$1" model info --model "$2" | grep -q "cannot run this file"' _ "$northwall" "$data/ggml-vocab-llama-spm.gguf"
ok "completion" sh -c '"$1" --complete run | grep -qx -- "--model="' _ "$northwall"
completed=$(
    . "$source/dist/completion/northwall.bash"
    COMP_WORDS=("$northwall" model t) COMP_CWORD=2
    _northwall
    echo "${COMPREPLY[*]}"
)
ok "completion of what model does: $completed" [ "$completed" = tokenize ]
ok "info" sh -c '"$1" model info --model "$2" | grep -q "8 heads (4 KV)"' _ "$northwall" "$stories"
ok "info of a preset" sh -c '"$1" model info --model llama3-70b | grep -q "80 layers"' _ "$northwall"
"$northwall" model quantize --model "$kjv" --type Q4_0 --out "$tmp/q4.gguf" -q 2>/dev/null
ok "quantize" sh -c '"$1" run --model "$2" -n 4 -q >/dev/null' _ "$northwall" "$tmp/q4.gguf"
"$northwall" model synth --model smollm-135m --quant Q4_0 --out "$tmp/synth.gguf" -q 2>/dev/null
"$northwall" run --model smollm-135m --quant Q4_0 --prompt ab -n 2 --json -q >"$tmp/preset" 2>/dev/null
"$northwall" run --model "$tmp/synth.gguf" --prompt ab -n 2 --json -q >"$tmp/synth" 2>/dev/null
ok "a preset written to a file runs as it does in place" [ -n "$(field "$tmp/synth" logits_hash)" -a "$(field "$tmp/synth" logits_hash)" = "$(field "$tmp/preset" logits_hash)" ]
ok "northpole plan" sh -c '"$1" plan --model granite-3b-northpole --strategy "stages:1*14/1,2/0" | grep -q "16 ranks"' _ "$northwall"
"$northwall" bench --model "$kjv" -n 8 --n-prompt 16 --repeat 6 --json >"$tmp/bench" 2>/dev/null
for key in decode_tok_per_s prefill_tok_per_s read_GBps fraction_of_read_bw comm_bytes_per_tok comm_messages_per_tok tokens_verified; do
    ok "bench --json: $key" grep -q "\"$key\"" "$tmp/bench"
done
# With drafts the job runs without them too; row 0 is both when it was asked for.
quote="the weight thereof was an hundred and thirty shekels, the weight thereof was an hundred and"
ranks 2 bench --model "$kjv" --strategies 1,tp2 --prompt "$quote" -n 16 --repeat 2 --draft 3 --json >"$tmp/draft" 2>/dev/null
ok "bench --draft: two rows" [ "$(grep -c '^   "strategy"' "$tmp/draft")" = 2 ]
ok "bench --draft: verified" [ "$(grep -c '"tokens_verified": true' "$tmp/draft")" = 3 ]
ok "bench --draft: gains" [ "$(grep -c '"gain_by_drafts": [0-9]' "$tmp/draft")" = 3 ]
ok "bench --draft: all tokens of 2 runs" [ $(($(field "$tmp/draft" turns | tr -dc 0-9) + $(field "$tmp/draft" accepted_tokens | tr -dc 0-9))) = 30 ]
ok "bench --draft: some were right" [ "$(field "$tmp/draft" accepted_tokens | tr -dc 0-9)" -gt 0 ]
ok "bench --draft: a prompt" grep -q '"random_prompt": false' "$tmp/draft"
ok "bench --draft without a prompt says so" sh -c '"$1" bench --model "$2" -n 4 --n-prompt 8 --repeat 1 --draft 2 | grep -q "prompt is random ids"' _ "$northwall" "$kjv"
ok "bench --json: where threads ran" grep -Eq '"binding": "(one for each thread|not bound|bound as)' "$tmp/bench"
"$northwall" run --model "$kjv" --prompt "In the" -n 4 --json -q --bind off >"$tmp/plain" 2>/dev/null
for round in write read; do
    "$northwall" run --model "$kjv" --prompt "In the" -n 4 --json -q --weights-cache "$tmp/cache" >"$tmp/$round" 2>/dev/null
    ok "--weights-cache: the same logits ($round)" [ -n "$(field "$tmp/$round" logits_hash)" -a "$(field "$tmp/$round" logits_hash)" = "$(field "$tmp/plain" logits_hash)" ]
done
ok "the first start packed" [ "$(field "$tmp/write" packed_from_cache_bytes)" = '"packed_from_cache_bytes":0' ]
ok "the second read all" [ "$(field "$tmp/read" packed_from_cache_bytes | tr -dc 0-9)" = "$(field "$tmp/read" packed_weight_bytes | tr -dc 0-9)" ]
"$northwall" run --model "$kjv" --prompt "In the" -n 2 --weights-cache /dev/null >/dev/null 2>"$tmp/err"
ok "a cache that cannot be is one note" [ "$(grep -c '^northwall: note: /dev/null: cannot keep' "$tmp/err")" = 1 ]
ok "verified" grep -q '"tokens_verified": true' "$tmp/bench"
"$northwall" bench --model "$kjv" -n 4 --n-prompt 8 --precision 50 --json >"$tmp/precise" 2>/dev/null
ok "--precision: reached, after 10 runs or more" sh -c 'grep -q "\"precision_reached\": true" "$1" && ! grep -qE "\"n\": .,$" "$1"' _ "$tmp/precise"
"$northwall" bench --model "$kjv" -n 4 --n-prompt 8 --precision 0.01 --repeat 11 -q >"$tmp/precise"
ok "--precision: not reached, and said" grep -q "precision NOT REACHED: asked 0.01 %, after 11 runs" "$tmp/precise"
"$northwall" bench --model "$kjv" -n 4 --n-prompt 8 --precision 50 --repeat 9 --json >"$tmp/precise" 2>/dev/null
ok "--precision: the last of fewer runs is looked at" awk '
    /"half_interval_percent"/ { half = $2 + 0 } /"precision_reached"/ { reached = $2 ~ /true/; n++ }
    END { exit !(n && half > 0 && reached == (half <= 50)) }' "$tmp/precise"
ok "one run, and one rank is measured once" sh -c '"$1" bench --model "$2" --strategies 1 --repeat 1 -n 2 -q | grep -c "^1  \|: 1 run after" | grep -qx 2' _ "$northwall" "$kjv"
ranks 2 bench --model "$kjv" --strategies tp2,1 --n-prompt 8 -n 4 --repeat 1 --json >"$tmp/once" 2>/dev/null
ok "rows of --strategies with 1 in it" [ "$(grep -c '^   "strategy"' "$tmp/once")" = 2 ]
# The machine, with the ranks in it.
for n in 1 2 5; do
    ranks $n topo --json >"$tmp/topo"
    ok "topo ($n): each rank once" [ "$(grep -c '"rank":' "$tmp/topo")" = $n ]
    ranks $n topo >"$tmp/topo"
    ok "topo ($n): cores" grep -q 'core 0: CPU' "$tmp/topo"
done
ok "topo: too many threads" sh -c '"$1" topo --threads 1000 | grep -q "^warning: .*oversubscribed"' _ "$northwall"
# Who is where: in the job, and beforehand on hosts that need not be there.
for n in 1 2; do
    ranks $n run --model "$kjv" --prompt "In the" -n 4 --strategy tp$n --json -q --map plan >"$tmp/map" 2>/dev/null
    ok "--map plan ($n): the same logits" [ -n "$(field "$tmp/map" logits_hash)" -a "$(field "$tmp/map" logits_hash)" = "$(field "$tmp/plain" logits_hash)" ]
    ok "--map plan ($n): each rank once" [ "$(grep -c '"process":' "$tmp/map")" = $n ]
done
ranks 2 bench --model "$kjv" --tp 2 -n 4 --n-prompt 8 --repeat 1 --map launched >/dev/null 2>"$tmp/err"
ok "--map launched: a row a rank, and what is sent" [ "$(grep -cE '^ +[01] +0 +[01] +[01] ' "$tmp/err")" = 2 -a "$(grep -c 'all of it within one node' "$tmp/err")" = 1 ]
printf 'node1 slots=3\nnode2 slots=3 # one too many\n' >"$tmp/hosts"
"$northwall" plan --model "$kjv" --tp 2 --pp 2 --hosts "$tmp/hosts" >"$tmp/map"
ok "plan --hosts: as mpirun would fill them, groups together" grep -qE 'as launched [0-9]+ messages.*, as mapped [0-9]+ messages, .*; no map costs less' "$tmp/map"
ok "plan --hosts: how to start it" grep -q '^mpirun -n 4 --hostfile .* --strategy tp2xpp2 --map plan$' "$tmp/map"
if "$northwall" plan --model "$kjv" --tp 1 --pp 2 --hosts "$tmp/hosts" --rankfile "$tmp/ranks" >"$tmp/map"; then
    ok "--rankfile: a line a rank" [ "$(grep -cE '^rank [01]=node1 slot=[0-9]+$' "$tmp/ranks")" = 2 ]
    sed 's/node[12]/localhost/' "$tmp/ranks" >"$tmp/here"
    ok "--rankfile: mpirun takes it" sh -c '"$1" -n 2 --rankfile "$2" "$3" topo >/dev/null' _ "$mpiexec" "$tmp/here" "$northwall"
fi
"$northwall" plan --model "$kjv" --tp 2 --pp 2 --hosts "$tmp/hosts" --json >"$tmp/map"
ok "plan --hosts --json" [ "$(field "$tmp/map" no_map_costs_less)" = '"no_map_costs_less":true' -a "$(grep -c '"host": "node[12]"' "$tmp/map")" = 4 ]
# Calibration: figures with interval, a cluster file with sources, which the other commands read.
for n in 1 2 3; do
    ranks $n calibrate --budget 0.3 --out "$tmp/net$n.yaml" >"$tmp/figures" 2>"$tmp/err"
    ok "calibrate ($n): status" [ $? = 0 ]
    ok "calibrate ($n): kind, unit, n" grep -Eq '^reduce in cache +measured +[0-9.e+]+ ps/B +[0-9]+  ' "$tmp/figures"
    ok "calibrate ($n): hand-offs" [ "$(grep -c '^hand-off of a flag' "$tmp/figures")" = $((n - 1)) ]
    ok "calibrate ($n): exchanges between steps" [ "$(grep -c '^shm: steps, .* sum\|^mpi: steps, .* sum\|^mpi: steps, turns, .* message' "$tmp/figures")" = $((n > 1 ? 25 : 0)) ]
    ok "calibrate ($n): lines through them" [ "$(grep -c 'source: "fitted .* exchanges between steps' "$tmp/net$n.yaml")" = $((n > 1 ? 5 : 0)) ]
    ok "calibrate ($n): other load" grep -q '^other load: ' "$tmp/figures"
    ok "calibrate ($n): sources" [ "$(grep -c 'value:' "$tmp/net$n.yaml")" = "$(grep -c 'source: "' "$tmp/net$n.yaml")" ]
    ok "simulate --cluster reads it ($n)" sh -c '"$1" simulate --model "$2" --cluster "$3" --tp "$4" --prompt 4 --generate 2 | grep -q "on calibrated: $4 x a rank"' \
        _ "$northwall" "$kjv" "$tmp/net$n.yaml" $n
    ok "--net reads it ($n)" sh -c '"$1" plan --model "$2" --net "$3" --strategy tp2 >/dev/null' _ "$northwall" "$kjv" "$tmp/net$n.yaml"
done
ranks 2 run --model "$kjv" --prompt "In the" -n 4 --tp 2 --json -q --net "$tmp/net2.yaml" >"$tmp/net" 2>/dev/null
ok "--net: the same logits" [ -n "$(field "$tmp/net" logits_hash)" -a "$(field "$tmp/net" logits_hash)" = "$(field "$tmp/plain" logits_hash)" ]
# --log collectives: of each stage's group its two all-reduces, with what was asked for or chosen, and whose numbers.
log() { # N ARGUMENTS...: the lines on stderr
    n=$1
    shift
    ranks "$n" "$@" --log collectives 2>&1 >/dev/null | grep '^northwall: '
}
log 4 run --model "$kjv" --prompt And -n 2 -q --tp 2 --pp 2 >"$tmp/log"
ok "--log: a line for each collective under one head" [ "$(wc -l <"$tmp/log")" = 5 -a "$(grep -c 'ranks 0-1' "$tmp/log")" = 2 -a "$(grep -c 'ranks 2-3' "$tmp/log")" = 2 ]
ok "--log: its columns" [ "$(grep -cE '^northwall: (attn|ffn)_reduce +allreduce +ranks [02]-[13] +[0-9]+ B +[a-z]+ +shm +bit-exact +[0-9.]+ us  fastest of [0-9]+ .* us estimated; next [a-z]+ [0-9.]+ us; links: shm assumed$' "$tmp/log")" = 4 ]
ok "--log: aligned" [ "$(awk 'match($0, /estimated  why/) {print RSTART + 9} match($0, / us  fastest/) {print RSTART + 3}' "$tmp/log" | uniq -c | awk '{print $1}')" = 5 ]
log 2 bench --model "$kjv" --strategies 1,tp2 --n-prompt 4 -n 2 --repeat 1 --allreduce ring --transport link --no-verify --net "$tmp/net2.yaml" >"$tmp/log"
ok "--log: asked for, over links that were measured" [ "$(grep -cE 'ring +link .* us  asked for; links: '"$tmp"'/net2.yaml: [a-z]+ (measured|fitted) 20' "$tmp/log")" = 2 ]
log 2 model perplexity --model "$kjv" --text "In the beginning God created" >"$tmp/log"
ok "--log of perplexity" [ "$(grep -c 'ranks 0-1' "$tmp/log")" = 2 ]
log 2 coll -b 4K -e 4K -n 3 --algo mpi,auto >"$tmp/log"
ok "--log of coll" sh -c 'grep -q "mpi .* not known  asked for; links: none" "$1" && grep -q "^northwall: auto .* fastest of" "$1"' _ "$tmp/log"
ok "--log of one rank: nothing but the head" [ "$(log 1 run --model "$kjv" --prompt And -n 1 -q | wc -l)" = 1 ]
# Roofline: all keys, for one rank, split layers and stages; bytes are those of the plan.
for s in 1 tp2 pp2; do
    ranks "${s#[tp]p}" bench --model "$kjv" --strategy $s --n-prompt 8 -n 4 --repeat 1 --roofline --json >"$tmp/roof" 2>/dev/null
    ok "roofline of $s: status" [ $? = 0 ]
    for key in calls_per_pass bytes_per_pass int8_ops_per_pass f32_ops_per_pass measured_ms_per_pass memory_bound_ms_per_pass \
        compute_bound_ms_per_pass bound_by fraction_of_bound share_of_time rank_read_GBps rank_int8_peak_GOps rank_f32_peak_GOps; do
        ok "roofline of $s: $key" grep -q "\"$key\"" "$tmp/roof"
    done
    ok "roofline of $s: verified" grep -q '"tokens_verified": true' "$tmp/roof"
done
"$northwall" bench --model "$kjv" --n-prompt 8 -n 4 --repeat 1 --plot "$tmp/roof.gp" -q >"$tmp/roof" 2>/dev/null
ok "roofline as a table" sh -c 'grep -q "^  ffn_up " "$1" && grep -q "^  sum " "$1" && grep -q "F32 peak" "$1"' _ "$tmp/roof"
ok "--plot: gnuplot's commands" grep -q '^plot ' "$tmp/roof.gp"
if command -v gnuplot >/dev/null 2>&1; then
    "$northwall" bench --model "$kjv" --n-prompt 8 -n 4 --repeat 1 --plot "$tmp/roof.svg" -q >/dev/null 2>&1
    ok "--plot: a picture" grep -q '</svg>' "$tmp/roof.svg"
fi
"$northwall" bench --kernels portable --quant I8 --repeat 1 --json >"$tmp/kernels"
ok "bench --kernels" sh -c 'grep -q "\"kernels\": \"portable\"" "$1" && grep -q "\"rate_GBps\"" "$1" && grep -q "\"rate_GOps\"" "$1"' _ "$tmp/kernels"
ok "its rows: int8, static, float; decode and prefill" [ "$(grep -c '"fraction_of_peak"' "$tmp/kernels")" = 3 -a "$(grep -c '"fraction_of_read_bw"' "$tmp/kernels")" = 3 ]
"$northwall" model perplexity --model "$kjv" --text "In the beginning God created the heaven and the earth." --json >"$tmp/ppl" 2>/dev/null
verse="In the beginning God created the heaven and the earth. And the earth was without form"
n_ids=$("$northwall" model tokenize --model "$kjv" --no-bos --text "$verse" | wc -w)
counted=$("$northwall" model perplexity --model "$kjv" --window 16 --skip 7 --text "$verse" --json 2>/dev/null | sed -n 's/.*"tokens": \([0-9]*\),/\1/p')
ok "--skip: 7 predictions of each of two windows do not count" [ "$counted" = $((n_ids - 14)) ]
ok "perplexity --json" grep -q '"mean_nll_nats"' "$tmp/ppl"
# Over ranks: the same to the bit; in a lossy wire form near it.
nll() { # RANKS OPTIONS...
    n=$1
    shift
    ranks "$n" model perplexity --model "$kjv" --text "$verse" --json -q "$@" 2>/dev/null |
        sed -n 's/.*"mean_nll_nats": \([0-9.]*\),/\1/p'
}
one=$(nll 1)
ok "perplexity of two ranks is that of one" [ -n "$one" -a "$(nll 2)" = "$one" ]
ok "of three" [ "$(nll 3)" = "$one" ]
lossy=$(nll 2 --wire int8)
ok "with --wire int8 another one ($lossy), within 2 % of $one" \
    awk -v a="$one" -v b="$lossy" 'BEGIN { exit !(b != "" && a != b && b > 0.98 * a && b < 1.02 * a) }'
ok "--drop-sync on one rank changes nothing" [ "$(nll 1 --drop-sync all)" = "$one" ]
dropped=$(nll 2 --drop-sync 0,2-3)
ok "on two ranks another one ($dropped), within 10 % of $one" \
    awk -v a="$one" -v b="$dropped" 'BEGIN { exit !(b != "" && a != b && b > 0.9 * a && b < 1.1 * a) }'
ok "--drop-sync repeats" [ "$(nll 2 --drop-sync 0,2-3 --transport link)" = "$dropped" ]
ok "plan --drop-sync tells" sh -c '"$1" plan --model "$2" --tp 2 --drop-sync 1 | tr -s " \n" " " | grep -q "none after the attention of layers 1; results are approximate"' _ \
    "$northwall" "$kjv"
ok "plan tells of one all-reduce for both" sh -c '"$1" plan --model pythia-410m --tp 4 | tr -s " \n" " " | grep -q "as one vector"' _ "$northwall"
ok "or why there are two" sh -c '"$1" plan --model pythia-410m --tp 3 | tr -s " \n" " " | grep -q "two a layer, not one"' _ "$northwall"
float=$(nll 1 --mode a16)
shared=$(nll 2 --mode a16 --kvp 2)
ok "with a shared cache and float activations ($shared) within 1e-5 of one rank ($float)" \
    awk -v a="$float" -v b="$shared" 'BEGIN { d = a - b; exit !(b != "" && d * d < 1e-10 * a * a) }'
ok "and the same on four" [ "$(nll 4 --mode a16 --kvp 2)" = "$shared" ]
ranks 2 run --model "$kjv" --kvp 2 --prompt And -n 4 --json >"$tmp/kvp" 2>/dev/null
ok "run --kvp: its label" grep -q '"label": "exact to rounding"' "$tmp/kvp"
ranks 2 run --model "$kjv" --tp 2 --prompt And -n 4 --wire int4 --json >"$tmp/wire" 2>"$tmp/err"
ok "run --wire: no failure, but a label and a note" \
    sh -c '[ "$1" = 0 ] && grep -q "\"label\": \"approximate\"" "$2" && grep -q "differ from those of one rank" "$3"' _ $? \
    "$tmp/wire" "$tmp/err"
ranks 2 bench --model "$kjv" --strategies tp2 --prompt And -n 4 --repeat 1 --wire fp16 --json >"$tmp/wire" 2>/dev/null
ok "bench --wire: not verified, not failed" sh -c '[ "$1" = 0 ] && grep -q "\"logits_identical\": null" "$2"' _ $? "$tmp/wire"
ok "plan --wire tells" sh -c '"$1" plan --model "$2" --tp 2 --wire int8 | tr -s " \n" " " | grep -q "values travel as int8; results are approximate"' _ \
    "$northwall" "$kjv"
# One flipped bit on one rank: the result is still printed, and is not a success.
ranks 2 bench --model "$kjv" --strategies tp2 --prompt "And" -n 8 --repeat 1 --flip-weight 1 --json >"$tmp/flip" 2>/dev/null
ok "flipped weight: status" [ $? != 0 ]
ok "flipped weight: one rank is the reference, tp2 differs" \
    [ "$(grep -o '"tokens_verified": [a-z]*' "$tmp/flip" | cut -d' ' -f2 | tr '\n' ' ')" = "true false false " ]
# Ranks bound to a core each have two cores together.
bound() { # COMMAND OPTIONS...: prints what it says of "oversubscribed"
    "$mpiexec" --bind-to core -n 2 "$northwall" "$@" -m "$kjv" --tp 2 --prompt "And" -n 4 --json >"$tmp/bound" 2>/dev/null
    field "$tmp/bound" oversubscribed
}
if [ "$(nproc)" -ge 2 ]; then
    ok "ranks bound to cores: bench" [ "$(bound bench --repeat 1 --no-verify)" = '"oversubscribed":false' ]
    ok "ranks bound to cores: run" [ "$(bound run)" = '"oversubscribed":false' ]
fi
# Ranks with cores of their own spin while they wait; those without give way, though the launcher was promised room.
waiting() { # COMMAND OPTIONS...: mpirun or so; prints how ranks wait
    env -u OMPI_MCA_mpi_yield_when_idle "$@" "$northwall" bench -m "$kjv" --tp 2 --n-prompt 2 -n 2 --repeat 1 --no-verify --json -q \
        >"$tmp/waiting" 2>/dev/null
    field "$tmp/waiting" ranks_that_wait
}
one_cpu=$(taskset -cp $$ | sed 's/.*: //; s/[,-].*//')
ok "ranks that share a core give way" [ "$(waiting taskset -c "$one_cpu" "$mpiexec" -n 2 --host localhost:2)" = '"ranks_that_wait":"giveway"' ]
ok "unless they are told not to" [ "$(waiting taskset -c "$one_cpu" "$mpiexec" -n 2 --mca mpi_yield_when_idle 0)" = '"ranks_that_wait":"spin"' ]
if [ "$(nproc)" -ge 2 ]; then
    ok "ranks with cores spin" [ "$(waiting "$mpiexec" -n 2)" = '"ranks_that_wait":"spin"' ]
    ok "ranks bound to cores spin" [ "$(waiting "$mpiexec" --bind-to core -n 2)" = '"ranks_that_wait":"spin"' ]
fi
# Shares are of one whole; decoding so short that the pipeline's start and end weigh most.
ranks 4 bench -m "$kjv" --pp 4 --prompt "And" -n 3 --repeat 1 --no-verify --json >"$tmp/short" 2>/dev/null
waits=$(tr -d ' \n' <"$tmp/short" | grep -oE '"(wait_share|share_collective_wait|share_pipeline_bubble)":[^,}]*' | head -n 3 | cut -d: -f2 | tr '\n' ' ')
ok "waiting, of which in collectives and bubble: $waits" awk -v w="$waits" \
    'BEGIN { split(w, a, " "); exit !(a[1] > 0 && a[1] <= 1 && a[2] + a[3] <= a[1] + 1e-9) }'
# fit: measured all-reduces, whose runs differ.
fit="$source/docs/fits/allreduce.csv"
"$northwall" fit hockney,bspline "$fit" --x size --y one-shot --at 65536,4194304 --plot "$tmp/fit.gp" >"$tmp/fit"
ok "fit: two models" [ "$(grep -c '^  hockney  *a ' "$tmp/fit")" = 2 -a "$(grep -c '^  bspline  *elasticity' "$tmp/fit")" = 3 ]
ok "fit: what is as good" grep -q "NOT DISTINGUISHABLE from" "$tmp/fit"
ok "fit: rows that depend" grep -q "hockney .*rows of the file depend" "$tmp/fit"
ok "fit: beyond the data" [ "$(grep -c ' 4194304 .*extrapolation$' "$tmp/fit")" = 2 -a "$(grep -c ' 65536 .*within the data$' "$tmp/fit")" = 2 ]
ok "fit --plot: data and curves" [ "$(grep -c '^plot' "$tmp/fit.gp")" = 2 ]
"$northwall" fit hockney "$fit" --x size --y one-shot --json >"$tmp/fit1"
"$northwall" fit hockney "$fit" --x size --y one-shot --json --seed 2 >"$tmp/fit2"
"$northwall" fit hockney - --x size --y one-shot --json <"$fit" | sed "s|\"title\": \"-\"|\"title\": \"$fit\"|" >"$tmp/fit3"
for key in AICc "residual SE \[%\]" "pairs low" "residuals high" "lag-1 by x" "residual \[%\]"; do
    ok "fit --json: $key" grep -q "\"$key\": [-0-9]" "$tmp/fit1"
done
ok "fit: the same from standard input" cmp "$tmp/fit1" "$tmp/fit3"
ok "fit: another seed, other draws" sh -c '! cmp -s "$1" "$2"' _ "$tmp/fit1" "$tmp/fit2"
ok "fit crossover: as many crossings as it says" sh -c '"$1" fit hockney,crossover "$2" --x size --y one-shot,mpi | grep -q "% of 1000 draws cross as often"' _ "$northwall" "$fit"
finish
