#!/usr/bin/env bash
# systemd understands the units, and their exposure stays low. Where users may not make namespaces the
# generator takes from the user unit what its manager would refuse.
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
for unit in "$build"/systemd/*/earshot-{wyoming,http,rtp}.service; do
    [ -f "$unit" ] || continue # built without the bridges
    manager=$(basename "$(dirname "$unit")")
    name=$(basename "$unit" .service)
    sed -e "s|^ExecStart=[^ ]*|ExecStart=$build/bridges/$name|" -e 's|^SupplementaryGroups=earshot|SupplementaryGroups=daemon|' \
        "$unit" > "$work/$manager/$name.service"
    sed 's|^SocketGroup=earshot|SocketGroup=daemon|' "${unit%.service}.socket" > "$work/$manager/$name.socket"
    systemd-analyze "--$manager" --man=no verify "$work/$manager/$name.service" "$work/$manager/$name.socket"
done
for unit in "$build"/systemd/*/earshot-ear.service; do
    [ -f "$unit" ] || continue
    manager=$(basename "$(dirname "$unit")")
    sed -e "s|^ExecStart=[^ ]*|ExecStart=$build/bridges/earshot-ear|" "$unit" > "$work/$manager/earshot-ear.service"
    cp "${unit%.service}.socket" "$work/$manager"
    systemd-analyze "--$manager" --man=no verify "$work/$manager/earshot-ear.service" "$work/$manager/earshot-ear.socket"
done
for drop_in in relaxed cuda; do
    mkdir -p "$work/$drop_in/earshot.service.d"
    cp "$work/user/earshot.service" "$work/$drop_in"
    cp "systemd/$drop_in.conf" "$work/$drop_in/earshot.service.d"
    systemd-analyze --user --man=no verify "$work/$drop_in/earshot.service"
done

# What needs a namespace of the user's own, or takes capabilities away: a manager that may not would not
# start the unit (status 217, 218). relaxed.conf takes all of it back.
needs='^(PrivateUsers|CapabilityBoundingSet|PrivateDevices|Protect(Clock|Hostname|KernelLogs|KernelModules))='
for unit in "$build"/systemd/user/*.service; do
    diff <(grep -oE "$needs" "$unit" | sort) \
        <(grep -E "$needs(no|~)\$" systemd/relaxed.conf | grep -oE "$needs" | sort) && continue
    echo "FAILED: relaxed.conf does not take back what $unit has"
    exit 1
done

# The generator, where namespaces can be made and where not.
mkdir "$work/bin" "$work/can" "$work/cannot"
printf '#!/bin/sh\nexec "$WITH"\n' > "$work/bin/unshare"
chmod +x "$work/bin/unshare" "$build/systemd/user-generator"
WITH=true PATH=$work/bin:$PATH "$build/systemd/user-generator" "$work/can"
WITH=false PATH=$work/bin:$PATH "$build/systemd/user-generator" "$work/cannot"
if [ -n "$(ls "$work/can")" ] || ! cmp systemd/relaxed.conf "$work/cannot/earshot.service.d/relaxed.conf" ||
    ! cmp systemd/relaxed.conf "$work/cannot/earshot-wyoming.service.d/relaxed.conf" ||
    ! cmp systemd/relaxed.conf "$work/cannot/earshot-http.service.d/relaxed.conf" ||
    ! cmp systemd/relaxed.conf "$work/cannot/earshot-rtp.service.d/relaxed.conf" ||
    ! cmp systemd/relaxed.conf "$work/cannot/earshot-ear.service.d/relaxed.conf"; then
    echo "FAILED: the generator relaxes $(ls "$work/can"), or does not where it should"
    exit 1
fi

help=$(systemd-analyze --help 2>&1)
grep -q -- --offline <<< "$help" || end_without "systemd-analyze security --offline (systemd 250)"
exposure() { # MANAGER UNIT TENTHS [SERVICE]
    echo "$2 ${4:-earshot}:"
    systemd-analyze "--$1" security --offline=true --threshold="$3" --no-pager "$work/$2/${4:-earshot}.service" |
        tail -n 1
}
exposure user user 30
exposure user relaxed 48
exposure system system 6
for bridge in earshot-wyoming earshot-http earshot-rtp; do
    [ -f "$work/user/$bridge.service" ] || continue
    exposure user user 10 $bridge
    exposure system system 2 $bridge
done
if [ -f "$work/user/earshot-ear.service" ]; then
    exposure user user 10 earshot-ear
    exposure system system 4 earshot-ear
fi
