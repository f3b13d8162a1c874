#!/usr/bin/env bash
# northwall report --quick: the whole page of this program's own reports, whole and in time. Nightly: it measures.
. "$(dirname "$0")/common.sh"

out=$tmp/page
begun=$SECONDS
ok "northwall report --quick" "$northwall" report --quick --out "$out"
took=$((SECONDS - begun))
echo "the page took $took s" >&2
ok "in two minutes" [ $took -le 120 ]
reports=$("$northwall" list | sed -n '/^reports$/,/^$/p' | awk 'NF > 1 { print $1 }')
ok "there are reports" [ "$(echo "$reports" | wc -l)" -ge 6 ]
for r in $reports; do
    ok "$r has a section" grep -q "<section id=\"$r\"" "$out/index.html"
    ok "$r has a finding in the summary" awk -v r="#$r\"" '/<section id="summary"/ { on = 1 } /<\/section>/ { on = 0 }
        on && index($0, r) && length($0) > 100 { found = 1 } END { exit !found }' "$out/index.html"
    ok "$r has files" sh -c 'ls "$1"/*.csv >"$2"' _ "$out/$r" "$tmp/files"
    for gp in "$out/$r"/*.gp; do
        [ -e "$gp" ] && command -v gnuplot >/dev/null || continue
        ok "$gp is drawn" grep -q "</svg>" "${gp%.gp}.svg"
    done
done
ok "nothing is left out" [ "$(grep -c '<strong>Left out:' "$out/index.html")" = 0 ]
ok "as many pictures as figures" [ "$(grep -c '<img alt="Plot: ' "$out/index.html")" = "$(ls "$out"/*/*.svg | wc -l)" ]
ok "one core is one thread" grep -q -e "--model gpt2 .*--threads 1 --json" "$out/index.html"
ok "no link leaves the page and its folders" [ "$(grep -oE '(href|src)="[^"]{1,200}' "$out/index.html" | grep -cE '"(https?|file|/)')" = 0 ]
ok "every link has a target" sh -c '
    grep -oE "href=\"[^#\"]+\"" "$1/index.html" | sed "s/href=\"//; s/\"//" | sort -u |
        while read -r f; do [ -s "$1/$f" ] || echo "$f"; done | grep -c . | grep -qx 0' _ "$out"
finish
