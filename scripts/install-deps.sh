#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian packages that building, testing or the demo need and that are missing.
#
#   scripts/install-deps.sh build test demo bench   install what is missing for these purposes
#   scripts/install-deps.sh --check             install nothing; fail and say what to install if the
#                                               compiler does not find the libraries (any system)
#
# When everything is there it costs one dpkg-query and prints nothing.
set -u

build="gcc make libc6-dev libpg-query-dev libprotobuf-c-dev libsqlite3-dev zlib1g-dev libpng-dev libisl-dev"
test="sqlite3 graphviz pkg-config python3 python3-numpy python3-torch"
demo="sqlite3 dataset-fashion-mnist"
bench="python3 python3-numpy python3-torch dataset-fashion-mnist libopenblas0"

say() { printf '%s\n' "$*" >&2; }

# The libraries, looked for as the build will use them: by compiling and linking.
check() {
    dir=$(mktemp -d) || exit 3
    trap 'rm -rf "$dir"' EXIT
    cat > "$dir/t.c" <<'C'
#include <isl/ctx.h>
#include <isl/set.h>
#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>
#include <png.h>
#include <sqlite3.h>
#include <zlib.h>
int main(void) { return sqlite3_libversion_number() == 0 || !zlibVersion() || !png_access_version_number() || !isl_ctx_alloc(); }
C
    command -v "${CC:-cc}" >/dev/null 2>&1 || {
        say "No C compiler (${CC:-cc}).  On Debian: apt-get install $build"
        exit 3
    }
    "${CC:-cc}" -o "$dir/t" "$dir/t.c" -lpg_query -lprotobuf-c -lsqlite3 -lpng -lz -lisl >"$dir/log" 2>&1 && return 0
    sed -n '1,3p' "$dir/log" >&2
    say "A library is missing (libpg_query 15, protobuf-c, sqlite3, libpng, zlib, isl)."
    say "On Debian: apt-get install $build"
    say "'make test' and 'make demo' install what they need themselves."
    exit 3
}

# Those of the named packages that are not installed.
missing() {
    have=$(dpkg-query -W -f='${Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^install ok installed //p')
    for p in "$@"; do
        printf '%s\n' "$have" | grep -qx "$p" || printf '%s ' "$p"
    done
}

[ "${1:-}" = --check ] && { check; exit 0; }

want=
for purpose in "$@"; do
    case $purpose in
    build) want="$want $build" ;;
    test) want="$want $test" ;;
    demo) want="$want $demo" ;;
    bench) want="$want $bench" ;;
    *) say "install-deps.sh: unknown purpose '$purpose'; build, test, demo, bench or --check"; exit 2 ;;
    esac
done

if ! command -v dpkg-query >/dev/null 2>&1; then
    case " $* " in
    *" build "*) say "Not a Debian system: nothing is installed; checking what is there." && check ;;
    esac
    exit 0
fi

need=$(missing $want)
[ -n "$need" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1; then
    as_root=sudo
else
    say "These Debian packages are missing, and there is neither root nor sudo to install them:"
    say "    apt-get install $need"
    exit 3
fi
say "Installing Debian packages that are missing: $need"
$as_root apt-get update -qq || say "apt-get update failed; trying with the lists that are there"
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $need >/dev/null || {
    say "apt-get could not install: $need"
    exit 3
}
