#!/bin/sh
# SPDX-License-Identifier: MIT
# blk.sh - starts what bench/blk.c needs: the store, a storage driver domain
# whose data thread has a CPU of its own, a guest with its disks.
# Usage: blk.sh [short|full [WHAT...]]
. "${0%/*}/../tests/system/lib.sh"
mode=${1:-short}
[ $# -gt 0 ] && shift
whats=${*:-null mem tmpfs disk qemu nbd iscsi}
. "${0%/*}/lib-bench.sh"
requires_cmd fio fio
requires_cmd qemu-storage-daemon qemu-system-common

PVSPLIT_RUN=$RUN
export PVSPLIT_RUN
size=256
[ "$mode" = full ] && size=1024
shm=$(mktemp /dev/shm/pvsplit-bench.XXXXXX)
shared=$(mktemp /dev/shm/pvsplit-bench.XXXXXX)
target=
cleanup_more() {
	rm -f "$shm" "$shared"
	[ -z "$target" ] || kill -9 "$target" 2>/dev/null
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

# can DRIVER COMMAND PACKAGE: else it is said aloud that this is left out
can() {
	blkbackd --list-drivers | grep -q "^$1" && command -v "$2" >/dev/null &&
		return
	skip "$1: needs the driver $1 and $2 (package $3)"
	return 1
}

# nbdkit with an export of memory on $TMP/nbd.sock
start_nbd() {
	taskset -c "$second" nbdkit -f -U "$TMP/nbd.sock" memory "${size}M" \
		>"$TMP/nbd.log" 2>&1 &
	daemons="$! $daemons"
	wait_for 10 test -S "$TMP/nbd.sock" && return
	cat "$TMP/nbd.log" >&2
	exit 1
}

admin() {
	TGT_IPC_SOCKET=$TMP/tgt tgtadm -C 0 --lld iscsi "$@" >>"$TMP/tgt.log" 2>&1
}

# tgtd on port 3262 of 127.0.0.1, its LUN 1 the file $1. It ends on SIGKILL only.
start_tgt() {
	TGT_IPC_SOCKET=$TMP/tgt taskset -c "$second" tgtd -f -C 0 \
		--iscsi portal=127.0.0.1:3262 >"$TMP/tgt.log" 2>&1 &
	target=$!
	wait_for 10 admin -m target -o show &&
		admin -m target -o new -t 1 -T iqn.2026-11.bench:disk &&
		admin -m logicalunit -o new -t 1 -l 1 -b "$1" &&
		admin -m target -o bind -t 1 -I ALL && return
	cat "$TMP/tgt.log" >&2
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
	nbd)
		can nbd nbdkit nbdkit || continue
		start_nbd
		attach "nbd+unix:///?socket=$TMP/nbd.sock" xvdf
		measure nbd 51792 "nbd+unix:///?socket=$TMP/nbd.sock"
		;;
	iscsi)
		can iscsi tgtd tgt || continue
		truncate -s "${size}M" "$shared"
		start_tgt "$shared"
		attach iscsi://127.0.0.1:3262/iqn.2026-11.bench:disk/1 xvdg
		measure iscsi 51808 \
			iscsi://127.0.0.1:3262/iqn.2026-11.bench:disk/1
		;;
	esac
done
exit $status
