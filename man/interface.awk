# docs/dbus.md as the manual page org.earshot.Earshot1(5): the Markdown that those pages use, and no more.
#   ## x, ### x      sections          | a | b |   an item: the last column is the text
#   four spaces      an example        `x`         as it is written
BEGIN {
    print ".Dd November 21, 2026"
    print ".Dt ORG.EARSHOT.EARSHOT1 5"
    print ".Os Earshot"
    print ".Sh NAME"
    print ".Nm org.earshot.Earshot1"
    print ".Nd the D-Bus interface of earshotd"
    print ".Sh DESCRIPTION"
}
function end_block() {
    if (block == "table")
        print ".El"
    if (block == "example")
        print ".Ed"
    block = ""
}
function begin_block(name) {
    if (block == name)
        return
    end_block()
    block = name
    if (name == "table")
        print ".Bl -tag -width Ds"
    if (name == "example")
        print ".Bd -literal -offset indent"
}
function plain(text) {
    gsub(/\\/, "\\e", text)
    gsub(/`|\*\*/, "", text)
    while (match(text, /\[[^]]*\]\([^)]*\)/)) {
        link = substr(text, RSTART, RLENGTH)
        sub(/\]\(.*/, "", link)
        text = substr(text, 1, RSTART - 1) substr(link, 2) substr(text, RSTART + RLENGTH)
    }
    return text ~ /^[.']/ ? "\\&" text : text
}
function sentences(text) {
    text = plain(text)
    gsub(/\. /, ".\n", text) # a sentence, a line
    return text
}
# A macro's arguments: words that are names of macros must not be taken for them.
function quoted(text) {
    text = plain(text)
    gsub(/"/, "\\(dq", text)
    return "\"" text "\""
}
/^# / { next }
/^###? / {
    end_block()
    print (/^## / ? ".Sh " : ".Ss ") quoted(substr($0, index($0, " ") + 1))
    spoken = 0
    next
}
/^\|[-| ]*$/ { next }
/^\|/ {
    count = split($0, column, / *\| */)
    if (block != "table") { # the head of the table
        begin_block("table")
        next
    }
    print ".It " quoted(column[2])
    for (i = 3; i < count; i++)
        if (column[i] != "")
            print sentences(column[i])
    next
}
/^    / { begin_block("example"); print plain(substr($0, 5)); next }
/^$/ {
    end_block()
    gap = 1
    next
}
{
    end_block()
    if (gap && spoken)
        print ".Pp"
    gap = 0
    spoken = 1
    print sentences($0)
}
END {
    end_block()
    print ".Sh SEE ALSO"
    print ".Xr busctl 1 ,"
    print ".Xr earshot 1 ,"
    print ".Xr earshotd 8"
}
