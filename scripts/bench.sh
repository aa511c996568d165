#!/bin/sh
# SPDX-License-Identifier: MIT
# Run every benchmark. Each prints one line per case with its peer's figure and
# the ratio; only the ratio means something on a shared machine.
# Usage: bench.sh [NAME...]   (ring, blk, net, ...)
set -u
BUILD=${BUILD:-build/release}
export BUILD
status=0
for src in bench/*.c bench/*.sh; do
	name=$(basename "${src%.*}")
	case $name in harness | lib*) continue ;; esac
	# NAME.sh drives NAME.c where both exist
	case $src in *.c) [ -e "bench/$name.sh" ] && continue ;; esac
	if [ $# -gt 0 ]; then
		case " $* " in *" $name "*) ;; *) continue ;; esac
	fi
	echo "== $name"
	case $src in
	*.c) timeout 300 "$BUILD/bench/$name" || status=1 ;;
	*.sh) timeout 300 sh "$src" || status=1 ;;
	esac
done
exit $status
