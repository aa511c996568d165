#!/bin/sh
# SPDX-License-Identifier: MIT
# net256.sh - many vifs on one switch, for bench/net256.c: attached one by one to
# one guest, then opened by one program.
# Usage: net256.sh [NR], at most 1024.
nr=${1:-256}
TMPDIR=${TMPDIR:-/dev/shm} # memory, as /run is
. "${0%/*}/../tests/system/lib.sh"
. "${0%/*}/lib-bench.sh"
requires_root
ulimit -n "$(ulimit -Hn)" # several descriptors a vif

PVSPLIT_RUN=$RUN
export PVSPLIT_RUN
start_daemon brokerd --run-dir "$RUN" || exit 1
for domain in network g; do
	pvsplit domain-create "$domain" --devices "$nr" >"$TMP/log" || exit 1
done
start_daemon taskset -c "$second" netbackd --run-dir "$RUN" --domain 1 \
	--nic null || exit 1
monitor=$PID
began=$(date +%s%N)
i=0
while [ $i -lt "$nr" ]; do
	pvsplit network-attach g "vif=$i,bridge=many" >"$TMP/log" 2>&1 || {
		cat "$TMP/log" >&2
		exit 1
	}
	i=$((i + 1))
done
ended=$(date +%s%N)
echo "net256  $((nr * 1000000000 / (ended - began))) attached a second," \
	"a command each"
"$BUILD/bench/net256" "$RUN" 2 "$nr" "$(pgrep -P "$monitor")" "$monitor"
