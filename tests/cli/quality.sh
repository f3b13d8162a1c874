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
finish
