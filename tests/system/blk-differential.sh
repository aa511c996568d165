#!/bin/sh
# SPDX-License-Identifier: MIT
# blk-differential.sh - our frontend library against our backend: random
# overlapping operations and a model of what they may leave, over every storage,
# with features that one side does not know, while workers are killed.
# BLK_SEED: the first seed (1). BLK_OPS: operations of each run.
set -u
. "${0%/*}/lib.sh"
requires_root
requires_cmd losetup mount
MODEL=$BUILD/tests/system/blk_model
[ -x "$MODEL" ] || skip_all "needs $MODEL (make test-programs)"

PVSPLIT_RUN=$RUN
export PVSPLIT_RUN
seed=${BLK_SEED:-1}
loop=
shm=/dev/shm/pvsplit-model.$$

cleanup_more() {
	[ -z "$loop" ] || losetup --detach "$loop"
	rm -f "$shm"
}

worker_of() {
	pgrep -P "$blkbackd" -f -- --worker
}

# run TARGET SENTENCE OPS QUEUES PAGES HIDDEN...
run() {
	target=$1 sentence=$2
	shift 2
	ops=${BLK_OPS:-$1}
	shift
	pvsplit block-attach guest "$target,raw,xvda,w" --no-wait
	check "$sentence" "$MODEL" "$RUN" "$guest" "$seed" "$ops" "$@"
	grep '^seed' "$TMP/check.log" | tee "$TMP/seen"
	seed=$((seed + 1))
	wait_for 10 pvsplit block-detach guest xvda
}

# As run, but the worker dies again and again: not so often that on a slow
# machine none of them does any work.
run_killed() {
	(for death in $(seq 20); do
		sleep 0.15
		kill -9 $(worker_of) 2>/dev/null
	done) &
	killer=$!
	run "$@"
	kill $killer 2>/dev/null
	wait $killer 2>/dev/null
}

start_daemon brokerd --run-dir "$RUN" || finish
pvsplit domain-create storage >/dev/null
pvsplit domain-create guest >/dev/null
storage=$(pvsplit domain-list | awk '$2 == "storage" { print $1 }')
guest=$(pvsplit domain-list | awk '$2 == "guest" { print $1 }')
start_daemon blkbackd --run-dir "$RUN" --domain "$storage" || finish
blkbackd=$PID
truncate -s 16M "$TMP/file" "$TMP/file4k" "$shm"

# ---- every storage
run mem:16M "memory" 4000 1 0
run "$TMP/file" "a file" 2000 2 0
run "$shm" "a file in memory" 4000 2 1

# ---- who does not know a feature
run mem:16M "no indirect requests" 3000 1 0 feature-max-indirect-segments
run mem:16M "one small ring, nothing kept mapped" 3000 4 0 \
	multi-queue-max-queues max-ring-page-order feature-persistent
run mem:16M "no flush, no discard" 3000 2 2 feature-flush-cache \
	feature-barrier feature-discard
run mem:16M "none of them" 3000 3 0 multi-queue-max-queues \
	max-ring-page-order feature-persistent feature-max-indirect-segments \
	feature-flush-cache feature-barrier feature-discard \
	feature-large-sector-size

# ---- sectors of 4096 bytes
if loop=$(losetup --find --show --sector-size 4096 "$TMP/file4k" 2>/dev/null); then
	run "$loop" "large sectors, and a frontend that takes them" 1500 2 0
	check "they were seen" grep -q "sectors of 4096" "$TMP/seen"
	run "$loop" "large sectors, emulated for one that does not" 1500 2 0 \
		feature-large-sector-size
	check "it saw others" grep -q "sectors of 512" "$TMP/seen"
	run_killed "$loop" "the same while workers die" 1500 2 0 \
		feature-large-sector-size
else
	skip "sectors of 4096 bytes: no loop device has them here"
fi

# ---- deaths
run_killed mem:16M "memory, while workers die" 20000 2 0
run_killed "$TMP/file" "a file, while workers die" 3000 2 0
run_killed "$shm" "an old frontend, while workers die" 10000 1 0 \
	feature-max-indirect-segments feature-persistent max-ring-page-order
check "workers died and were followed" sh -c \
	"cat '$TMP'/blkbackd.*.err | grep -q 'taken over, [1-9]'"
check "no sanitizer complained" sh -c "! grep -h Sanitizer '$TMP'/*.err"
finish
