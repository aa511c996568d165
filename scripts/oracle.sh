#!/bin/sh
# SPDX-License-Identifier: MIT
# The same random requests to our store and to Xen's own xenstored, compared.
# Usage: BUILD=DIR oracle.sh [SEED...]
# Exit status 77 when Xen's cannot be had.
set -eu
BUILD=${BUILD:-build/release}
export BUILD
[ $# -gt 0 ] || set -- 1 2 3 4 5 6 7 8
dir=$("${0%/*}/xen-tools.sh") || {
	echo "oracle: 0 passed, 0 failed, 1 skipped"
	echo "skipped: Xen's own xenstored cannot be had"
	exit 77
}
BUILD=$(cd "$BUILD" && pwd)
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
