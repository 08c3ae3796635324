# config/earshot.conf, whose comments say what its keys mean, as the manual page earshot.conf(5).
BEGIN {
    print ".Dd November 21, 2026"
    print ".Dt EARSHOT.CONF 5"
    print ".Os Earshot"
    print ".Sh NAME"
    print ".Nm earshot.conf"
    print ".Nd settings of earshotd"
    print ".Sh DESCRIPTION"
}
function escaped(text) {
    gsub(/\\/, "\\e", text)
    gsub(/`/, "", text)
    gsub(/\. /, ".\n", text) # a sentence, a line
    return text ~ /^[.']/ ? "\\&" text : text
}
/^\[/ {
    if (section)
        print ".El"
    section = 1
    print ".Ss " $0
    print ".Bl -tag -width Ds"
    next
}
/^#[a-z]/ {
    equals = index($0, " =")
    value = substr($0, equals + 3)
    print ".It Cm " substr($0, 2, equals - 2) (value == "" ? "" : " = Ar " value)
    printf "%s", meaning
    meaning = ""
    next
}
/^# / {
    line = escaped(substr($0, 3)) "\n"
    if (section)
        meaning = meaning line
    else
        printf "%s", line
}
END {
    print ".El"
    print ".Sh SEE ALSO"
    print ".Xr earshot 1 ,"
    print ".Xr earshotd 8"
}
