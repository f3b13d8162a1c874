#!/usr/bin/env bash
# A rank killed in mid-run ends the job nonzero within 5 s, and its rank is named. SIGINT ends it with a nonzero status, no hang.
. "$(dirname "$0")/common.sh"

start() { # N: a long run in the background
    "$mpiexec" -n "$1" "$northwall" run --model "$stories" --tp "$1" -n 100000 --ctx 200000 --ignore-eos -q >"$tmp/out" 2>"$tmp/err" &
    job=$!
    for _ in $(seq 100); do # until text comes
        [ -s "$tmp/out" ] && return
        sleep 0.1
    done
    echo "no text after 10 s: $(cat "$tmp/err")" >&2
}

children() { # the northwall processes of the job
    pgrep -P "$job" -f "$northwall"
}

for victim in 0 2; do
    start 3
    pids=($(children | sort -n))
    began=$(date +%s%N)
    kill -9 "${pids[$victim]}"
    wait $job
    status=$?
    took=$((($(date +%s%N) - began) / 1000000))
    ok "rank $victim killed: nonzero" [ $status != 0 ]
    ok "rank $victim killed: within 5 s ($took ms)" [ $took -lt 5000 ]
    ok "rank $victim killed: named" grep -q "rank $victim" "$tmp/err"
done

start 2
kill -INT $job
wait $job
ok "interrupted: nonzero" [ $? != 0 ]

"$northwall" run --model "$stories" -n 100000 --ctx 200000 --ignore-eos >"$tmp/out" 2>"$tmp/err" &
job=$!
sleep 1
kill -INT $job
wait $job
ok "interrupted, one rank: status 130" [ $? = 130 ]
ok "interrupted, one rank: said so" grep -q interrupted "$tmp/err"
finish
