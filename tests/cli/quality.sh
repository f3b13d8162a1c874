#!/usr/bin/env bash
# northwall quality: ranks under mpirun have the bits of threads; what is wrong is told in one line on all ranks.
. "$(dirname "$0")/common.sh"

base=$source/models/bundled/kjv-3m-f16.gguf
text=$tmp/text
head -c 3000 "$source/models/bundled/heldout.txt" >"$text"
quality() { # N OPTIONS...: JSON but for the time it took
    local n=$1
    shift
    ranks "$n" quality --model "$kjv" "$text" --window 64 --json -q "$@" | grep -v '"seconds"'
}

for options in "--mode a8" "--wire int8" "--allreduce ring --mode a16" "--drop-sync least:2" "--kv int8 --hidden fp16"; do
    quality 1 --ranks 4 --reference "$base" $options >"$tmp/threads"
    quality 4 --reference "$base" $options >"$tmp/mpi"
    ok "threads and mpirun: $options" cmp "$tmp/threads" "$tmp/mpi"
    ok "predictions: $options" [ "$(field "$tmp/mpi" n)" '>' '"n":1' ]
done
quality 2 --strategy kvp2 --mode a16 >"$tmp/out"
ok "a shared cache" [ "$(field "$tmp/out" label)" = '"label":"exacttorounding"' ]
quality 1 --ranks 3 --chunk 7 >"$tmp/out"
ok "bit-exact" [ "$(field "$tmp/out" kl_nats_one_rank)" = '"kl_nats_one_rank":0.0' -a "$(field "$tmp/out" label)" = '"label":"bit-exact"' ]
# perplexity is that of the other command
a=$(field <("$northwall" model perplexity --model "$kjv" "$text" --window 64 --json -q) perplexity)
ok "perplexity" [ -n "$a" -a "$a" = "$(field "$tmp/out" perplexity)" ]
ok "as text" grep -q '^checked: bit-exact' <("$northwall" quality --model "$kjv" "$text" --windows 2 -q)

wrong() { # NAME STATUS TEXT N OPTIONS...
    fails "$1 ($4)" "$2" "$3" "$4" quality --model "$kjv" "${@:5}"
}
for n in 1 2; do
    wrong "no text" 2 "Give TEXTFILE" $n
    wrong "a text that is not there" 4 "$tmp/none" $n "$tmp/none"
    wrong "a reference of another vocabulary" 7 "other tokens" $n "$text" --reference "$stories"
    wrong "a pipeline" 2 "the same bits" $n "$text" --strategy pp2
done
wrong "an empty text" 2 "0 tokens" 1 --text ""
wrong "a reference that is not there" 4 "none.gguf" 1 "$text" --reference "$tmp/none.gguf"
wrong "a longer window than the context" 8 "--window 4096" 1 "$text" --window 4096
wrong "a set of no layers" 2 "--drop-sync least:" 1 "$text" --drop-sync least:9
fails "an encoder" 3 "encoder" 1 quality --model bert-base --text Once
fails "other ranks than mpirun's" 6 "mpirun started 2" 2 quality --model "$kjv" "$text" --ranks 3
fails "a layer that is none" 2 "has 0 to 3" 1 quality --model "$kjv" "$text" --ranks 2 --drop-sync 4
fails "the library's all-reduce on threads" 3 "" 1 quality --model "$kjv" "$text" --ranks 2 --allreduce mpi

# ---- as a sweep: resumed, in parallel, the values of the command ----
cat >"$tmp/a.yaml" <<END
schema: northwall-sweep
version: 1
base: {engine: quality, model: $kjv, reference: $base, text: $text, window: 64, windows: 9}
axes: {strategy: [1, tp2, tp4], wire: [f32, int8], kv: [f16, int4]}
END
sed 's/axes: .*/axes: {drop-sync: ["0", "least:1", "9"], strategy: [tp2]}/' "$tmp/a.yaml" >"$tmp/b.yaml"
sweep=("$northwall" sweep "$tmp/a.yaml" "$tmp/b.yaml" --jobs 2 -q --db)
rows() { "$northwall" results "$1" --export jsonl | sed 's/"time":"[^"]*",//' | sort; }
ok "a sweep of two specs" grep -q '^15 points, 0 of them there before; 15 done, 1 of these failed' <("${sweep[@]}" "$tmp/whole.db")
db=$tmp/cut.db
for _ in 1 2 3 4; do
    "${sweep[@]}" "$db" >/dev/null 2>&1 &
    job=$!
    sleep 0.4
    kill -9 $job 2>/dev/null # once all is done it has ended
    wait $job 2>/dev/null
done
job=
ok "goes on" grep -q ' points, ' <("${sweep[@]}" "$db")
ok "killed or not: the same results" cmp <(rows "$tmp/whole.db") <(rows "$db")
ok "a point that failed says why" grep -q 'has 0 to 3' <("$northwall" results "$db" --where status=failed --export jsonl)
"$northwall" results "$db" --where strategy=tp4 --where wire=int8 --where kv=int4 --export jsonl >"$tmp/row"
words=$(grep -oE '"command":"northwall [^"]*' "$tmp/row" | cut -d' ' -f2-)
# shellcheck disable=SC2086 # words of a command
"$northwall" $words >"$tmp/again"
for name in kl_nats kl_nats_one_rank perplexity; do
    value=$(grep -oE "\"$name\":\{\"value\":[^,}]*|\"$name\":\{[^}]*" "$tmp/row" | grep -oE '[0-9]+\.[0-9e+-]+' | head -n 1)
    ok "$name: the command gives it again" [ -n "$value" -a "\"$name\":$value" = "$(field "$tmp/again" $name)" ]
done
ok "what is exact is checked" [ "$("$northwall" results "$db" --where wire=f32 --export jsonl | grep -c '"verified":"bit-exact: logits have')" = 6 ]
ok "what is approximate is not" [ "$("$northwall" results "$db" --where wire=int8 --where strategy=tp2 --export jsonl | grep -c '"verified"')" = 0 ]
# a model that differs in its last bytes alone is another point
cp "$kjv" "$tmp/model.gguf"
sed 's|model: [^,]*|model: '"$tmp/model.gguf"'|; s/axes: .*/axes: {strategy: [1]}/' "$tmp/a.yaml" >"$tmp/c.yaml"
"$northwall" sweep "$tmp/c.yaml" --db "$db" -q >/dev/null
printf '\1\2\3' | dd of="$tmp/model.gguf" bs=1 seek=$(($(stat -c %s "$kjv") - 9)) conv=notrunc 2>/dev/null
ok "other weights" grep -q '^1 points, 0 of them there before' <("$northwall" sweep "$tmp/c.yaml" --db "$db" -q)

finish
