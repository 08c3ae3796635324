# bash completion for earshot and earshotd: what their --help tells.
_earshot() {
    local program=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]} found=
    local -a command=()
    [[ ${program##*/} == earshot ]] && command=("${COMP_WORDS[1]}")
    if [[ ${#command[@]} -eq 1 && $COMP_CWORD -eq 1 ]]; then
        found=$("$program" --help 2> /dev/null | sed -n 's/^  earshot \([a-z]*\) .*/\1/p')
    elif [[ $word == -* ]]; then
        found=$("$program" "${command[@]}" --help 2> /dev/null | grep -oE -- '--[a-z][a-z-]*')
    elif [[ ${#command[@]} -eq 1 && $COMP_CWORD -eq 2 ]]; then
        found=$("$program" "${command[@]}" --help 2> /dev/null | sed -n 's/^earshot [a-z]* \([a-z][a-z]*\) .*/\1/p')
    fi
    if [[ -z $found && $word != -* ]]; then
        compopt -o filenames 2> /dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
    fi
    mapfile -t COMPREPLY < <(compgen -W "$found" -- "$word" | sort -u)
}
complete -F _earshot earshot earshotd
