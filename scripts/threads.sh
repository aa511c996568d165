#!/bin/sh
# SPDX-License-Identifier: MIT
# The test programs of a build that can start threads: those in which
# ThreadSanitizer has something to find.
# Usage: threads.sh BUILD; prints their names, below BUILD.
set -eu
for src in tests/abi/*.c tests/unit/*.c tests/sim/*.c tests/hostile/*.c; do
	t=${src%.c}
	# Some are left out for want of a library.
	[ -x "$1/$t" ] || continue
	! nm -u "$1/$t" | grep -q ' pthread_create' || echo "$t"
done
