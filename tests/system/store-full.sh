#!/bin/sh
# SPDX-License-Identifier: MIT
# store-full.sh - the disk of the journal is full: changes are refused, all else
# goes on, and changes too once there is room again.
set -u
. "${0%/*}/lib.sh"
requires_root
requires_cmd xenstore-read xenstore-utils
requires_cmd python3 python3
requires_cmd brokerd "make all"
XENSTORED_PATH=$RUN/0/xenstore
export XENSTORED_PATH

# What the store answers to a write.
cat >"$TMP/reason.py" <<'PY'
import socket, struct, sys

s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
payload = b"/new\0value"
s.sendall(struct.pack("<IIII", 11, 0, 0, len(payload)) + payload)
_, _, _, n = struct.unpack("<IIII", s.recv(16, socket.MSG_WAITALL))
print(s.recv(n, socket.MSG_WAITALL)[:-1].decode())
PY

cleanup_more() {
	umount -l "$TMP/disk" 2>/dev/null
}

mkdir "$TMP/disk"
mount -t tmpfs -o size=2m,mode=0755 none "$TMP/disk" ||
	skip_all "cannot mount a tmpfs"

# lines TEXT: how many lines of the log have it.
lines() {
	grep -c -- "$1" "$daemon_out.err"
}

fill() {
	dd if=/dev/zero of="$TMP/disk/fill" bs=4k 2>/dev/null
	i=0
	# What was reserved before is used up by changes.
	for v in "$value" small; do
		while [ $i -lt 4000 ] && timeout 20 xenstore-write /fill "$v"
		do
			i=$((i + 1))
		done
	done
	[ $i -lt 4000 ]
}

value=$(head -c 3000 /dev/zero | tr '\0' v)
start_daemon brokerd --run-dir "$RUN" -- --journal "$TMP/disk/store" || exit 1
broker=$PID
check "writes while there is room" xenstore-write /kept before
check "the disk is filled" fill
check_fails "a write is refused" xenstore-write /fill "$value"
check_fails "a new node is refused" xenstore-write /new value
check_output "the reason is ENOSPC" ENOSPC python3 "$TMP/reason.py" \
	"$XENSTORED_PATH"
check_output "reads go on" before xenstore-read /kept
check_output "lists go on" "kept" sh -c "xenstore-list / | grep kept"
check_fails "nothing half done is left" xenstore-read /new
for _ in 1 2 3 4 5; do
	timeout 20 xenstore-write /fill "$value" 2>/dev/null
done
check_output "the log says so once" 1 lines "no room for a change"

# Killed while it is full: what was acknowledged is there.
store=$(pgrep -P "$broker" -x xenstored-lite)
kill -KILL "$store"
wait_for 10 process_gone "$store"
check "the store comes up on a full disk" \
	wait_for 10 timeout 20 xenstore-read /kept
check_output "with what was acknowledged" before xenstore-read /kept
check_fails "and refuses writes" xenstore-write /fill "$value"

rm "$TMP/disk/fill"
check "there is room again, and writes go on" \
	wait_for 10 timeout 20 xenstore-write /after room
check_output "and can be read" room xenstore-read /after
check "the log says so" [ "$(lines "there is room again")" -ge 1 ]
store=$(pgrep -P "$broker" -x xenstored-lite)
kill -KILL "$store"
wait_for 10 process_gone "$store"
wait_for 10 timeout 20 xenstore-read /after
check_output "and are remembered" room xenstore-read /after
finish
