# Sourced by the tests here: ./NAME.sh NORTHWALL SOURCE_DIR MPIEXEC
set -u
northwall=$1
source=$2
mpiexec=${3:-mpirun}
data=$source/tests/data
stories=$data/stories260K-f32.gguf
kjv=$source/models/bundled/kjv-3m-q8_0.gguf
tmp=$(mktemp -d)
job=
trap '[ -z "$job" ] || kill -9 "$job" 2>/dev/null; rm -rf "$tmp"' EXIT
passed=0 failed=0

ok() { # NAME CONDITION...
    local name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "failed: $name" >&2
    fi
}

ranks() { # N ARGUMENTS...: northwall on N ranks
    local n=$1
    shift
    if [ "$n" = 1 ]; then "$northwall" "$@"; else "$mpiexec" -n "$n" "$northwall" "$@"; fi
}

# fails NAME STATUS TEXT N ARGUMENTS...: that exit status, and exactly one line of ours on stderr, which holds TEXT
fails() {
    local name=$1 status=$2 text=$3
    shift 3
    timeout 60 bash -c 'n=$1; nw=$2; mp=$3; shift 3; if [ "$n" = 1 ]; then "$nw" "$@"; else "$mp" -n "$n" "$nw" "$@"; fi' \
        _ "$1" "$northwall" "$mpiexec" "${@:2}" >"$tmp/out" 2>"$tmp/err"
    local got=$?
    [ $got = "$status" ] || echo "  $name: status $got, expected $status: $(head -c 300 "$tmp/err")" >&2
    ok "$name: status" [ $got = "$status" ]
    ok "$name: one line that says '$text'" [ "$(grep -c '^northwall: ' "$tmp/err")" = 1 -a "$(grep -cF -- "$text" "$tmp/err")" -ge 1 ]
}

field() { # FILE KEY: an array or value of printed JSON, without white space
    tr -d ' \n' <"$1" | grep -oE "\"$2\":(\[[^]]*\]|[^,}]*)" | head -n 1
}

csv() { # AWK-PROGRAM FILE: of $out/FILE.csv, whose quoted cells lose their commas
    sed -E ':a; s/^(([^"]*"[^"]*")*[^"]*"[^",]*),([^"]*")/\1;\3/; ta; s/\r$//' "$out/$2.csv" | awk -F, "$1"
}

single() { # FOLDER: no table in it has a column twice, which JSON would lose
    local file
    for file in "$1"/*.csv; do
        [ -z "$(head -n 1 "$file" | tr -d '\r' | tr , '\n' | sort | uniq -d)" ] || return 1
    done
}

finish() {
    echo "$passed passed, $failed failed"
    [ $failed = 0 ] && [ $passed -gt 0 ]
    exit $?
}
