#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The library as a C program sees it: make install into a folder of its own, doc/example.c built against that with
# pkg-config, with each library, and run; what the shared library exports; the header for C++.  It installs what is built
# (`-o all`): other flags than those of the running test must not start a build in the middle of it.
set -eu
root=$(dirname "$(dirname "$(readlink -f "$0")")")
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
command -v pkg-config > /dev/null && [ -x "${BUILD:-$root}/sqlgrad" ] || exit 77
${MAKE:-make} -s -o all -C "$root" install ${BUILD:+BUILD="$BUILD"} PREFIX="$here/usr" > /dev/null
export PKG_CONFIG_PATH="$here/usr/lib/pkgconfig"
cd "$here"

# The comment of the example holds its data and its model.
sed -n 's/^ \* \{5\}//p' "$root/doc/example.c" | sed -n '/^CREATE TABLE points (x/,$p' | sed 's/ \*\/$//' > line.sql
sed -n 's/.*sqlite3 data.db "\(.*\)"$/\1/p' "$root/doc/example.c" | sqlite3 data.db

cc=${CC:-cc}
$cc -std=c11 -Wall -Wextra -Werror "$root/doc/example.c" $(pkg-config --cflags --libs sqlgrad) -o shared
LD_LIBRARY_PATH="$here/usr/lib" ./shared line.sql data.db
$cc "$root/doc/example.c" $(pkg-config --cflags sqlgrad) "$here/usr/lib/libsqlgrad.a" $(pkg-config --libs --static sqlgrad |
    sed 's/-lsqlgrad//') -o static
./static line.sql data.db 2> /dev/null
LD_LIBRARY_PATH="$here/usr/lib" ./shared line.sql missing/data.db || echo "status $?"

# Exactly the functions that the header marks.
grep -o 'sqlgrad_[a-z_]*(' "$here/usr/include/sqlgrad.h" | tr -d '(' | sort -u > all
sed -n '/^SQLGRAD_API/p' "$here/usr/include/sqlgrad.h" | grep -o 'sqlgrad_[a-z_]*(' | tr -d '(' | sort -u > marked
nm -D --defined-only "$here/usr/lib/libsqlgrad.so" | awk '{ print $3 }' | sort > exported
cmp marked exported && echo "$(wc -l < exported) functions exported, those of the header"
if command -v c++ > /dev/null; then
    printf '#include <sqlgrad.h>\nint main() { return sqlgrad_version() == 0; }\n' > t.cc
    c++ -Wall -Werror t.cc $(pkg-config --cflags --libs sqlgrad) -o cxx && LD_LIBRARY_PATH="$here/usr/lib" ./cxx
fi
"$here/usr/bin/sqlgrad" --version
pkg-config --modversion sqlgrad
