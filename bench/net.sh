#!/bin/sh
# SPDX-License-Identifier: MIT
# net.sh - starts what bench/net.c needs: the store, a network driver domain
# whose data thread has a CPU of its own, two guests with their vifs.
# Usage: net.sh [short|full [WHAT...]]
. "${0%/*}/../tests/system/lib.sh"
. "${0%/*}/lib-bench.sh"
requires_root
requires_cmd dpdk-testpmd dpdk-dev
mode=${1:-short}
[ $# -gt 0 ] && shift
whats=${*:-hop round two echo idle}

PVSPLIT_RUN=$RUN
export PVSPLIT_RUN
export RUNTIME_DIRECTORY="$TMP" # where DPDK leaves its files

attach() {
	pvsplit network-attach "$1" "vif=$2,bridge=$3" >"$TMP/log" && return
	cat "$TMP/log" >&2
	exit 1
}

start_daemon brokerd --run-dir "$RUN" || exit 1
pvsplit domain-create network >"$TMP/log" &&
	pvsplit domain-create g >"$TMP/log" &&
	pvsplit domain-create other >"$TMP/log" || exit 1
start_daemon taskset -c "$second" netbackd --run-dir "$RUN" --domain 1 \
	--nic null || exit 1
worker=$(pgrep -P "$PID")
attach g 0 out
attach g 1 round
attach g 2 round
attach g 3 two
attach other 0 two
status=0
for what in $whats; do
	"$BUILD/bench/net" "$mode" "$what" "$RUN" 2 3 "$worker" "$TMP" ||
		status=1
done
exit $status
