#!/usr/bin/env bash
# One text and one hash of every step's logits, whatever the strategy and the rank count; the ids that two other
# implementations of this model give (tests/data/README.md).
. "$(dirname "$0")/common.sh"
n=${4:-0}

run() { # N STRATEGY FILE [more]
    ranks "$1" run --model "$stories" --strategy "$2" --prompt "Once upon a time" -n 100 --temperature 0 --json -q "${@:4}" >"$3" 2>"$tmp/err" ||
        { echo "$2 on $1 ranks: $(cat "$tmp/err")" >&2; return 1; }
}

run 1 1 "$tmp/one"
ids=$(field "$tmp/one" ids | sed 's/.*\[//; s/\]//')
expected=$(grep -A 1 '^1 403 407 261 378$' "$data/stories260K.ids.txt" | tail -n 1 | cut -d' ' -f1-100 | tr ' ' ',')
ok "expected ids" [ "$ids" = "$expected" ]
ok "portable kernels" run 1 1 "$tmp/other" --kernels portable
ok "portable kernels: logits" [ "$(field "$tmp/one" logits_hash)" = "$(field "$tmp/other" logits_hash)" ]

case $n in
1) strategies="1" ;;
2) strategies="tp2 pp2 dp2" ;;
3) strategies="tp3 pp3 stages:1,2" ;;
4) strategies="tp4 pp4 tp2xpp2" ;;
5) strategies="tp5 pp5 stages:2,3" ;;
6) strategies="tp6 tp3xpp2" ;;
7) strategies="tp7 stages:3,4" ;;
8) strategies="tp8 tp4xpp2 tp2xpp4" ;;
esac
# Drafts: a text that quotes itself, so that some are right.
quote="Once upon a time, there was a little girl named Lily. She loved to play outside in the park. Once upon a time, there was a"
spoken() { # N STRATEGY FILE [more]
    ranks "$1" run --model "$stories" --strategy "$2" --prompt "$quote" -n 60 --json -q "${@:4}" >"$3" 2>"$tmp/err" ||
        { echo "$2 on $1 ranks: $(cat "$tmp/err")" >&2; return 1; }
}
# Greedy ones, and prompts in one chunk, on few ranks only: starting ranks takes the time here.
samplings=("--temperature 0.7 --seed 5") chunks=1
[ "$n" -le 2 ] && samplings+=("") chunks="1 64"
for sampling in "${samplings[@]}"; do
    ok "no drafts" spoken 1 1 "$tmp/plain" $sampling
    for s in $strategies; do
        ok "$s, drafts" spoken "$n" "$s" "$tmp/drafted" $sampling --draft 4
        ok "$s, drafts $sampling: tokens" [ "$(field "$tmp/plain" ids)" = "$(field "$tmp/drafted" ids)" ]
        ok "$s, drafts $sampling: logits" [ "$(field "$tmp/plain" logits_hash)" = "$(field "$tmp/drafted" logits_hash)" ]
        ok "$s, drafts $sampling: some were right" [ "$(field "$tmp/drafted" accepted_tokens | tr -dc 0-9)" -gt 0 ]
    done
done

# Hidden states in fewer bits: other logits, the same under every strategy.
ok "hidden int8" run 1 1 "$tmp/plain" --hidden int8
ok "hidden int8: other logits" [ "$(field "$tmp/one" logits_hash)" != "$(field "$tmp/plain" logits_hash)" ]
for s in $strategies; do
    ok "$s, hidden int8" run "$n" "$s" "$tmp/other" --hidden int8
    ok "$s, hidden int8: tokens" [ "$(field "$tmp/plain" ids)" = "$(field "$tmp/other" ids)" ]
    ok "$s, hidden int8: logits" [ "$(field "$tmp/plain" logits_hash)" = "$(field "$tmp/other" logits_hash)" ]
done

if [ "$n" -gt 1 ]; then
    for a in tree oneshot twoshot; do
        for t in shm link; do
            ok "$a over $t" run "$n" "tp$n" "$tmp/other" --allreduce $a --transport $t
            ok "$a over $t: logits" [ "$(field "$tmp/one" logits_hash)" = "$(field "$tmp/other" logits_hash)" ]
        done
    done
    ok "ring: another order of sums" run "$n" "tp$n" "$tmp/other" --allreduce ring
    ok "the library's own" run "$n" "tp$n" "$tmp/other" --allreduce mpi
fi
for s in $strategies; do
    for chunk in $chunks; do
        ok "$s" run "$n" "$s" "$tmp/other" --chunk $chunk
        ok "$s, chunk $chunk: tokens" [ "$(field "$tmp/one" ids)" = "$(field "$tmp/other" ids)" ]
        ok "$s, chunk $chunk: logits" [ "$(field "$tmp/one" logits_hash)" = "$(field "$tmp/other" logits_hash)" ]
    done
done
finish
