#!/usr/bin/env bash
# Bad input: one clear line, the same nonzero status, no hang, nothing left behind. On one rank and on three.
. "$(dirname "$0")/common.sh"

head -c 5000 "$stories" >"$tmp/short.gguf"
head -c 800000 "$stories" >"$tmp/cut.gguf"
printf 'GARBAGE!' >"$tmp/garbage.gguf"
: >"$tmp/empty.gguf"
# one row less in the embedding than the tokenizer has tokens
LC_ALL=C sed 's/\(llama\.vocab_size\x04\x00\x00\x00\)\x00\x02/\1\xff\x01/
s/\(token_embd\.weight\x02\x00\x00\x00\x40\x00\x00\x00\x00\x00\x00\x00\)\x00\x02/\1\xff\x01/' "$stories" >"$tmp/rows.gguf"
printf 'Once\nupon\0a time\n' >"$tmp/zero"
# not a number in the last bytes of the last tensor
cp "$stories" "$tmp/nan.gguf"
printf '\377\377\377\377' | dd of="$tmp/nan.gguf" bs=1 seek=$(($(stat -c %s "$stories") - 4)) conv=notrunc 2>/dev/null

printf 'schema: northwall-cluster\nversion: 1\nlinks:\n  - name: shm\n    latancy: 5 ns\n' >"$tmp/bad.yaml"

for n in 1 3; do
    fails "unknown key of a cluster ($n)" 3 "bad.yaml:5: unknown key 'latancy': valid are name, transfer, medium, joins, latency" $n run --model "$stories" --net "$tmp/bad.yaml"
    fails "no cluster file ($n)" 4 "$tmp/none.yaml" $n plan --model "$stories" --net "$tmp/none.yaml"
    fails "calibration without a place ($n)" 4 "$tmp/none/c.yaml" $n calibrate --budget 0.05 --out "$tmp/none/c.yaml"
    fails "no command ($n)" 2 "unknown command" $n frobnicate
    fails "unknown option ($n)" 2 "--frob" $n run --frob
    fails "bad number ($n)" 2 "--n-predict" $n run --model "$stories" -n many
    fails "no model ($n)" 2 "no model" $n run
    fails "missing file ($n)" 4 "$tmp/none.gguf" $n run --model "$tmp/none.gguf"
    fails "directory ($n)" 4 "$tmp" $n run --model "$tmp/"
    fails "short file ($n)" 3 "short.gguf" $n run --model "$tmp/short.gguf"
    fails "cut file ($n)" 3 "cut.gguf" $n run --model "$tmp/cut.gguf"
    fails "garbage ($n)" 3 "garbage.gguf" $n run --model "$tmp/garbage.gguf"
    fails "empty file ($n)" 3 "empty.gguf" $n run --model "$tmp/empty.gguf"
    fails "fewer rows than tokens ($n)" 3 "512 tokens, but token_embd.weight only 511" $n run --model "$tmp/rows.gguf"
    fails "not a number ($n)" 3 "not numbers" $n run --model "$tmp/nan.gguf" --prompt Once
    fails "unknown preset ($n)" 2 "nosuch" $n run --model nosuch
    fails "wrong ranks ($n)" 6 "needs 4 ranks" $n run --model "$stories" --tp 4
    fails "too many stages ($n)" 6 "" $n run --model "$stories" --strategy pp$((n * 7))
    fails "memory ($n)" 6 "MiB" $n run --model "$kjv" --mem 100KiB
    if [ "$(awk '/^MemAvailable/ {print $2}' /proc/meminfo)" -lt 250000000 ]; then
        fails "more than the node has ($n)" 5 "available" $n run --model llama3-70b --quant f32 --prompt a
    fi
    fails "context ($n)" 8 "context" $n run --model "$stories" --ctx 4 --prompt "Once upon a time there was a" -n 5
    ok "context: no text ($n)" [ ! -s "$tmp/out" ]
    fails "zero byte in prompts ($n)" 2 "line 2 holds a zero byte" $n run --model "$stories" --prompts "$tmp/zero" -n 5
    fails "bad mode ($n)" 2 "--mode" $n run --model "$kjv" --mode w4a4
    fails "too many drafts ($n)" 2 "--draft" $n run --model "$kjv" --draft 65
    fails "n-grams without drafts ($n)" 2 "without --draft" $n run --model "$kjv" --draft-ngram 2:3
    fails "bad n-grams ($n)" 2 "MIN:MAX" $n run --model "$kjv" --draft 2 --draft-ngram 3:2
    fails "drafts of a plan ($n)" 2 "unknown option '--draft'" $n plan --model "$kjv" --draft 2
    fails "bad kv ($n)" 2 "--kv" $n run --model "$kjv" --kv q9
    fails "bad hidden ($n)" 2 "--hidden int9: valid are f32" $n run --model "$kjv" --hidden int9
    fails "flipped weight ($n)" 7 "verification failed" $n bench --model "$kjv" -n 8 --repeat 1 --flip-weight $((n - 1)) --json
    ok "flipped weight ($n): tokens_verified" grep -q '"tokens_verified": false' "$tmp/out"
done
# asks NAME TEXT OF-RANK-0 -- OF-RANK-1: ranks that were asked for different things say so and end
asks() {
    local name=$1 text=$2 first=() at=3
    for ((; at <= $#; at++)); do [ "${!at}" = -- ] && break; done
    first=("${@:3:at-3}")
    timeout 20 "$mpiexec" -n 1 "$northwall" "${first[@]}" : -n 1 "$northwall" "${@:at+1}" >"$tmp/out" 2>"$tmp/err"
    local got=$?
    ok "$name: status $got" [ $got != 0 -a $got != 124 ]
    ok "$name: one line that says '$text'" [ "$(grep -c '^northwall: ' "$tmp/err")" = 1 -a "$(grep -cF -- "$text" "$tmp/err")" -ge 1 ]
    ok "$name: no text" [ ! -s "$tmp/out" ]
}
one=(run --model "$stories" -n 4 -q)
asks "bad option on rank 1" "--ctx" "${one[@]}" -- "${one[@]}" --ctx 4x
asks "bad option on rank 0" "--ctx" "${one[@]}" --ctx 4x -- "${one[@]}"
asks "help on one rank" "differ in the command line" "${one[@]}" -- run --help
asks "another command on one rank" "differ in the command line" "${one[@]}" -- list
asks "other repetitions on one rank" "differ in the command line" bench --model "$stories" --repeat 1 -- bench --model "$stories" --repeat 2
asks "model command on one rank" "differ in the command line" "${one[@]}" -- model info --model "$stories"
# Every option that is not used is refused, and what takes it is named: for each command, and each thing that one does.
refuses() { # TEXT ARGUMENTS...
    fails "$*" 2 "$1" 1 "${@:2}"
}
refuses "--log everything: valid is collectives" run --log everything
refuses "'--op', which is for coll: see northwall run" run --op allreduce
refuses "'--steps', which is for plan: see northwall bench" bench --steps
refuses "'--draft', which is for run, bench: see northwall plan" plan --draft 2
refuses "'--pp', which is for run, bench, plan, simulate, explain: see northwall model" model synth --pp 2
refuses "'--model', which is for run, bench, plan, simulate, explain, report, model, quality: see northwall coll" coll --model x
refuses "'--type', which is for model: see northwall calibrate" calibrate --type Q4_0
refuses "'--json', which is for" list --json
refuses "'--jobs', which is for sweep, report: see northwall validate" validate --jobs 2
fails "predictions of specs that are not there" 4 "$tmp/none.yaml" 1 validate "$tmp/none.csv" "$tmp/none.yaml"
printf 'n,t\n1,2\n2,-3\n' >"$tmp/below.csv"
printf 'n,t [s]\n1,2\n2,3\n3,4\n4,5\n' >"$tmp/four.csv"
refuses "--out', which is for" fit hockney "$tmp/four.csv" --x n --y t --out x
fails "a fit that is none" 2 "fit nosuch: there are hockney, loggp-segments" 3 fit hockney,nosuch "$tmp/four.csv" --x n --y t
fails "a fit of nothing" 2 "which models" 1 fit hockney
fails "a fit without columns" 2 "--x and --y" 1 fit hockney "$tmp/four.csv"
fails "a fit of a file that is not there" 4 "$tmp/none.csv" 3 fit hockney "$tmp/none.csv" --x n --y t
fails "a column that is not there" 3 "no column 'm': there are n, t [s]" 1 fit hockney "$tmp/four.csv" --x m --y t
fails "a value below zero" 3 "below.csv:3: column t: -3 is below zero" 3 fit hockney "$tmp/below.csv" --x n --y t
fails "too few degrees of freedom" 8 "3 more than parameters" 1 fit hockney "$tmp/four.csv" --x n --y t
fails "two columns for one" 2 "two are for crossover" 1 fit hockney "$tmp/four.csv" --x n --y t,t
fails "one column for two" 2 "two columns whose curves cross" 1 fit crossover "$tmp/four.csv" --x n --y t
fails "more columns than a fit takes" 2 "--x takes the size, not 2 columns" 1 fit hockney "$tmp/four.csv" --x n,n --y t
fails "a point that is none" 2 "--at 3:x" 1 fit hockney "$tmp/four.csv" --x n --y t --at 3:x
fails "a picture of a fit of another kind" 2 "must end in .svg, .png or .gp" 1 fit hockney "$tmp/four.csv" --x n --y t --plot a.jpg
refuses "model info takes no --text, which is for model tokenize, model perplexity; it takes --model, --quant, --all, --quiet" \
    model info --text a
refuses "model synth takes no --type, which is for model quantize; it takes --model, --quant, --threads, --seed, --out, --quiet" \
    model synth --model smollm-135m --type Q4_0 --out "$tmp/none.gguf"
refuses "model quantize takes no --quant, which is for" model quantize --model "$kjv" --quant Q4_0 --out "$tmp/none.gguf"
refuses "model tokenize takes no --json, which is for model perplexity" model tokenize --model "$kjv" --json
refuses "model perplexity takes no --out, which is for" model perplexity --model "$kjv" --out x
refuses "coll takes no --ranks, which is for coll --verify, coll --crossover" coll --ranks 3
refuses "coll --verify takes no --wire, which is for coll, coll --crossover; it takes --ranks, --algo, --verify, --quiet" coll --verify --wire int8
refuses "bench --kernels without --model takes no --tp, which is for bench" bench --kernels --tp 2
ok "no file of a command that was refused" [ ! -e "$tmp/none.gguf" ]
fails "an unknown all-reduce" 2 "no collective algorithm is called 'nope'" 2 run --model "$stories" --strategy tp2 --allreduce nope
fails "an unknown transport" 2 "expected auto, shm or link" 1 run --model "$stories" --transport tcp
fails "an unknown wire form" 2 "expected f32, fp16, int8 or int4" 1 run --model "$stories" --wire int5
fails "a wire form that would round too often" 3 "more than twice" 2 run --model "$stories" --strategy tp2 --allreduce ring --wire int8
fails "a dropped sync of a layer that is none" 2 "has 0 to 4" 2 run --model "$stories" --strategy tp2 --drop-sync 5
fails "a dropped sync where there is one a layer" 3 "one sync and none to drop" 1 plan --model pythia-410m --tp 2 --drop-sync 1
fails "no strategy in a list" 2 "no strategy in it" 1 bench --model "$stories" --strategies , --repeat 1 -n 2
fails "empty list of strategies" 2 "no strategy in it" 1 bench --model "$stories" --strategies '' --no-verify
fails "a weight to flip on no rank" 2 "no such rank" 1 bench --model "$stories" --flip-weight 1 -n 2
fails "no model and no kernels to measure" 2 "no model" 1 bench
fails "--kernels without a set beside a model" 2 "name a set" 3 bench --model "$stories" --kernels
fails "a kernel set that is none" 2 "nosuch" 3 bench --kernels nosuch
fails "an option that --kernels has no use for" 2 "without --model takes no --tp" 2 bench --kernels --tp 2
fails "a prompt for --kernels" 2 "without --model takes no --prompt" 1 bench --kernels portable -p Once
fails "strategies and a strategy" 2 "either --strategies" 1 bench --model "$stories" --strategies 1,tp2 --tp 2
fails "a storage type that is none" 2 "nosuch" 1 bench --kernels --quant nosuch
fails "kernels without a set elsewhere" 2 "--kernels needs a value" 1 run --model "$stories" --kernels
fails "a picture of another kind" 2 "must end in .svg, .png or .gp" 3 bench --model "$stories" --plot roof.jpg
fails "a picture of several strategies" 2 "draws one strategy" 1 bench --model "$stories" --strategies 1 --plot roof.svg
PATH=/nonexistent "$northwall" bench --model "$stories" --plot "$tmp/roof.svg" >/dev/null 2>"$tmp/err"
ok "a picture without gnuplot" [ $? = 3 -a "$(grep -c 'gnuplot is not installed' "$tmp/err")" = 1 -a ! -e "$tmp/roof.svg" ]
asks "a model on one rank" "whether --model is given" bench --model "$stories" -- bench --kernels
for size in inf 1e-9 1e30TiB nan -1 ''; do
    fails "--mem '$size'" 2 "expected a size" 1 run --model "$stories" --mem "$size" -n 2
done
fails "more positions than can be counted" 6 "KV cache" 1 plan --model "$stories" --ctx 16777216 --batch 65536 --mem 1GiB
ok "no text before an error" [ "$(timeout 10 "$northwall" run --model "$stories" --ctx 4 --prompt "Once upon a time there was" 2>/dev/null | wc -c)" = 0 ]
# the same header, other weights
perl -0777 -pe 's/.{4}$/abcd/s; substr($_, length($_) - 300000, 300000) =~ tr/\x00-\xff/\x01-\xff\x00/' "$stories" >"$tmp/other.gguf"
asks "another file on one rank" "differ in the model file" "${one[@]}" -- run --model "$tmp/other.gguf" -n 4 -q
fails "stray word" 2 "unexpected word 'time'" 1 run --model "$stories" time
fails "unwritable output" 4 "/nonexistent" 1 model quantize --model "$stories" --type Q8_0 --out /nonexistent/x.gguf
fails "full disk" 4 "" 1 model quantize --model "$kjv" --type Q4_0 --out /dev/full
fails "perplexity of more tokens than rows" 3 "511 rows" 1 model perplexity --model "$tmp/rows.gguf" --text Once
fails "perplexity of NaN" 3 "not numbers" 1 model perplexity --model "$tmp/nan.gguf" --text "Once upon a time"
fails "perplexity of nothing" 2 "leaves nothing" 1 model perplexity --model "$stories" --window 8 --skip 7 --text "Once upon a time, there was a little girl"
fails "perplexity of an encoder" 3 "encoder" 1 model perplexity --model bert-base --text Once
fails "unknown type" 2 "Q99" 1 model quantize --model "$stories" --type Q99 --out "$tmp/x.gguf"
ok "no partial file" [ -z "$(ls "$tmp" | grep 'x.gguf')" ]
"$northwall" list >/dev/full 2>"$tmp/err"
ok "full standard output" [ $? = 4 ]
for how in -q --json "-q --batch 2"; do # under mpirun, standard output is mpirun's
    "$northwall" run --model "$stories" -n 20 $how >/dev/full 2>"$tmp/err"
    ok "full standard output, run $how" [ $? = 4 -a "$(grep -c '^northwall: standard output' "$tmp/err")" = 1 ]
done
"$northwall" plan --model "$stories" --json >/dev/full 2>"$tmp/err"
ok "full standard output, plan --json" [ $? = 4 ]
"$northwall" run --model "$stories" -n 3 -q >&- 2>"$tmp/err"
ok "closed standard output" [ $? = 4 ]
timeout 10 "$northwall" run --model "$stories" -n 100000 --ctx 200000 --ignore-eos -q 2>"$tmp/err" | head -c 5 >/dev/null
status=${PIPESTATUS[0]}
ok "a reader that leaves ends the run (status $status)" [ "$status" = 4 ]
fails "--bind" 2 "valid are on and off" 1 run --model "$kjv" --bind x
# Maps and hosts.
fails "--map" 2 "--map 'x': expected launched or plan" 2 run --model "$kjv" --tp 2 --map x
fails "--map of several strategies" 2 "--map is of one strategy" 2 bench --model "$kjv" --strategies 1,tp2 --map plan
fails "--map of what the library sends" 3 "no map can be chosen for it" 2 run --model "$kjv" --tp 2 --map plan --allreduce mpi
fails "--map with too few ranks" 6 "strategy tp3 needs 3 ranks, but 2 were started" 2 run --model "$kjv" --tp 3 --map plan
printf 'node1 slots=2\nnode2 slot=2\n' >"$tmp/hosts"
plan=(plan --model "$kjv" --tp 2 --pp 2)
fails "a host file's line" 2 "$tmp/hosts:2: 'slot=2': expected slots=N" 1 "${plan[@]}" --hosts "$tmp/hosts"
fails "a host file's line, seen by 2" 2 "$tmp/hosts:2: 'slot=2': expected slots=N" 2 "${plan[@]}" --hosts "$tmp/hosts"
fails "a host file that is not there" 4 "$tmp/none" 1 "${plan[@]}" --hosts "$tmp/none"
printf 'node1 slots=2\nnode2 slots=1\n' >"$tmp/hosts"
fails "too few slots" 6 "has 3 slots, but strategy tp2xpp2 needs 4 ranks" 1 "${plan[@]}" --hosts "$tmp/hosts"
fails "a rank file of no hosts" 2 "of which hosts? Give --hosts FILE" 1 "${plan[@]}" --rankfile "$tmp/ranks"
fails "a rank file that cannot be" 4 "/nonexistent" 1 "${plan[@]}" --pp 1 --hosts "$tmp/hosts" --rankfile /nonexistent/ranks
fails "more threads than cores here" 6 "whose cores stand for those of all hosts" 1 "${plan[@]}" --pp 1 --hosts "$tmp/hosts" \
    --rankfile "$tmp/ranks" --threads 1024
ok "no rank file then" [ ! -e "$tmp/ranks" ]
finish
