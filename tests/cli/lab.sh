#!/usr/bin/env bash
# northwall on hosts of the lab: the tokens of one rank, no shared memory, links that hold a message up for as long as they
# should; a rank, a link or a host that dies ends the job, or a sweep's point, and is named; nothing is left behind. Status
# 77 without root.
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
says "more than 2 hosts" --hosts 2 -n 3 --ranks-per-host 1 list
says "expected 1 to 64" --hosts 0 -n 3 list
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
unset OMPI_MCA_pml # ctest names one, which leaves out the one that counts
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
    find_numbers
}

# What all of the lab's processes share: below the job, the first that does not number processes as we do.
find_numbers() {
    local p=$job
    for _ in $(seq 200); do
        numbers=$(readlink "/proc/$p/ns/pid")
        [ -z "$numbers" -o "$numbers" = "$(readlink /proc/self/ns/pid)" ] || return
        p=$(pgrep -P "$p" | head -n 1)
        [ -n "$p" ] || { p=$job && sleep 0.1; }
    done
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
        tr '\0' '\n' 2>/dev/null <"/proc/$pid/environ" | grep -qx OMPI_COMM_WORLD_RANK=1 && echo "$pid" && return
    done
}

host_of() { # PID: all processes of that host
    local space p
    space=$(readlink "/proc/$1/ns/net")
    for p in $(processes | cut -d ' ' -f 1); do
        [ "$(readlink "/proc/$p/ns/net" 2>/dev/null)" != "$space" ] || echo "$p"
    done
}

is_left() { # NAME
    for _ in 1 2 3 4 5 6 7 8 9 10; do [ -z "$(processes)" ] && break; sleep 0.1; done
    ok "$1: nothing is left: $(processes | tr '\n' ' ')" [ -z "$(processes)" ]
}

ended() { # NAME: how the job ended
    local began
    began=$(date +%s%N)
    wait $job
    status=$?
    took=$((($(date +%s%N) - began) / 1000000))
    job=
    is_left "$1"
    ok "$1: within 10 s ($took ms)" [ $took -lt 10000 ]
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
# ---- points of a sweep ----

# With 20 ms of latency a busy machine has 10 % of them to spare.
base="engine: lab, model: $stories, strategy: pp2, prompt: 4, repeat: 1, threads: 1, context: 400, latency: 20 ms"
spec() { # BASE AXES
    printf 'schema: northwall-sweep\nversion: 1\ntimeout: 32\nbase: {%s}\naxes: {%s}\n' "$base, $1" "$2" >"$tmp/spec.yaml"
}
sweep() { # NAME: in the background
    "$northwall" sweep "$tmp/spec.yaml" --db "$tmp/$1.db" >"$tmp/out" 2>"$tmp/err" </dev/null &
    job=$!
}
row() { "$northwall" results "$tmp/$1.db" --where "$2" --export jsonl; }

spec "rate: 1 Mb/s" "generate: [2, 300, 301, 302, 3]"
sweep deaths
point() { # GENERATE: waits until its ranks have sent so much that they are past loading (23 kB)
    local pid
    for _ in $(seq 300); do
        find_numbers
        pid=$(rank_1)
        [ -n "$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q -- "--n-predict $1 " &&
            awk '$1 == "eth0:" { sent = $2 } END { exit sent < 40000 }' "/proc/$pid/net/dev" && return
        sleep 0.1
    done
}
point 300
kill -9 "$(rank_1)"
point 301
nsenter -t "$(rank_1)" -n ip link set eth0 down
point 302
# shellcheck disable=SC2046 # one word a process
kill -9 $(host_of "$(rank_1)")
wait $job
status=$?
job=
ok "a sweep goes on" [ $status = 0 -a "$(row deaths status=ok | wc -l)" = 2 -a "$(row deaths status=failed | wc -l)" = 3 ]
ok "a sweep: how links were verified, once" [ "$(row deaths status=ok | grep -o '"verified":"[^"]*' | sort -u |
    grep -c 'equal those of one rank; links by ping-pong (n >= [0-9]*): latency 2[0-9]')" = 1 ]
ok "a sweep: not faster than its links" awk -v ms="$(row deaths generate=3 | grep -oE '"latency_ms_per_tok":\{[^}]*' |
    grep -oE '"value":[0-9.]+' | cut -d: -f2)" 'BEGIN { exit !(ms > 40 && ms < 80) }'
ok "a sweep: a killed rank is named" grep -q 'rank 1 .*on node host1 exited' <(row deaths generate=300)
ok "a sweep: who waits behind a cut link says so" grep -q 'rank [01]: waited 8 s for .* rank [01] ' <(row deaths generate=301)
ok "a sweep: a dead host is named" grep -q '"reason":"[^"]*on node host1' <(row deaths generate=302)

spec "rate: 1 Mb/s" "generate: [300]"
sweep killed
point 300
kill -9 $job
wait $job 2>/dev/null
job=
is_left "a sweep that is killed"
ok "a sweep that is killed: no point" [ "$(row killed engine=lab | wc -l)" = 0 ]

spec "rate: 900 Gb/s, latency: 0 us" "generate: [2, 3], strategy: [pp2, tp2]"
sed -i 's/latency: 20 ms, //; s/strategy: pp2, //' "$tmp/spec.yaml"
sweep refused
wait $job
job=
ok "a rate that is refused fails its points" [ "$(row refused status=failed | grep -c 'is refused: ping-pong of [0-9]* B takes')" = 4 ]

mkdir -m 777 "$tmp/open"
chmod 755 "$tmp"
setpriv --reuid 65534 --regid 65534 --clear-groups "$northwall" sweep "$tmp/spec.yaml" --db "$tmp/open/r.db" >"$tmp/out" 2>"$tmp/err"
ok "without root: a failed point says so" [ "$(row open/r status=failed | grep -c 'skipped: needs root')" = 4 ]

# ---- predicted, then measured ----
base="engine: lab, model: $stories, prompt: 4, generate: 3, repeat: 1, threads: 1, latency: 20 ms"
spec "rate: 1 Mb/s, cluster: $source/cluster-configs/boards-1gbe.yaml" "round: [1], strategy: [tp2, pp2]"
validate() { "$northwall" validate "$tmp/p.csv" "$tmp/spec.yaml" -q "$@" </dev/null; }
ok "predictions" grep -q ': 2 points predicted' <(validate)
validate --db "$tmp/v.db" >"$tmp/out"
ok "errors of two points" grep -q 'Of 2 predicted points 2 were measured, by at least 1 runs each' "$tmp/out"
ok "errors by rate" grep -qE '^ *1 +2 ' "$tmp/out"
ok "points by name and rate" grep -q '^ *stories260K-f32 pp2 latency 0.02 1 Mb/s ' "$tmp/out"
finish
