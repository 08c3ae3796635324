#compdef earshot earshotd
# zsh completion for earshot and earshotd: what their --help tells.
local program=$words[1]
local -a command found=()
[[ ${program:t} == earshot ]] && command=("$words[2]")
if [[ $#command -eq 1 && $CURRENT -eq 2 ]]; then
    found=(${(f)"$($program --help 2> /dev/null | sed -n 's/^  earshot \([a-z]*\) .*/\1/p')"})
elif [[ $PREFIX == -* ]]; then
    found=(${(fu)"$($program $command --help 2> /dev/null | grep -oE -- '--[a-z][a-z-]*')"})
elif [[ $#command -eq 1 && $CURRENT -eq 3 ]]; then
    found=(${(f)"$($program $command --help 2> /dev/null | sed -n 's/^earshot [a-z]* \([a-z][a-z]*\) .*/\1/p')"})
fi
if [[ $#found -eq 0 && $PREFIX != -* ]]; then
    _files
else
    compadd -a found
fi
