#!/usr/bin/env bash
# The Debian package installs, works, is removed and purged, in a scratch root: dpkg runs the package's
# scripts outside of any chroot, and tells them the place in $DPKG_ROOT.
set -euo pipefail
. tests/support/lacking.sh
build=$(realpath "$1")
for tool in dpkg-deb dpkg-shlibdeps cpack file; do
    command -v $tool > /dev/null || end_without "$tool (Debian: dpkg-dev cmake file)"
done
root_rights=()
if [ "$(id -u)" -ne 0 ]; then
    command -v fakeroot > /dev/null || end_without "root's rights or fakeroot"
    root_rights=(fakeroot)
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cached() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }
fail() { echo "FAILED: $1"; exit 1; }

cmake --preset package -B "$build/package" -G "$(cached CMAKE_GENERATOR)" \
    -DCMAKE_C_COMPILER_LAUNCHER="$(cached CMAKE_C_COMPILER_LAUNCHER)" > "$work/log"
cmake --build "$build/package" -j2 > "$work/log" || { cat "$work/log"; exit 1; }
cpack --config "$build/package/CPackConfig.cmake" -B "$work" > "$work/log" || { cat "$work/log"; exit 1; }
package=$(echo "$work"/earshot_*.deb)
dpkg-deb --field "$package" Package Version Depends
for library in libc6 libdbus-1-3 libflac libmpg123-0 libogg0 libopusenc0 libsndfile1 libvorbis0a libsystemd0; do
    dpkg-deb --field "$package" Depends | grep -q "$library" || fail "no dependency on $library"
done

for library in libxtst libx11 libwayland libgtk libmicrohttpd libsrtp libwslay; do
    ! dpkg-deb --field "$package" Depends Recommends | grep -q "$library" || fail "a server would get $library"
done

changes=$(dpkg-deb --fsys-tarfile "$package" | tar -xO ./usr/share/doc/earshot/changelog.gz | zcat)
[[ $changes == "earshot ($(dpkg-deb --field "$package" Version)) "* ]] || fail "the changelog is of another version"
if command -v lintian > /dev/null; then
    lintian --allow-root --fail-on error "$work"/earshot*.deb || fail "lintian finds errors"
else
    echo "skipped: no lintian"
fi

desktop=$(find "$work" -maxdepth 1 -name 'earshot-desktop_*.deb')
if [ -n "$desktop" ]; then
    dpkg-deb --field "$desktop" Package Version Depends
    for library in libgtk-4-1 libwayland-client0 libx11-6 'earshot (= '; do
        dpkg-deb --field "$desktop" Depends | grep -qF "$library" || fail "the caption window has no dependency on $library"
    done
    if command -v desktop-file-validate > /dev/null; then
        desktop-file-validate overlay/org.earshot.Overlay.desktop || fail "the .desktop file"
    else
        echo "skipped: no desktop-file-validate (Debian: desktop-file-utils)"
    fi
    if command -v appstreamcli > /dev/null; then
        said=$(appstreamcli validate --no-net overlay/org.earshot.Overlay.metainfo.xml || true)
        echo "$said" # newer versions warn of a homepage, which there is not
        [[ $said == *Validation* ]] || fail "appstreamcli says nothing"
        ! grep '^[EW]:' <<< "$said" | grep -v url-homepage-missing || fail "the AppStream metadata"
    else
        echo "skipped: no appstreamcli (Debian: appstream)"
    fi
elif [ -n "${CI:-}" ]; then
    fail "no package of the caption window: CI is to have libgtk-4-dev"
else
    echo "skipped: no package of the caption window (Debian: libgtk-4-dev)"
fi

root=$work/root
mkdir -p "$root/var/lib/dpkg/updates" "$root/var/lib/dpkg/info" "$root/var/log" "$root/etc"
touch "$root/var/lib/dpkg/status"
package_tool() {
    "${root_rights[@]}" dpkg --root="$root" --force-script-chrootless --force-depends --force-bad-path \
        --log=/dev/null "$@" > "$work/dpkg" 2>&1 || { cat "$work/dpkg"; fail "dpkg $*"; }
}
status() { dpkg-query --admindir="$root/var/lib/dpkg" -W -f '${db:Status-Status}' earshot; }

package_tool --install "$package"
[ "$(status)" = installed ] || fail "it is $(status)"
for file in bin/earshot bin/earshotd lib/systemd/user/earshot.service lib/systemd/system/earshot.service \
    lib/sysusers.d/earshot.conf share/dbus-1/services/org.earshot.Earshot1.service \
    share/dbus-1/system-services/org.earshot.Earshot1.service share/dbus-1/system.d/org.earshot.Earshot1.conf \
    share/dbus-1/interfaces/org.earshot.Earshot1.Assistant.xml share/earshot/earshot-en.gguf \
    share/man/man1/earshot.1.gz share/man/man5/earshot.conf.5.gz share/man/man8/earshotd.8.gz \
    share/bash-completion/completions/earshot share/doc/earshot/{copyright,LICENSE,NOTICE}; do
    [ -f "$root/usr/$file" ] || fail "no /usr/$file"
done
! dpkg-deb --contents "$package" | grep -v share/doc/ | grep -i overlay || fail "something of the caption window is in a server's package"
if [ -n "$desktop" ]; then
    package_tool --install "$desktop"
    for file in bin/earshot-overlay share/applications/org.earshot.Overlay.desktop share/metainfo/org.earshot.Overlay.metainfo.xml \
        share/icons/hicolor/{scalable/apps/org.earshot.Overlay,symbolic/apps/org.earshot.Overlay-symbolic}.svg \
        share/man/man1/earshot-overlay.1.gz share/doc/earshot-desktop/{copyright,changelog.gz}; do
        [ -f "$root/usr/$file" ] || fail "no /usr/$file"
    done
    said=$(env -i HOME="$work" "$root/usr/bin/earshot" overlay --how || true)
    [[ $said == *"no desktop:"* ]] || fail "earshot overlay starts no caption window: $said"
    echo "ok: the caption window is a package of its own"
fi
! dpkg-deb --contents "$package" | grep -v share/doc/ | grep -E 'earshot-(wyoming|http|rtp|ear)' || fail "a bridge is in the daemon's package"
network=$(find "$work" -maxdepth 1 -name 'earshot-network_*.deb') ear=$(find "$work" -maxdepth 1 -name 'earshot-ear_*.deb')
dpkg-deb --field "$network" Depends | grep -qF 'earshot (= ' || fail "the bridges go without their daemon"
! dpkg-deb --field "$ear" Depends | grep -qE 'earshot|libdbus|libmicrohttpd' || fail "the ear needs more than a microphone"
package_tool --install "$network"
package_tool --install "$ear"
for file in bin/earshot-{wyoming,http,rtp,ear} lib/systemd/{user,system}/earshot-{wyoming,http,rtp}.{service,socket} \
    lib/systemd/{user,system}/earshot-ear.{service,socket} share/man/man8/earshot-{wyoming,http,rtp,ear}.8.gz \
    share/doc/earshot-{network,ear}/{copyright,changelog.gz}; do
    [ -f "$root/usr/$file" ] || fail "no /usr/$file"
done
for program in wyoming http rtp ear; do
    env -i HOME="$work" "$root/usr/bin/earshot-$program" --version > /dev/null || fail "earshot-$program does not start"
done
echo "ok: the bridges are a package, and the ear is"
grep -qx 'ExecStart=/usr/bin/earshotd' "$root/usr/lib/systemd/user/earshot.service" || fail "another program"
! grep -rlF "$PWD" "$root/usr" "$root/etc" || fail "this folder's name is in the package"
while read -r link; do
    [ -e "$root/usr/share/doc/earshot/$link" ] || fail "the README leads to $link, which is not there"
done < <(grep -o '](docs/[^)#]*' README.md | sed 's/^](//')
said=$(env -i HOME="$work" "$root/usr/bin/earshot" transcribe tests/data/orders.opus)
[ -n "$said" ] || fail "the installed earshot says nothing"
echo "ok: installed, and works: $said"

echo '# mine' >> "$root/etc/earshot/earshot.conf"
package_tool --install "$package"
grep -q '^# mine' "$root/etc/earshot/earshot.conf" || fail "an upgrade takes a changed configuration away"
echo "ok: an upgrade keeps the configuration"

[ -z "$desktop" ] || package_tool --purge earshot-desktop
package_tool --purge earshot-network
package_tool --purge earshot-ear
[ -e "$root/usr/bin/earshotd" ] && [ ! -e "$root/usr/bin/earshot-ear" ] || fail "a package takes another's programs along"
package_tool --remove earshot
[ "$(status)" = config-files ] || fail "it is $(status)"
[ ! -e "$root/usr/bin/earshotd" ] && [ -f "$root/etc/earshot/earshot.conf" ] || fail "removed too much or too little"
mkdir -p "$root/var/lib/private/earshot" "$root/var/cache/private/earshot"
package_tool --purge earshot
left=$(find "$root" -path "$root/var/lib/dpkg" -prune -o -ipath '*earshot*' -print)
[ -z "$left" ] || fail "left behind: $left"
echo "ok: removed and purged"
