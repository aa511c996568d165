#!/bin/sh
# SPDX-License-Identifier: MIT
# pvsplit block-copy: disks to files, files to disks, disks to disks; holes stay
# holes, nothing is overwritten unasked, a failure leaves no half of a file.
. "${0%/*}/lib.sh"
requires_root
requires_cmd script bsdutils

PVSPLIT_RUN=$RUN
export PVSPLIT_RUN
A=$TMP/a.img
B=$TMP/b.img
copy="pvsplit block-copy"

kib_used() {
	du -k "$1" | cut -f 1
}

start_daemon brokerd --run-dir "$RUN" || finish
check "three domains" sh -c "pvsplit domain-create storage &&
	pvsplit domain-create a && pvsplit domain-create b"
start_daemon blkbackd --run-dir "$RUN" --domain 1 || finish
blkbackd_pid=$PID
# a: 10 MiB of data in 64 MiB, in three places
truncate -s 64M "$A"
for at in 0 17 58; do
	dd if=/dev/urandom of="$A" bs=1M seek=$at count=4 conv=notrunc \
		status=none
done
truncate -s 96M "$B"
cp --sparse=always "$A" "$TMP/a.before"
check "disks" sh -c "pvsplit block-attach a '$A,raw,xvda,rw' &&
	pvsplit block-attach b '$B,raw,xvda,rw'"

# ---- wrong input
check_refusal "one word" 2 "missing" $copy a:xvda
check_refusal "two files" 2 "both are files" $copy "$A" "$TMP/x"
check_refusal "an unknown domain" 1 "domain" $copy nobody:xvda "$TMP/x"
check_refusal "an unknown disk" 1 "block-attach" $copy a:xvdb "$TMP/x"
check_refusal "a source that is not there" 1 "cannot read" \
	$copy "$TMP/none" a:xvda --overwrite
check_refusal "a disk is not overwritten unasked" 1 "overwrite" $copy "$A" b:xvda
echo precious >"$TMP/old"
check_refusal "nor is a file" 1 "exists; --overwrite" $copy a:xvda "$TMP/old"
check_output "it is as it was" precious cat "$TMP/old"
check_refusal "nor, at all, what is behind a disk" 1 "is a disk of domain" \
	$copy a:xvda "$A" --overwrite
check_refusal "a destination that is too small" 1 "only 67108864" \
	$copy b:xvda a:xvda --overwrite
check "the disk is as it was" cmp "$A" "$TMP/a.before"
check_fails "no file was left behind" test -e "$TMP/x"

# ---- copies
check "a disk to a file" $copy a:xvda "$TMP/copy" --verify
check "they are equal" cmp "$A" "$TMP/copy"
check "its holes are holes" test "$(kib_used "$TMP/copy")" -le 13000
check "a file is replaced when asked for" $copy a:xvda "$TMP/old" --overwrite
check "it is equal" cmp "$A" "$TMP/old"
check "a file to an empty disk" sh -c \
	"$copy '$TMP/copy' b:xvda --overwrite --verify --json >'$TMP/json'"
check "equal" cmp -n 67108864 "$A" "$B"
check_output "only the data was written" 12582912 json_number written
check "the image stays sparse" test "$(kib_used "$B")" -le 13000
check_output "once more: only that" 12582912 sh -c \
	"$copy '$TMP/copy' b:xvda --overwrite --json >'$TMP/json'
	sed -n 's/.*\"written\": \([0-9]*\).*/\1/p' '$TMP/json'"

dd if=/dev/urandom of="$B" bs=1M count=64 conv=notrunc status=none
check "a disk to a disk that is full of other data" \
	$copy a:xvda b:xvda --overwrite --verify
check "equal, zeros too" cmp -n 67108864 "$A" "$B"
dd if=/dev/urandom of="$B" bs=1M count=64 conv=notrunc status=none
check "the same with discards" sh -c \
	"$copy a:xvda b:xvda --overwrite --discard --json >'$TMP/json'"
check "equal" cmp -n 67108864 "$A" "$B"
check_output "which gave back what is zeros" 54525952 json_number discarded
check "in the image" test "$(kib_used "$B")" -le 46000

printf 'seventeen bytes..' >"$TMP/odd"
check "a file of no whole sector" $copy "$TMP/odd" b:xvda --overwrite --verify
check_output "is there, with zeros behind" "seventeen bytes.." \
	sh -c "head -c 512 '$B' | tr -d '\\0'"

# ---- deaths and ends
# A copy is fast: the worker is stopped as soon as the file is there.
stop_when_there() {
	worker=$(pgrep -P "$blkbackd_pid")
	until [ -e "$1" ]; do
		process_gone "$2" && return
	done
	kill -STOP $worker
}

pvsplit block-detach b xvda >"$TMP/log"
rm -f "$B"
dd if=/dev/urandom of="$B" bs=1M count=256 status=none
check "a larger disk" pvsplit block-attach b "$B,raw,xvda,r"
$copy b:xvda "$TMP/again" --verify >"$TMP/out" 2>"$TMP/err" &
pid=$!
stop_when_there "$TMP/again" $pid
check "in the middle of a copy" test ! -s "$TMP/out"
kill -9 $worker
wait $pid
check "which goes on when the worker is killed" test $? -eq 0
check "and is right" cmp "$B" "$TMP/again"
check "without a terminal there is no bar" test ! -s "$TMP/err"

script -qec "$copy b:xvda $TMP/seen --verify" /dev/null >"$TMP/tty" \
	</dev/null &
pid=$!
stop_when_there "$TMP/seen" $pid
sleep 1
kill -CONT $worker
wait $pid
check "on a terminal there is" sh -c "
	grep -q '% \[#* *\] .*/s, .* left' '$TMP/tty' &&
	grep -q 'compared equal' '$TMP/tty'"

$copy b:xvda "$TMP/half" >"$TMP/out" 2>"$TMP/err" &
pid=$!
stop_when_there "$TMP/half" $pid
kill -INT $pid
sleep 0.2
kill -CONT $worker
wait_for 10 process_gone $pid
wait $pid
check "interrupted it fails" test $? -eq 1
check "says so" grep -q "interrupted" "$TMP/err"
check_fails "and leaves no half of a file" test -e "$TMP/half"
finish
