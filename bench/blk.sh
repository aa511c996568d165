#!/bin/sh
# SPDX-License-Identifier: MIT
# blk.sh - starts what bench/blk.c needs: the store, a storage driver domain
# whose data thread has a CPU of its own, a guest with a disk on tmpfs. The peer
# is fio on the same file, alternately in the same run.
. "${0%/*}/../tests/system/lib.sh"
. "${0%/*}/lib-bench.sh"
requires_cmd fio fio

PVSPLIT_RUN=$RUN
export PVSPLIT_RUN
IMG=$(mktemp /dev/shm/pvsplit-bench.XXXXXX)
cleanup_more() {
	rm -f "$IMG"
}

start_daemon brokerd --run-dir "$RUN" || exit 1
pvsplit domain-create storage >"$TMP/log" && pvsplit domain-create g >"$TMP/log" ||
	exit 1
start_daemon taskset -c "$second" blkbackd --run-dir "$RUN" --domain 1 || exit 1
# real pages, not holes
dd if=/dev/urandom of="$IMG" bs=1M count=256 status=none || exit 1
pvsplit block-attach g "$IMG,raw,xvda,r" >"$TMP/log" || exit 1
"$BUILD/bench/blk" "$RUN" 2 51712 "$IMG"
