#!/bin/sh
# SPDX-License-Identifier: MIT
# nbdkit.sh - a split disk on a tmpfs file through nbdkit and our plugin,
# against the same file through nbdkit's own file plugin: fio's nbd engine,
# 4 KiB at random, on one connection, alternately; medians, and the median of
# the pair-by-pair ratios. Nobody is pinned: fio, nbdkit and, for ours, the
# driver domain share the CPUs.
# Usage: nbdkit.sh [PAIRS [SECONDS]]
pairs=${1:-5} seconds=${2:-2}
. "${0%/*}/../tests/system/lib.sh"
requires_cmd fio fio
requires_cmd nbdkit nbdkit
plugin=$BUILD/lib/nbdkit-pvsplit-plugin.so
[ -e "$plugin" ] || skip_all "the plugin was left out of this build"
fio --enghelp | grep -qw nbd || skip_all "needs fio's nbd engine"

PVSPLIT_RUN=$RUN
export PVSPLIT_RUN
shm=$(mktemp /dev/shm/pvsplit-bench.XXXXXX)
cleanup_more() {
	rm -f "$shm"
}

# serve NAME PLUGIN ARG...: an nbdkit on $TMP/NAME.sock
serve() {
	name=$1
	shift
	nbdkit -f -U "$TMP/$name.sock" "$@" >"$TMP/$name.log" 2>&1 &
	daemons="$! $daemons"
	wait_for 10 test -S "$TMP/$name.sock" && return
	cat "$TMP/$name.log" >&2
	exit 1
}

# iops NAME RW DEPTH
iops() {
	fio --name=bench --ioengine=nbd \
		--uri="nbd+unix:///?socket=$TMP/$1.sock" --rw="$2" --bs=4k \
		--iodepth="$3" --time_based --runtime="$seconds" \
		--output-format=terse --terse-version=3 2>"$TMP/fio.err" |
		awk -F';' '/^3;/ { print $8 + $49 }'
}

# median FILE UNIT-DIVISOR: "median (min..max)"
median() {
	sort -n "$1" | awk -v by="$2" '{ v[NR] = $1 / by } END {
		m = NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
		printf "%.2f (%.2f..%.2f)", m, v[1], v[NR] }'
}

# compare RW DEPTH
compare() {
	rm -f "$TMP/ours" "$TMP/peer" "$TMP/ratio"
	for i in $(seq "$pairs"); do
		ours=$(iops ours "$1" "$2")
		peer=$(iops peer "$1" "$2")
		[ "${ours:-0}" -gt 0 ] && [ "${peer:-0}" -gt 0 ] || {
			cat "$TMP/fio.err" >&2
			exit 1
		}
		echo "$ours" >>"$TMP/ours"
		echo "$peer" >>"$TMP/peer"
		echo "$ours $peer" | awk '{ print $1 / $2 }' >>"$TMP/ratio"
	done
	echo "nbdkit-$1-$2  $(median "$TMP/ours" 1000) kreq/s" \
		"peer file $(median "$TMP/peer" 1000)" \
		"ratio $(median "$TMP/ratio" 1)"
}

truncate -s 256M "$shm"
dd if=/dev/urandom of="$shm" bs=1M count=256 conv=notrunc status=none
start_daemon brokerd --run-dir "$RUN" || exit 1
pvsplit domain-create storage >"$TMP/log" &&
	pvsplit domain-create g >"$TMP/log" || exit 1
start_daemon blkbackd --run-dir "$RUN" --domain 1 || exit 1
pvsplit block-attach g "$shm,raw,xvda,rw" >"$TMP/log" || exit 1
serve ours "$plugin" domain=2 vdev=xvda
serve peer file "$shm"
for depth in 1 32; do
	for rw in randread randwrite; do
		iops ours $rw $depth >/dev/null # warm up
		compare $rw $depth
	done
done
