#!/usr/bin/env bash
# packaging/arch/PKGBUILD is one for makepkg, of this version, and names every library that is built with.
set -euo pipefail

command -v makepkg > /dev/null || { echo "skipped: no makepkg"; exit 77; }
tree=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $1" >&2; exit 1; }

mkdir -p "$work/tree/packaging/arch"
cp "$tree/packaging/arch/PKGBUILD" "$work/tree/packaging/arch"
chmod -R a+rwX "$work"
as_user=()
[ "$(id -u)" != 0 ] || as_user=(setpriv --reuid 65534 --regid 65534 --clear-groups env HOME="$work")
info=$(cd "$work/tree/packaging/arch" && BUILDDIR=$work "${as_user[@]}" makepkg --printsrcinfo) || fail "makepkg refuses it"
version=$(sed -n 's/^project(earshot VERSION \([0-9.]*\).*/\1/p' "$tree/CMakeLists.txt")
grep -qx $'\tpkgver = '"$version" <<< "$info" || fail "pkgver is not $version"
for name in earshot earshot-desktop; do
    grep -qx "pkgname = $name" <<< "$info" || fail "no package $name"
done
[ "$(grep -c 'Component\|component' "$tree/packaging/arch/PKGBUILD")" = 2 ] || fail "a component is not packaged"

# Where a package of Arch is called otherwise than its pkg-config file.
arch_name() {
    case $1 in
    dbus-1) echo dbus ;;
    portaudio-2.0) echo portaudio ;;
    samplerate) echo libsamplerate ;;
    sndfile | ogg | vorbis) echo "lib$1" ;;
    libmpg123) echo mpg123 ;;
    libsrtp2) echo libsrtp ;;
    libsystemd) echo systemd-libs ;;
    inih) echo libinih ;;
    libcjson) echo cjson ;;
    x11 | xtst) echo "lib$1" ;;
    wayland-client) echo wayland ;;
    gtk4*) echo gtk4 ;;
    *) echo "$1" ;;
    esac
}
modules=$(sed -n 's/.*pkg_check_modules([A-Z]* *\(.*\))/\1/p' "$tree"/{audio,base,bridges,cli,daemon,overlay}/CMakeLists.txt |
    tr ' ' '\n' | grep -v -x -e REQUIRED -e QUIET -e IMPORTED_TARGET -e '')
[ "$(wc -w <<< "$modules")" -gt 15 ] || fail "too few libraries were found in the build"
for module in $modules; do
    name=$(arch_name "${module%%[<>=]*}")
    grep -qx $'\tmakedepends = '"$name" <<< "$info" || fail "makedepends lacks $name"
done
echo "$version, $(wc -w <<< "$modules") libraries"
