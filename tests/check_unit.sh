#!/usr/bin/env bash
# systemd understands the units, and their exposure stays low. The user unit alone has what every user
# manager takes; strict.conf adds what counts most here, and what needs namespaces of the user's own.
set -euo pipefail
. tests/support/lacking.sh
build=$(realpath "$1")
command -v systemd-analyze > /dev/null || end_without "systemd-analyze (Debian: systemd)"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_RUNTIME_DIR=$work

# verify wants the programs to be there: the built ones stand in for the installed ones, and daemon
# for the user that sysusers.d makes.
for manager in user system; do
    mkdir "$work/$manager"
    sed -e "s|^ExecStart=[^ ]*|ExecStart=$build/daemon/earshotd|" \
        -e "s|^ExecReload=[^ ]*|ExecReload=$build/cli/earshot|" -e 's|^User=earshot|User=daemon|' \
        "$build/systemd/$manager/earshot.service" > "$work/$manager/earshot.service"
    systemd-analyze "--$manager" --man=no verify "$work/$manager/earshot.service"
done
for drop_in in strict cuda; do
    mkdir -p "$work/$drop_in/earshot.service.d"
    cp "$work/user/earshot.service" "$work/$drop_in"
    cp "systemd/$drop_in.conf" "$work/$drop_in/earshot.service.d"
    systemd-analyze --user --man=no verify "$work/$drop_in/earshot.service"
done

# What takes capabilities away a user manager may not do: the unit would not start, with status 218.
takes='^(CapabilityBoundingSet|PrivateDevices|Protect(Clock|Hostname|KernelLogs|KernelModules))='
if grep -E "$takes" "$build/systemd/user/earshot.service"; then
    echo "FAILED: the user unit takes capabilities away"
    exit 1
fi

help=$(systemd-analyze --help 2>&1)
grep -q -- --offline <<< "$help" || end_without "systemd-analyze security --offline (systemd 250)"
exposure() { # MANAGER UNIT TENTHS
    echo "$2:"
    systemd-analyze "--$1" security --offline=true --threshold="$3" --no-pager "$work/$2/earshot.service" |
        tail -n 1
}
exposure user user 48
exposure user strict 20
exposure system system 12
