#!/usr/bin/env bash
# A rank killed in mid-run ends the job nonzero within 5 s, and its rank is named. SIGINT ends it with a nonzero status, no hang.
. "$(dirname "$0")/common.sh"

more=() # options of the next runs
start() { # COMMAND...: a long run in the background, until text comes
    : >"$tmp/out"
    "$@" run --model "$stories" -n 100000 --ctx 200000 --ignore-eos "${more[@]}" >"$tmp/out" 2>"$tmp/err" &
    job=$!
    for _ in $(seq 300); do
        [ -s "$tmp/out" ] && return
        sleep 0.1
    done
    echo "no text after 30 s: $(cat "$tmp/err")" >&2
}

pid_of_rank() {
    local pid
    for pid in $(pgrep -P "$job"); do
        tr '\0' '\n' <"/proc/$pid/environ" | grep -qx "OMPI_COMM_WORLD_RANK=$1" && echo "$pid" && return
    done
}

for victim in 0 2; do
    start "$mpiexec" -n 3 "$northwall"
    began=$(date +%s%N)
    kill -9 "$(pid_of_rank $victim)"
    wait $job
    status=$?
    took=$((($(date +%s%N) - began) / 1000000))
    ok "rank $victim killed: nonzero" [ $status != 0 ]
    ok "rank $victim killed: within 5 s ($took ms)" [ $took -lt 5000 ]
    ok "rank $victim killed: named" grep -q "rank $victim" "$tmp/err"
done

# A rank that is stopped does not end; who waits for it says so after --timeout.
for victim in 0 1; do
    for split in tp pp; do
        more=(--$split 2 --timeout 2)
        start "$mpiexec" -n 2 "$northwall"
        began=$(date +%s%N)
        stopped=$(pid_of_rank $victim)
        kill -STOP "$stopped"
        wait $job
        status=$?
        took=$((($(date +%s%N) - began) / 1000000))
        kill -9 "$stopped" 2>/dev/null # should be gone
        ok "rank $victim of ${split}2 stopped: nonzero" [ $status != 0 ]
        ok "rank $victim of ${split}2 stopped: noticed in time ($took ms)" [ $took -ge 1900 -a $took -lt 20000 ]
        ok "rank $victim of ${split}2 stopped: said so" grep -Eq "^northwall: rank $((1 - victim)): waited 2 s .*rank $victim[ ,].*\((hidden states|sampled tokens|agreement|(attn|ffn)_reduce, call [0-9]+, round [0-9]+)\)" "$tmp/err"
    done
done
more=()

start "$mpiexec" -n 2 "$northwall"
kill -INT $job
wait $job
ok "interrupted: nonzero" [ $? != 0 ]

start "$northwall"
kill -INT $job
wait $job
ok "interrupted, one rank: status 130" [ $? = 130 ]
ok "interrupted, one rank: said so" grep -q interrupted "$tmp/err"

for n in 1 3; do
    cp "$kjv" "$tmp/shrinks.gguf"
    if [ $n = 1 ]; then set -- "$northwall"; else set -- "$mpiexec" -n $n "$northwall"; fi
    "$@" run --model "$tmp/shrinks.gguf" -n 100000 --ctx 200000 --ignore-eos -q >"$tmp/out" 2>"$tmp/err" &
    job=$!
    for _ in $(seq 300); do [ -s "$tmp/out" ] && break; sleep 0.1; done
    truncate -s 100000 "$tmp/shrinks.gguf"
    wait $job
    status=$?
    ok "a model file cut short while in use ($n): status $status" [ $status = 4 ]
    ok "a model file cut short while in use ($n): said so" grep -q "cut short" "$tmp/err"
done

# A file in the making has no name yet: even SIGKILL leaves nothing behind, and what was there stays.
echo kept >"$tmp/there.gguf"
"$northwall" model synth --model tinyllama-1.1b --quant q4_0 --out "$tmp/there.gguf" -q 2>/dev/null &
job=$!
sleep 1
left=$(ls "$tmp" | grep -c there) # 2 where the file system knows no files without a name
kill -9 $job
wait $job 2>/dev/null
ok "killed while writing: nothing left behind" [ "$(ls "$tmp" | grep -c there)" = "$left" ]
rm -f "$tmp"/there.gguf.*
ok "killed while writing: the old file stays" [ "$(cat "$tmp/there.gguf")" = kept ]

# Phases that look for no signal end all the same: a prompt of 40000 tokens is read in one go.
for _ in $(seq 10000); do printf 'Once upon a time '; done >"$tmp/long"
ends() { # NAME SIGNAL PID: within 5 s of the signal, with status 130 and one line
    local began
    began=$(date +%s%N)
    kill -"$2" "$3"
    wait $job
    local status=$? took=$((($(date +%s%N) - began) / 1000000))
    ok "$1: status $status" [ $status = 130 ]
    ok "$1: within 5 s ($took ms)" [ $took -lt 5000 ]
    ok "$1: said so" [ "$(grep -c '^northwall: .*interrupted' "$tmp/err")" = 1 ]
}
long=(run --model "$stories" --prompts "$tmp/long" -n 2 -q)
for signal in INT TERM HUP; do
    "$northwall" "${long[@]}" >/dev/null 2>"$tmp/err" &
    job=$!
    sleep 1
    ends "SIG$signal while it reads a prompt" $signal $job
done
"$mpiexec" -n 3 "$northwall" "${long[@]}" >/dev/null 2>"$tmp/err" &
job=$!
sleep 3
ends "SIGTERM to rank 1 while it reads a prompt" TERM "$(pid_of_rank 1)"
finish
