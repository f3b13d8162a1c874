#!/usr/bin/env bash
# Sweeps: grids, draws, failures, kill -9 at any moment, results in other formats and back.
. "$(dirname "$0")/common.sh"

db=$tmp/a.db
spec() { # FILE BASE AXES [MORE]
    printf 'schema: northwall-sweep\nversion: 1\nbase: {%s}\naxes: {%s}\n%s\n' "$2" "$3" "${4-}" >"$1"
}
count() { "$northwall" results "$db" "$@" --export jsonl | wc -l; }
# What was found, without when: a line a result, by point.
rows() { "$northwall" results "$1" --export jsonl | sed 's/"time":"[^"]*",//' | sort; }

# ---- a grid: every combination once, each with a command line that gives the same ----
quick=$source/analysis/sweeps/quick.yaml
"$northwall" sweep "$quick" --db "$db" >"$tmp/out" 2>&1
ok "a sweep" grep -q '^150 points, 0 of them there before; 150 done, 0 of these failed' "$tmp/out"
ok "all combinations" [ "$(count)" = 150 -a "$(count --where strategy=pp4 --where engine=estimate)" = 25 ]
"$northwall" sweep "$quick" --db "$db" --jobs 1 >"$tmp/out" 2>&1
ok "nothing is done twice" grep -q '^150 points, 150 of them there before; 0 done' "$tmp/out"
one=(--where strategy=tp4 --where memory-bandwidth=0.5 --where link-latency=1e-05)
for engine in estimate simulate; do
    "$northwall" results "$db" "${one[@]}" --where engine=$engine --export jsonl >"$tmp/row"
    words=$(grep -oE '"command":"northwall [^"]*' "$tmp/row" | cut -d' ' -f2-)
    # shellcheck disable=SC2086 # words of a command
    "$northwall" $words >"$tmp/again" 2>&1
    value=$(grep -oE '"latency_ms_per_tok":\{[^}]*' "$tmp/row" | grep -oE '[0-9]+\.[0-9]+')
    ok "$engine: the command line gives it again" [ -n "$value" -a "\"latency_ms_per_tok\":$value" = "$(field "$tmp/again" latency_ms_per_tok)" ]
done
ok "--dry-run prints what is left" [ "$("$northwall" sweep "$quick" --db "$db" --dry-run 2>/dev/null | wc -l)" = 0 ]
ok "--dry-run prints all" [ "$("$northwall" sweep "$quick" --dry-run 2>/dev/null | grep -c '^northwall simulate .*--json$')" = 150 ]
ok "a table" grep -q 'status .*strategy .*memory-bandwidth' <("$northwall" results "$db")

# ---- other formats, and back ----
"$northwall" results "$db" --export jsonl >"$tmp/a.jsonl"
"$northwall" results "$db" --export csv >"$tmp/a.csv"
for form in jsonl csv; do
    "$northwall" results "$tmp/$form.db" --import "$tmp/a.$form" >"$tmp/out"
    ok "$form: imported" grep -q '150 results, 150 of them new' "$tmp/out"
    ok "$form: the same" cmp -s "$tmp/a.jsonl" <("$northwall" results "$tmp/$form.db" --export jsonl)
    "$northwall" results "$tmp/$form.db" --import "$tmp/a.$form" >"$tmp/out"
    ok "$form: once" grep -q '150 results, 0 of them new' "$tmp/out"
done
one=(--where strategy=tp4 --where engine=simulate)
"$northwall" results "$db" "${one[@]}" --columns latency_ms_per_tok --export extrap >"$tmp/extrap"
ok "Extra-P: parameters" [ "$(grep -c ^PARAMETER "$tmp/extrap")" = 2 -a "$(grep -c ^METRIC "$tmp/extrap")" = 1 ]
ok "Extra-P: as many data as points" [ "$(grep ^POINTS "$tmp/extrap" | tr -cd '(' | wc -c)" = 25 -a "$(grep -c ^DATA "$tmp/extrap")" = 25 ]
fails "Extra-P: a text" 2 "strategy differs and is a text" 1 results "$db" --where engine=simulate --export extrap

# ---- fits of a file of results: as of its CSV ----
one=(--where engine=estimate --where strategy=tp4 --where link-latency=1e-05)
"$northwall" results "$db" "${one[@]}" --export csv >"$tmp/fit.csv"
fit() { "$northwall" fit hockney "$@" --x memory-bandwidth --y latency_ms_per_tok --json; }
fit "$tmp/fit.csv" >"$tmp/of_csv" 2>/dev/null
fit "$db" "${one[@]}" >"$tmp/of_db" 2>/dev/null
ok "a fit of a file of results" [ -s "$tmp/of_db" ]
ok "as of its CSV" diff <(grep -v "$tmp" "$tmp/of_csv") <(grep -v "$tmp" "$tmp/of_db")
fails "--where of a CSV file" 2 "is no file of results" 1 fit hockney "$tmp/fit.csv" --where a=b --x a --y b
fails "a fit of no result" 8 "no result that is ok is chosen" 1 fit hockney "$db" --where users=77 --x users --y users

# ---- draws ----
spec "$tmp/draw.yaml" "model: smollm-135m, cluster: $source/cluster-configs/l4-4.yaml, generate: 4" \
    "memory-bandwidth: {from: 0.1, to: 10, scale: log}, prompt: {from: 1, to: 64}, strategy: [1, pp2]" "sobol: 32"
db=$tmp/draw.db
"$northwall" sweep "$tmp/draw.yaml" --db "$db" >/dev/null 2>&1
ok "draws" [ "$(count --where status=ok)" = 64 -a "$(count --where strategy=pp2)" = 32 ]
"$northwall" results "$db" --where strategy=1 --columns memory-bandwidth --export csv | awk '
    NR > 1 && $1 + 0 < 1 { low++ }
    NR > 1 && ($1 + 0 < 0.1 || $1 + 0 > 10) { out++ }
    END { exit !(low >= 15 && low <= 17 && !out) }'
ok "draws fill the range evenly, by its logarithm" [ $? = 0 ]

# ---- failures are results ----
spec "$tmp/fail.yaml" "model: smollm-135m, cluster: $source/cluster-configs/l4-4.yaml, generate: 4, prompt: 8" \
    "strategy: [1, frob, tp99, pp2]"
db=$tmp/fail.db
"$northwall" sweep "$tmp/fail.yaml" --db "$db" >"$tmp/out" 2>&1
ok "failures do not stop the others" [ $? = 0 -a "$(count --where status=ok)" = 2 -a "$(count --where status=failed)" = 2 ]
ok "a failure has its reason" grep -q 'tp99 takes 99 cards, but l4-4 has 4' <("$northwall" results "$db")

# ---- ended at any moment ----
spec "$tmp/kill.yaml" "model: smollm-135m, cluster: $source/cluster-configs/l4-4.yaml, generate: 48, prompt: 256" \
    "strategy: [tp2xpp2, pp4, frob], memory-bandwidth: {from: 0.5, to: 2, n: 20}, users: [4, 8, 16, 32]"
"$northwall" sweep "$tmp/kill.yaml" --db "$tmp/whole.db" >/dev/null 2>&1
db=$tmp/killed.db grown=0 before=0
for i in $(seq 12); do
    "$northwall" sweep "$tmp/kill.yaml" --db "$db" >/dev/null 2>&1 &
    job=$!
    sleep "$(printf '0.%03d' $((i * 97 % 400 + 20)))"
    kill -9 "$job" 2>/dev/null
    wait "$job" 2>/dev/null
    job=
    if [ -s "$db" ]; then after=$(count); else after=0; fi
    [ "$after" -ge "$before" ] || grown=-1000
    [ "$after" -gt "$before" ] && grown=$((grown + 1))
    before=$after
done
ok "kill -9: what was kept stays, and more comes" [ $grown -gt 0 ]
"$northwall" sweep "$tmp/kill.yaml" --db "$db" >/dev/null 2>&1
ok "kill -9: nothing lost or doubled" [ "$(count)" = 240 ]
ok "kill -9: the same rows as of a sweep without" cmp -s <(rows "$db") <(rows "$tmp/whole.db")
db=$tmp/stopped.db
"$northwall" sweep "$tmp/kill.yaml" --db "$db" >/dev/null 2>"$tmp/err" &
job=$!
sleep 0.3
kill -INT "$job" 2>/dev/null
wait "$job"
status=$?
job=
ok "Ctrl-C: status" [ $status = 130 -o $status = 0 ]
ok "Ctrl-C: says how far" [ $status = 0 -o "$(grep -c 'of 240 points are done; the same command goes on' "$tmp/err")" = 1 ]

# ---- a process that crashes, a point that takes too long ----
spec "$tmp/late.yaml" "model: smollm-135m, cluster: $source/cluster-configs/h200-8.yaml, strategy: pp4" \
    "generate: [2, 3000000]" "timeout: 1"
db=$tmp/late.db
"$northwall" sweep "$tmp/late.yaml" --db "$db" >/dev/null 2>&1
ok "one that takes too long" [ "$(count)" = 2 -a "$(count --where status=ok --where generate=2)" = 1 ]
ok "its reason" grep -q 'took longer than 1 s' <("$northwall" results "$db" --columns reason)
spec "$tmp/crash.yaml" "model: smollm-135m, cluster: $source/cluster-configs/h200-8.yaml, strategy: pp4" \
    "generate: [1000000, 2, 3]" "timeout: 60"
db=$tmp/crash.db
"$northwall" sweep "$tmp/crash.yaml" --db "$db" --jobs 1 >/dev/null 2>&1 &
job=$!
sleep 0.3
kill -SEGV $(cat "/proc/$job/task/$job/children")
wait "$job"
job=
ok "one that crashes" [ "$(count --where status=ok)" = 2 -a "$(count --where status=failed)" = 1 ]
ok "a crash has its reason" grep -q 'crashed: Segmentation fault' <("$northwall" results "$db" --columns reason)
"$northwall" sweep "$tmp/crash.yaml" --db "$db" >"$tmp/out" 2>&1
ok "what failed counts as done" grep -q '3 of them there before; 0 done' "$tmp/out"
"$northwall" sweep "$tmp/crash.yaml" --db "$db" --retry >"$tmp/out" 2>&1
ok "--retry: that alone again" grep -q '2 of them there before; 1 done, 0 of these failed' "$tmp/out"
ok "--retry: in its place" [ "$(count)" = 3 -a "$(count --where status=ok)" = 3 ]

# ---- emulated: the times of a simulation ----
spec "$tmp/emulate.yaml" "model: $source/models/bundled/kjv-3m-q4_0.gguf, prompt: 9, generate: 3, users: 3, cluster: $source/cluster-configs/l4-4.yaml" \
    "engine: [simulate, emulate], strategy: [tp2, frob], link-latency: [7 us]"
db=$tmp/emulate.db
PATH=$(dirname "$mpiexec"):$PATH "$northwall" sweep "$tmp/emulate.yaml" --db "$db" >/dev/null 2>&1
values() { "$northwall" results "$db" --where strategy=tp2 --where engine="$1" --export jsonl | grep -o '"plan_hash":"[^"]*\|"values":.*'; }
ok "emulated and simulated: the same plan and numbers" [ -n "$(values emulate)" -a "$(values emulate)" = "$(values simulate)" ]
ok "emulated: failed" [ "$(count --where status=failed --where engine=emulate)" = 1 ]

# ---- paced: measured beside simulated, and what the machine did not hold ----
paced="engine: paced, model: $source/models/bundled/kjv-3m-q4_0.gguf, prompt: 4, generate: 4, link-latency: 200 us, memory-bandwidth: 0.24"
paced="$paced, cluster: $source/docs/validation/card.yaml"
spec "$tmp/paced.yaml" "$paced, repeat: 2" "strategy: [tp2, frob]"
db=$tmp/paced.db
PATH=$(dirname "$mpiexec"):$PATH "$northwall" sweep "$tmp/paced.yaml" --db "$db" >/dev/null 2>&1
"$northwall" results "$db" --where status=ok --export jsonl >"$tmp/row"
ok "paced: kind, plan" grep -q '"kind":"measured, paced".*"plan_hash":"' "$tmp/row"
# "value" of NAME, over this many runs
of() { grep -oE "\"$1\":\{[^}]*\"n\":$2" "$tmp/row" | grep -oE '"value":[0-9.e-]+' | cut -d: -f2; }
ok "paced: not faster than simulated" awk -v is="$(of latency_ms_per_tok 2)" -v said="$(of simulated_ms_per_tok 2)" 'BEGIN { exit !(said > 1 && is >= said) }'
ok "paced: verified where the times were held" awk -v late="$(of not_described 2)" -v held="$(grep -c '"verified":"at most 5 % of the time' "$tmp/row")" \
    'BEGIN { exit !(late != "" && held == (late <= 0.05)) }'
ok "paced: cores used" awk -v n="$(of cores_used 2)" 'BEGIN { exit !(n > 0 && n < 2) }'
ok "paced: failed" [ "$(count --where status=failed)" = 1 ]

# ---- predicted, then measured ----
validate() { PATH=$(dirname "$mpiexec"):$PATH "$northwall" validate "$@" -q; }
spec "$tmp/v.yaml" "$paced, repeat: 1" "round: [1], strategy: [tp2, pp2], link-bandwidth: [0.0003, 0.03]"
ok "predictions" grep -q ': 4 points predicted' <(validate "$tmp/p.csv" "$tmp/v.yaml")
fails "predictions stay" 4 "what was predicted stays" 1 validate "$tmp/p.csv" "$tmp/v.yaml"
sed '$d' "$tmp/p.csv" >"$tmp/few.csv"
fails "a point that was not predicted" 7 "link-bandwidth 0.03 is not predicted" 1 validate "$tmp/few.csv" "$tmp/v.yaml" --db "$tmp/v.db"
sed 's/,[0-9a-f]\{16\},/,0000000000000001,/' "$tmp/p.csv" >"$tmp/other.csv"
fails "a point with another plan" 7 "predicted with plan 0000000000000001, which is now" 1 validate "$tmp/other.csv" "$tmp/v.yaml" --db "$tmp/v.db"
ok "neither was measured" [ ! -e "$tmp/v.db" ]
validate "$tmp/p.csv" "$tmp/v.yaml" --db "$tmp/v.db" --json >"$tmp/out"
ok "errors of four points" grep -q 'Of 4 predicted points 4 were measured' "$tmp/out"
ok "where one strategy overtakes another, in between" awk '/"simulated \[x\]"/ { x = $3 + 0 } END { exit !(x > 0.0003 && x < 0.03) }' "$tmp/out"
db=$tmp/v.db
"$northwall" results "$db" --export jsonl >"$tmp/row"
validate "$tmp/p.csv" "$tmp/v.yaml" --db "$db" >/dev/null
ok "measured once" cmp -s "$tmp/row" <("$northwall" results "$db" --export jsonl)
fails "predictions of what is not paced" 3 "engine: paced or lab is what is predicted here" 1 validate "$tmp/q.csv" "$quick"
lab="engine: lab, model: $source/models/bundled/kjv-3m-q4_0.gguf, prompt: 4, generate: 4, repeat: 1"
link="cluster: $source/docs/validation/link-20.yaml"
spec "$tmp/lab.yaml" "$lab, $link" "rate: [20 Mb/s], round: [1, 2], strategy: [tp2, pp2]"
ok "predictions of the lab" grep -q ': 2 points predicted' <(validate "$tmp/lab.csv" "$tmp/lab.yaml")
fails "predictions of the lab and of paced points" 3 "are predicted apart" 1 validate "$tmp/q.csv" "$tmp/lab.yaml" "$tmp/v.yaml"
spec "$tmp/lab.yaml" "$lab, $link" "rate: [20 Mb/s, 50 Mb/s], strategy: [tp2]"
fails "one cluster file for two rates" 3 "rate differs, of which the simulation on link-20 knows nothing" 1 validate "$tmp/q.csv" "$tmp/lab.yaml"
spec "$tmp/lab.yaml" "$lab" "rate: [20 Mb/s], strategy: [tp2]"
fails "nothing is known of the link" 3 "give cluster: what calibrate wrote" 1 validate "$tmp/q.csv" "$tmp/lab.yaml"
ok "the lab: command lines" grep -q '^northwall-lab --rate 20Mb/s -n 2 bench .*--strategy tp2 --json --quiet$' <("$northwall" sweep "$tmp/lab.yaml" --dry-run 2>/dev/null)
fails "predictions of nothing" 2 "validate what? Give PREDICTIONS.csv and SPEC.yaml" 1 validate "$tmp/q.csv"

# ---- measured ----
spec "$tmp/run.yaml" "engine: run, model: $source/models/bundled/kjv-3m-q4_0.gguf, prompt: 8, generate: 4, repeat: 6, cluster: $source/cluster-configs/l4.yaml" \
    "strategy: [pp2, frob]"
db=$tmp/run.db
PATH=$(dirname "$mpiexec"):$PATH "$northwall" sweep "$tmp/run.yaml" --db "$db" >/dev/null 2>&1
"$northwall" results "$db" --where strategy=pp2 --export jsonl >"$tmp/row"
ok "measured, verified" grep -q '"kind":"measured".*"verified":"tokens and logits equal' "$tmp/row"
ok "measured: an interval" grep -qE '"latency_ms_per_tok":\{[^}]*"low":[^}]*"high":[^}]*"n":6,"interval":"of the median' "$tmp/row"
ok "measured: failed" [ "$(count --where status=failed)" = 1 ]

# ---- a cluster fitted to measured points ----
spec "$tmp/cal.yaml" "engine: run, model: $source/models/bundled/kjv-3m-q4_0.gguf, prompt: 8, generate: 8, repeat: 1, link-latency: 50us, cluster: $source/cluster-configs/boards-1gbe.yaml" \
    "strategy: [1, tp2], users: [1, 2, 4, 4]"
PATH=$(dirname "$mpiexec"):$PATH "$northwall" sweep "$tmp/cal.yaml" --db "$tmp/cal.db" >/dev/null 2>&1
"$northwall" fit calibration "$tmp/cal.yaml" --db "$tmp/cal.db" --free memory-bandwidth,step-overhead --json >"$tmp/fit"
ok "calibration: two numbers" [ "$(grep -c '"folds: least"' "$tmp/fit")" = 2 ]
ok "calibration: the command line has what the spec sets" grep -qE 'command line: --set memory-bandwidth=.* --set link-latency=(0.00005|5e-05)s' "$tmp/fit"
ok "calibration: six points, each held out once" [ "$(grep -cE '"held out \[ms\]": [0-9]' "$tmp/fit")" = 6 ]
ok "calibration: fewer squares than as described" awk '
    /"measured \[ms\]"/ { m = $3 + 0 } /"described \[ms\]"/ { before += log($3 / m) ^ 2 } /"fitted \[ms\]"/ { after += log($3 / m) ^ 2; n++ }
    END { exit !(n == 6 && after <= before) }' "$tmp/fit"
fails "calibration of what" 2 "SPEC.yaml --db STUDY.db --free" 1 fit calibration "$tmp/cal.yaml" --free compute
fails "calibration of a number that is none" 2 "--free frob: there are memory-bandwidth" 1 fit calibration "$tmp/cal.yaml" --db "$tmp/cal.db" --free frob
fails "calibration to too few points" 8 "6 points for 4 parameters" 1 fit calibration "$tmp/cal.yaml" --db "$tmp/cal.db" \
    --free memory-bandwidth,compute,step-overhead,pass-overhead
printf 'schema: northwall-cluster\nversion: 1\nname: links\nlinks:\n  - name: a\n    transfer: push\n    latency: {value: 9 us, source: b}\n    bandwidth: {value: 1 Gb/s, source: b}\n' >"$tmp/links.yaml"
sed "s|cluster: [^}]*|cluster: links.yaml|" "$tmp/cal.yaml" >"$tmp/cal-links.yaml"
fails "calibration of links alone" 3 "describes links but no card" 1 fit calibration "$tmp/cal-links.yaml" --db "$tmp/cal.db" --free link-latency
fails "calibration to points of another sweep" 3 "no measured point of" 1 fit calibration "$tmp/cal.yaml" --db "$tmp/a.db" --free compute

# ---- one writer, readers at any time; files that are none; no space ----
db=$tmp/a.db
exec 9>>"$db.writer"
flock 9
fails "a second writer" 4 "another process writes to it" 1 sweep "$quick" --db "$db"
ok "readers read on" [ "$(count)" = 150 ]
exec 9>&-
fails "no file of results" 3 "not an SQLite file" 1 results "$quick"
fails "no such file" 4 "No such file" 1 results "$tmp/none.db"
fails "an unknown column" 2 "--columns 'frob': there are point, time" 1 results "$db" --columns frob
fails "an unknown format" 2 "valid are csv, jsonl, extrap" 1 results "$db" --export xml
printf 'point,time\n1,2\n' >"$tmp/bad.csv"
fails "a CSV file without results" 3 "bad.csv:2: a result has no text 'status'" 1 results "$tmp/bad.db" --import "$tmp/bad.csv"
(ulimit -f 200 && "$northwall" sweep "$tmp/kill.yaml" --db "$tmp/full.db" >/dev/null 2>"$tmp/err")
ok "no space: one line" [ "$(grep -c '^northwall: .*no space left' "$tmp/err")" = 1 ]
db=$tmp/full.db
"$northwall" sweep "$tmp/kill.yaml" --db "$db" >/dev/null 2>&1
ok "no space, then space: all is there" cmp -s <(rows "$db") <(rows "$tmp/whole.db")

# ---- specs that are none ----
printf 'schema: northwall-sweep\nversion: 1\nbase:\n  model: gpt2\n  usres: 4\n' >"$tmp/bad.yaml"
fails "an unknown key" 3 "bad.yaml:5: unknown key 'usres': valid are engine, model, cluster" 1 sweep "$tmp/bad.yaml" --dry-run
fails "no spec" 2 "Give SPEC.yaml" 1 sweep --db "$db"
fails "no place for results" 2 "Give --db FILE" 1 sweep "$quick"
fails "under mpirun" 2 "run it without mpirun" 2 sweep "$quick" --dry-run
fails "an unknown parameter" 2 "expected NAME=VALUE, of memory-bandwidth, compute" 1 simulate --model gpt2 --cluster "$source/cluster-configs/l4-4.yaml" --set frob=1
fails "a level that is none" 2 "capacity.frob: the levels of L4 are" 1 simulate --model gpt2 --cluster "$source/cluster-configs/l4-4.yaml" --set capacity.frob=1
finish
