#!/usr/bin/env bash
# northwall on hosts of the lab: the tokens of one rank, no shared memory, links that hold a message up for as long as they
# should; a rank, a link or a host that dies ends the job and is named; nothing is left behind. Status 77 without root.
. "$(dirname "$0")/common.sh"
lab=$(dirname "$northwall")/northwall-lab

on_lab() { # ARGUMENTS...
    timeout 60 "$lab" --no-verify "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    status=$?
}

on_lab -n 2 topo
[ $status != 77 ] || { cat "$tmp/err" && exit 77; }
ok "2 hosts: one machine, whose cores are dealt to the ranks of both" [ $status = 0 -a "$(grep -c '^host' "$tmp/out")" = 1 ]

says() { # TEXT ARGUMENTS...: refused, status 2
    on_lab "${@:2}"
    ok "${*:2}" [ $status = 2 -a "$(grep -c "^northwall-lab: .*$1" "$tmp/err")" = 1 ]
}
says "no command"
says "--rate 5: expected" --rate 5 list
says "--latency 5: expected" --latency 5 list
says "--rate 0Mb/s: expected" --rate 0Mb/s list
says "one alone" --rate 5Mb/s --rate 6Mb/s list
says "unknown option '--frob'" --frob list
says "more than 2 hosts" --hosts 2 -n 3 list
says "valid are wire and tbf" --shape htb list
says "valid are slot and node" --map-by core list
says "a bucket adds none" --shape tbf --latency 1ms list
says "what --no-verify leaves out" --json "$tmp/json" list

job_of=(run --model "$stories" --prompt "Once upon a time" -n 12 -q)
alone=$("$northwall" "${job_of[@]}")
on_lab -n 2 --rate 100Mb/s "${job_of[@]}" --tp 2 --log collectives
ok "2 hosts: the text of one rank" [ $status = 0 -a "$(cat "$tmp/out")" = "$alone" ]
ok "2 hosts: sums travel as messages between nodes" grep -q 'ranks 0-1 .* link .*links: net' "$tmp/err"
on_lab -n 4 --ranks-per-host 2 --rate 100Mb/s --shape tbf "${job_of[@]}" --tp 2 --pp 2 --log collectives
ok "2 hosts of 2 ranks, by tbf: the text of one rank" [ $status = 0 -a "$(cat "$tmp/out")" = "$alone" ]
ok "2 hosts of 2 ranks: those of a host share memory" grep -q 'ranks 0-1 .* shm ' "$tmp/err"

# Ranks dealt round two hosts, as launched and as the plan wants them: the same text, and between the hosts what was
# counted: Open MPI's own count of 40 tokens less that of 20. Processes 0 and 2 are on one host, 1 and 3 on the other.
dealt=(-n 4 --hosts 2 --ranks-per-host 2 --map-by node --rate 100Mb/s "${job_of[@]}" --tp 2 --pp 2)
between() { # RUN: messages and bytes that the processes of one host sent the other's
    cat "$tmp/$1".*.prof | awk '$1 == "E" && ($2 + $3) % 2 { m += $6; b += $4 } END { print m, b }'
}
export OMPI_MCA_osc=^monitoring OMPI_MCA_pml_monitoring_enable=1 OMPI_MCA_pml_monitoring_enable_output=3
for map in launched plan; do
    for n in 20 40; do
        OMPI_MCA_pml_monitoring_filename=$tmp/$map$n on_lab "${dealt[@]}" --map $map --json -n $n --ignore-eos --ctx 64
    done
    ok "--map $map: status" [ $status = 0 ]
    cp "$tmp/out" "$tmp/$map"
    counted=$(tr -d ' \n' <"$tmp/out" | sed -E 's/.*"between_nodes":\{"messages_per_tok":([0-9]+),"bytes_per_tok":([0-9]+).*/\1 \2/')
    sent=$(echo "$(between ${map}20) $(between ${map}40)" | awk '{ print ($3 - $1) / 20, ($4 - $2) / 20 }')
    ok "--map $map: between the hosts $counted messages and bytes a token, $sent by Open MPI's count" [ "$counted" = "$sent" ]
done
unset OMPI_MCA_osc OMPI_MCA_pml_monitoring_enable OMPI_MCA_pml_monitoring_enable_output
ok "--map plan: the same logits" [ -n "$(field "$tmp/plan" logits_hash)" -a "$(field "$tmp/plan" logits_hash)" = "$(field "$tmp/launched" logits_hash)" ]
ok "--map plan: groups lie on one host" [ "$(tr -d ' \n' <"$tmp/plan" | grep -o '"process":[0-9]' | tr -dc 0-9)" = 0213 ]
for map in launched plan; do # cards are the plan's: their clocks do not know who is where
    on_lab "${dealt[@]}" --map $map --cluster "$source/cluster-configs/h100-sxm-8.yaml" --clock virtual --json
    tr -d ' \n' <"$tmp/out" | grep -o '"emulated":.*"map"' >"$tmp/virtual-$map"
done
ok "--map plan: the same virtual times" [ -s "$tmp/virtual-plan" -a "$(cat "$tmp/virtual-plan")" = "$(cat "$tmp/virtual-launched")" ]

# 16 KiB are 17464 bytes on the wire: 34.9 ms at 4 Mb/s.
on_lab -n 4 --rate 4Mb/s --latency 5ms coll --ping-pong -b 16K -e 16K --json
ok "4 hosts: two pairs" [ $status = 0 -a "$(grep -c '"ranks": \[' "$tmp/out")" = 2 ]
ok "4 hosts: messages take their time" awk -F'[:,]' \
    '/"time_us_p50"/ { n++; bad += $2 < 0.99 * (34928 + 5000) || $2 > 1.5 * (34928 + 5000) } END { exit n != 2 || bad }' "$tmp/out"

# A message of 1 KiB is 1114 bytes on the wire, 446 us at 20 Mb/s, and the link adds 100: no calibration may say less.
on_lab -n 2 --rate 20Mb/s calibrate --budget 2 --threads 1 --out "$tmp/link.yaml"
ok "calibrate: status" [ $status = 0 ]
ok "calibrate: a slow link has samples" awk '/^net: steps, .* sum/ { n++; few += !match($0, / ns +[0-9]+ /) || substr($0, RSTART + 3, RLENGTH - 3) + 0 < 3 } END { exit n < 4 || few }' "$tmp/out"
ok "calibrate: 1 KiB takes its time on the link" awk '
    /name: net/ { net = 1 }
    net && /latency:|_overhead:/ { us += substr($0, index($0, "value: ") + 7) }
    net && /bandwidth:/ { us += 1024 / (1e3 * substr($0, index($0, "value: ") + 7)) }
    END { exit us < 546 * 0.95 }' "$tmp/link.yaml"

timeout 60 "$lab" -n 2 --rate 900Gb/s --json "$tmp/json" list >"$tmp/out" 2>"$tmp/err"
ok "a rate that the machine does not have is refused" [ $? = 9 ]
ok "a rate that is refused: said so" grep -q '^northwall-lab: 900Gb/s is refused' "$tmp/err"
ok "a rate that is refused: no command" [ ! -s "$tmp/out" ]
ok "a rate that is refused: what was measured" grep -q '"rate": "900Gb/s".*"verdict": "late".*"latency_us_low"' "$tmp/json"

# ---- deaths ----

start() { # a long run on two hosts, in the background, until its text comes
    rm -f "$tmp/out"
    env --default-signal=INT "$lab" -n 2 --no-verify --rate 100Mb/s run --model "$stories" --tp 2 -n 100000 --ctx 200000 \
        --ignore-eos --timeout 1 >"$tmp/out" 2>"$tmp/err" &
    job=$!
    for _ in $(seq 200); do [ -s "$tmp/out" ] && break; sleep 0.1; done
    first=$(pgrep -P "$(pgrep -P $job)") # of the lab's processes, which all share its numbers of processes
    numbers=$(readlink "/proc/$first/ns/pid")
}

processes() { # of the lab, as "PID NAME"
    local p
    for p in /proc/[0-9]*; do
        [ "$(readlink "$p/ns/pid" 2>/dev/null)" != "$numbers" ] || echo "${p#/proc/} $(cat "$p/comm" 2>/dev/null)"
    done
}

rank_1() {
    local pid
    for pid in $(processes | awk '$2 == "northwall" { print $1 }'); do
        tr '\0' '\n' <"/proc/$pid/environ" | grep -qx OMPI_COMM_WORLD_RANK=1 && echo "$pid" && return
    done
}

host_of() { # PID: all processes of that host
    local space p
    space=$(readlink "/proc/$1/ns/net")
    for p in $(processes | cut -d ' ' -f 1); do
        [ "$(readlink "/proc/$p/ns/net" 2>/dev/null)" != "$space" ] || echo "$p"
    done
}

ended() { # NAME: how the job ended
    local began
    began=$(date +%s%N)
    wait $job
    status=$?
    took=$((($(date +%s%N) - began) / 1000000))
    job=
    for _ in 1 2 3 4 5 6 7 8 9 10; do [ -z "$(processes)" ] && break; sleep 0.1; done
    ok "$1: within 10 s ($took ms)" [ $took -lt 10000 ]
    ok "$1: nothing is left: $(processes | tr '\n' ' ')" [ -z "$(processes)" ]
}

start
kill -9 "$(rank_1)"
ended "a killed rank"
ok "a killed rank: nonzero" [ $status != 0 ]
ok "a killed rank: named, with its host" grep -q 'rank 1 .*on node host1 exited' "$tmp/err"

start
nsenter -t "$(rank_1)" -n ip link set eth0 down
ended "a cut link"
ok "a cut link: status $status" [ $status = 9 ]
ok "a cut link: the rank behind it is named" grep -q '^northwall: rank 0: waited 1 s .*rank 1[ ,]' "$tmp/err"

start
# shellcheck disable=SC2046 # one word a process
kill -9 $(host_of "$(rank_1)")
ended "a dead host"
ok "a dead host: nonzero" [ $status != 0 ]
ok "a dead host: named" grep -q 'on node host1' "$tmp/err"

for signal in INT KILL; do
    start
    kill -$signal $job
    ended "SIG$signal"
    ok "SIG$signal: status $status" [ $status = $([ $signal = INT ] && echo 130 || echo 137) ]
done
finish
