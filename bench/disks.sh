#!/bin/sh
# SPDX-License-Identifier: MIT
# disks.sh - many disks on one driver domain, for bench/disks.c: attached one
# after the other, then opened by one program.
# Usage: disks.sh [NR], at most 1000. A domain may own 1,000 nodes of the store
# and set 128 watches: the limits of 25 disks and a few. For more they have to
# be raised (xenstored-lite(8), quota set).
nr=${1:-25}
TMPDIR=${TMPDIR:-/dev/shm} # memory, as /run is
. "${0%/*}/../tests/system/lib.sh"
. "${0%/*}/lib-bench.sh"
requires_root
ulimit -n "$(ulimit -Hn)" # several descriptors a disk

PVSPLIT_RUN=$RUN
export PVSPLIT_RUN
start_daemon brokerd --run-dir "$RUN" || exit 1
pvsplit domain-create storage >"$TMP/log" &&
	pvsplit domain-create g0 >"$TMP/log" &&
	pvsplit domain-create g1 >"$TMP/log" || exit 1
start_daemon taskset -c "$second" blkbackd --run-dir "$RUN" --domain 1 || exit 1
monitor=$PID
# GUEST VDEV lines: 500 disks a guest, from xvdq on
awk -v nr="$nr" 'BEGIN {
	letters = "abcdefghijklmnopqrstuvwxyz"
	for (i = 0; i < nr; i++) {
		v = 16 + i % 500
		name = v < 26 ? "" : substr(letters, int(v / 26), 1)
		print "g" int(i / 500), "xvd" name substr(letters, v % 26 + 1, 1)
	}
}' >"$TMP/names"
began=$(date +%s%N)
while read -r guest vdev; do
	pvsplit block-attach "$guest" "null:64M,raw,$vdev,rw" \
		>"$TMP/log" 2>&1 </dev/null || {
		cat "$TMP/log" >&2
		exit 1
	}
done <"$TMP/names"
ended=$(date +%s%N)
echo "disks  $((nr * 1000000000 / (ended - began))) attached a second, a command each (target 200)"
"$BUILD/bench/disks" "$RUN" 2 "$nr" "$(pgrep -P "$monitor")"
