#!/usr/bin/env bash
# Every option of the table is in --help, the completion, the man page and README.md, with the commands that take it.
. "$(dirname "$0")/common.sh"

# "COMMAND OPTION" lines of each, sorted
commands=$("$northwall" --complete)
for c in $commands; do
    "$northwall" "$c" --help | sed -nE "s/^  (-., |    )--([a-z-]+) .*/$c \2/p"
done | sort >"$tmp/help"
for c in $commands; do
    "$northwall" --complete "$c" | sed -E "s/^--([a-z-]+)=?\$/$c \1/"
done | sort >"$tmp/completion"
sed -n '/^\.SH OPTIONS/,/^\.SH STRATEGIES/p' "$source/dist/man/northwall.1" | sed 's/\\-/-/g' |
    awk -v all="$(echo $commands)" '
        /^\.B/ { match($0, /--[a-z-]+/); name = substr($0, RSTART + 2, RLENGTH - 2) }
        /^\([a-z, ]+\) / {
            match($0, /^\([a-z, ]+\)/)
            n = split(substr($0, 2, RLENGTH - 2) == "all" ? all : substr($0, 2, RLENGTH - 2), c, /, | /)
            for (i = 1; i <= n; i++) print c[i], name
        }' | sort >"$tmp/man"
sed -n '/^\*\*Options of each command/,/^## /p' "$source/README.md" | awk '
    /^\* `/ { match($0, /`[a-z]+`/); c = substr($0, RSTART + 1, RLENGTH - 2); sub(/^.*: /, "") }
    /^## |^\*\*/ { next }
    { for (i = 1; i <= NF; i++) print c, $i }' | sort >"$tmp/readme"
grep -v ' help$' "$tmp/help" >"$tmp/asked" # README.md says once that all take it

ok "there are options" [ "$(wc -l <"$tmp/help")" -gt 100 ]
same() { # FILE OTHER
    diff "$1" "$2" >&2
}
ok "completion: the options of --help" same "$tmp/help" "$tmp/completion"
ok "man page: the options of --help" same "$tmp/help" "$tmp/man"
ok "README.md: the options of --help" same "$tmp/asked" "$tmp/readme"
# Bash's completion gives the same words.
completed=$(
    . "$source/dist/completion/northwall.bash"
    COMP_WORDS=("$northwall" plan --) COMP_CWORD=2
    _northwall
    printf '%s\n' "${COMPREPLY[@]}"
)
ok "bash completion of plan --" [ "$completed" = "$("$northwall" --complete plan)" ]
finish
