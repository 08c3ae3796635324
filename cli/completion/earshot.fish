# fish completion for earshot and earshotd: what their --help tells.
function __earshot_commands
    earshot --help 2>/dev/null | sed -n 's/^  earshot \([a-z]*\) .*  \(.*\)$/\1\t\2/p'
end

function __earshot_options
    set -l words (commandline -opc)
    set -l command
    string match -q '*earshotd' $words[1]; or set command $words[2]
    $words[1] $command --help 2>/dev/null | grep -oE -- '--[a-z][a-z-]*' | sort -u
end

# The words that follow the command: model info.
function __earshot_words
    set -l words (commandline -opc)
    test (count $words) -eq 2; or return
    $words[1] $words[2] --help 2>/dev/null | sed -n 's/^earshot [a-z]* \([a-z][a-z]*\) .*/\1/p'
end

complete -c earshot -n __fish_use_subcommand -f -a '(__earshot_commands)'
complete -c earshot -n 'not __fish_use_subcommand; and string match -q -- "-*" (commandline -ct)' -a '(__earshot_options)'
complete -c earshot -n 'not __fish_use_subcommand; and test -n "$(__earshot_words)"' -f -a '(__earshot_words)'
complete -c earshotd -n 'string match -q -- "-*" (commandline -ct)' -a '(__earshot_options)'
