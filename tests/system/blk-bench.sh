#!/bin/sh
# SPDX-License-Identifier: MIT
# pvsplit block-bench: what it refuses, that it writes only when it may, that it
# finds what was changed behind its back, how it ends.
. "${0%/*}/lib.sh"
requires_root

PVSPLIT_RUN=$RUN
export PVSPLIT_RUN
IMG=$TMP/disk.img
bench="pvsplit block-bench"
scribbler=

cleanup_more() {
	[ -z "$scribbler" ] || kill "$scribbler" 2>/dev/null
}

start_daemon brokerd --run-dir "$RUN" || finish
check "two domains" sh -c \
	"pvsplit domain-create storage && pvsplit domain-create g"
start_daemon blkbackd --run-dir "$RUN" --domain 1 || finish
blkbackd_pid=$PID
truncate -s 64M "$IMG"
dd if=/dev/urandom of="$IMG" bs=1M count=64 conv=notrunc status=none
cp "$IMG" "$TMP/before"
check "a disk" pvsplit block-attach g "$IMG,raw,xvda,rw"

# ---- wrong input
check_refusal "no disk" 2 "DOMAIN and VDEV, or --disk" $bench
check_refusal "a disk and --disk" 2 "DOMAIN and VDEV, or --disk" \
	$bench g xvda --disk "$IMG,raw,xvda,rw"
check_refusal "an unknown domain" 1 "domain" $bench nobody xvda
check_refusal "an unknown disk" 1 "block-attach" $bench g xvdb
check_refusal "no vdev at all" 2 "a disk such as xvda" $bench g disk
check_refusal "an unknown mode" 2 "randwrite or randrw" $bench g xvda --mode fly
check_refusal "a depth of 0" 2 "from 1 to 1024" $bench g xvda --depth 0
check_refusal "a block of half a sector" 2 "multiple of 512" \
	$bench g xvda --block-size 256
check_refusal "an area beyond the disk" 1 "has only 67108864 bytes" \
	$bench g xvda --area 1G
check_refusal "an area of less than a block" 1 "too small" \
	$bench g xvda --area 4K --block-size 8K
check_refusal "to verify what is only read" 2 "mode that writes" \
	$bench g xvda --verify
for mode in write rw randwrite randrw; do
	check_refusal "mode $mode without --write" 2 "say so with --write" \
		$bench g xvda --mode $mode
done
check_refusal "a disk that is in use" 1 "is in use by domain" \
	$bench --disk "$IMG,raw,xvda,rw"

# ---- reading
check "random reads" sh -c \
	"$bench g xvda --total 8M --json >'$TMP/json'"
check_output "as many as asked for" 2048 json_number requests
check_output "none failed" 0 json_number errors
check "sequential reads of 1 MiB on two queues" sh -c \
	"$bench g xvda --mode read --block-size 1M --queues 2 --depth 4 \
		--total 32M --json >'$TMP/json'"
check_output "all of them" 33554432 json_number bytes
check "a bound of time" $bench g xvda --runtime 1
check "nothing was written" cmp "$TMP/before" "$IMG"

# ---- writing
check "all of the disk is written and read back right" sh -c \
	"$bench g xvda --mode write --write --verify --total 64M --json \
		--block-size 64K >'$TMP/json'"
check_output "every block" 1024 json_number blocks
check_output "none wrong" 0 json_number wrong
check_fails "nothing is as before" cmp -s -n 4096 "$TMP/before" "$IMG"
check "random reads and writes on three queues, read back right" \
	$bench g xvda --mode randrw --write --verify --total 64M --queues 3
check "also over a worker's death" sh -c "
	$bench g xvda --mode randrw --write --verify --runtime 2 --queues 2 &
	sleep 0.5
	kill -9 \$(pgrep -P $blkbackd_pid)
	wait \$!"
(while :; do
	dd if=/dev/zero of="$IMG" bs=512 seek=40 count=1 conv=notrunc \
		status=none
done) &
scribbler=$!
check_refusal "what somebody else changes is found" 1 "byte 20480: holds what was not" \
	$bench g xvda --mode write --write --verify --area 8M --total 8M \
		--depth 1
kill $scribbler
wait $scribbler 2>/dev/null
scribbler=

# ---- ends
$bench g xvda --runtime 600 >"$TMP/out" 2>&1 &
pid=$!
sleep 1
kill -INT $pid
wait_for 5 process_gone $pid
wait $pid
check "interrupted it ends well" test $? -eq 0
check "with the figures so far" grep -q "requests, .* a second" "$TMP/out"
$bench g xvda --runtime 600 >"$TMP/out" 2>&1 &
pid=$!
sleep 1
pvsplit block-detach g xvda >"$TMP/log"
wait_for 10 process_gone $pid
wait $pid
check "it fails when the disk is detached" test $? -eq 1
check "a disk of its own" $bench --disk "$IMG,raw,xvda,r" --total 4M
check_refusal "that is read-only" 1 "read-only" \
	$bench --disk "$IMG,raw,xvda,r" --mode write --write
check_fails "no domain is left of it" sh -c "pvsplit domain-list | grep bench"
finish
