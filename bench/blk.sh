#!/bin/sh
# SPDX-License-Identifier: MIT
# blk.sh - starts what bench/blk.c needs: the store, a storage driver domain
# whose data thread has a CPU of its own, a guest with its disks.
# Usage: blk.sh [short|full [WHAT...]]
. "${0%/*}/../tests/system/lib.sh"
mode=${1:-short}
[ $# -gt 0 ] && shift
whats=${*:-null mem tmpfs disk qemu}
. "${0%/*}/lib-bench.sh"
requires_cmd fio fio
requires_cmd qemu-storage-daemon qemu-system-common

PVSPLIT_RUN=$RUN
export PVSPLIT_RUN
size=256
[ "$mode" = full ] && size=1024
shm=$(mktemp /dev/shm/pvsplit-bench.XXXXXX)
shared=$(mktemp /dev/shm/pvsplit-bench.XXXXXX)
cleanup_more() {
	rm -f "$shm" "$shared"
}

# attach TARGET VDEV
attach() {
	pvsplit block-attach g "$1,raw,$2,rw" >"$TMP/log" && return
	cat "$TMP/log" >&2
	exit 1
}

# measure WHAT VDEV FILE [PEER-PID]: on a disk that is attached
measure() {
	what=$1 vdev=$2
	shift 2
	"$BUILD/bench/blk" "$mode" "$what" "$RUN" 2 "$vdev" "$worker" "$@" ||
		status=1
}

# qemu's server of vhost-user-blk, in a thread of its own; its pid in $qemu.
start_qemu() {
	taskset -c "$second" qemu-storage-daemon \
		--object iothread,id=io \
		--blockdev "driver=file,node-name=disk,filename=$1,aio=native,cache.direct=on" \
		--export "vhost-user-blk,id=disk,node-name=disk,writable=on,iothread=io,addr.type=unix,addr.path=$2" \
		>"$TMP/qemu.log" 2>&1 &
	qemu=$!
	daemons="$qemu $daemons"
	wait_for 10 test -S "$2" && return
	cat "$TMP/qemu.log" >&2
	exit 1
}

start_daemon brokerd --run-dir "$RUN" || exit 1
pvsplit domain-create storage >"$TMP/log" &&
	pvsplit domain-create g >"$TMP/log" || exit 1
start_daemon taskset -c "$second" blkbackd --run-dir "$RUN" --domain 1 || exit 1
worker=$(pgrep -P "$PID")
status=0
for what in $whats; do
	case $what in
	null)
		attach "null:${size}M" xvda
		measure null 51712 -
		;;
	mem)
		attach "mem:${size}M" xvdb
		measure mem 51728 -
		;;
	tmpfs)
		truncate -s "${size}M" "$shm"
		attach "$shm" xvdc
		measure tmpfs 51744 "$shm"
		;;
	disk)
		truncate -s "${size}M" "$TMP/disk"
		attach "$TMP/disk" xvdd
		measure disk 51760 "$TMP/disk"
		;;
	qemu)
		truncate -s "${size}M" "$shared"
		attach "$shared" xvde
		start_qemu "$shared" "$TMP/qemu.sock"
		measure qemu 51776 "$TMP/qemu.sock" "$qemu"
		;;
	esac
done
exit $status
