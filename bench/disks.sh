#!/bin/sh
# SPDX-License-Identifier: MIT
# disks.sh - many disks on one driver domain, for bench/disks.c: attached by one
# command a guest, then opened by one program.
# Usage: disks.sh [NR], at most 1000.
nr=${1:-1000}
TMPDIR=${TMPDIR:-/dev/shm} # memory, as /run is
. "${0%/*}/../tests/system/lib.sh"
. "${0%/*}/lib-bench.sh"
requires_root
ulimit -n "$(ulimit -Hn)" # several descriptors a disk

PVSPLIT_RUN=$RUN
export PVSPLIT_RUN
start_daemon brokerd --run-dir "$RUN" || exit 1
for domain in storage g0 g1; do
	pvsplit domain-create "$domain" --devices "$nr" >"$TMP/log" || exit 1
done
start_daemon taskset -c "$second" blkbackd --run-dir "$RUN" --domain 1 || exit 1
monitor=$PID
# 500 disks a guest, from xvdq on
: >"$TMP/g0" && : >"$TMP/g1"
awk -v nr="$nr" -v dir="$TMP" 'BEGIN {
	letters = "abcdefghijklmnopqrstuvwxyz"
	for (i = 0; i < nr; i++) {
		v = 16 + i % 500
		name = v < 26 ? "" : substr(letters, int(v / 26), 1)
		name = "xvd" name substr(letters, v % 26 + 1, 1)
		print "null:64M,raw," name ",rw" >(dir "/g" int(i / 500))
	}
}'
began=$(date +%s%N)
for guest in g0 g1; do
	pvsplit block-attach "$guest" --from "$TMP/$guest" \
		>"$TMP/log" 2>&1 </dev/null || {
		cat "$TMP/log" >&2
		exit 1
	}
done
ended=$(date +%s%N)
echo "disks  $((nr * 1000000000 / (ended - began))) attached a second (target 200)"
"$BUILD/bench/disks" "$RUN" 2 "$nr" "$(pgrep -P "$monitor")"
