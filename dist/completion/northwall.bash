# bash completion for northwall: words come from the program itself
_northwall() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} program=${COMP_WORDS[0]} i command=
    for ((i = 0; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]##*/} == northwall ]] && program=${COMP_WORDS[i]} command=${COMP_WORDS[i + 1]} && break
    done
    if [[ $prev == "$program" ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$("$program" --complete 2>/dev/null)" -- "$cur")
    elif [[ $command == model && $prev == model ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$("$program" model --help 2>/dev/null | sed -n '/^usage/ { s/.* model //; s/ .*//; s/|/ /gp }')" -- "$cur")
    elif [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$("$program" --complete "$command" 2>/dev/null)" -- "$cur")
    elif [[ $prev == --model || $prev == -m ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$("$program" --complete presets 2>/dev/null)" -- "$cur"; compgen -f -X '!*.gguf' -- "$cur"; compgen -d -- "$cur")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    fi
}
complete -o filenames -F _northwall northwall
