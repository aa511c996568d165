#!/bin/sh
# SPDX-License-Identifier: MIT
# The same random requests to our store and to Xen's own xenstored, compared.
# Usage: BUILD=DIR oracle.sh [SEED...]
# Xen's is that of the installed libxen-dev's version. Its packages are unpacked
# and not installed: they would bring a hypervisor's services with them. Exit
# status 77 when they cannot be had.
set -eu
BUILD=${BUILD:-build/release}
[ $# -gt 0 ] || set -- 1 2 3 4 5 6 7 8
BUILD=$(cd "$BUILD" && pwd)
version=$(dpkg-query -W -f='${Version}' libxen-dev 2>/dev/null |
	sed -n 's/^\([0-9]*\.[0-9]*\)\..*/\1/p')
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
if ! (cd "$dir" && apt-get -qq download "xen-utils-$version" \
	"libxenmisc$version" >log 2>&1); then
	cat "$dir/log" >&2
	echo "oracle: skipped, needs Debian's packages of Xen ${version:-4.x}"
	exit 77
fi
for package in "$dir"/*.deb; do
	dpkg -x "$package" "$dir"
done
xenstored=$(find "$dir" -name xenstored -type f -perm -100)
library=$(find "$dir" -name 'libxenctrl.so.*' | head -n 1)
export LD_LIBRARY_PATH="${library%/*}"
passed=0 failed=0
for seed; do
	if timeout 300 "$BUILD/tests/oracle/xenstored" "$xenstored" \
		"$BUILD/tests/oracle/hypervisor.so" "$seed"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
	fi
done
echo "oracle: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
