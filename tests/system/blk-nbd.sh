#!/bin/sh
# SPDX-License-Identifier: MIT
# A guest's file system on a qcow2 image behind a real qemu-nbd: the server is
# killed and started again under load, and the guest only waits; so does a
# worker's death; a detach while the server is away ends.
. "${0%/*}/lib.sh"
requires_root
requires_cmd mkfs.ext4 e2fsprogs
requires_cmd qemu-nbd qemu-utils
[ -c /dev/fuse ] || skip_all "needs /dev/fuse"
blkbackd --list-drivers | grep -q '^nbd' || skip_all "needs the driver nbd"

PVSPLIT_RUN=$RUN
export PVSPLIT_RUN
MNT=$TMP/mnt
IMG=$TMP/disk.qcow2
SOCK=$TMP/nbd.sock
server=
mkdir "$MNT"

cleanup_more() {
	fusermount3 -u -z "$MNT" 2>/dev/null
	[ -z "$server" ] || kill -9 "$server" 2>/dev/null
}

# What is answered is in the image: the server is killed without a warning.
start_server() {
	rm -f "$SOCK"
	qemu-nbd -t -f qcow2 --cache=writethrough --discard=unmap -k "$SOCK" \
		"$IMG" 2>>"$TMP/server.err" &
	server=$!
	wait_for 10 [ -S "$SOCK" ]
}

kill_server() {
	kill -9 "$server"
	wait "$server" 2>/dev/null
}

log_says() {
	cat "$TMP"/blkbackd.*.err | grep -q "$1"
}

# front: attach the export as xvda and show it as $MNT/disk.
front() {
	pvsplit block-attach guest \
		"vdev=xvda,format=raw,access=rw,target=nbd+unix:///?socket=$SOCK" &&
		start_daemon blkfront-fuse --domain "$guest" --vdev 51712 "$MNT" &&
		fuse=$PID
}

unfront() {
	stop_daemon "$fuse"
	wait_for 10 pvsplit block-detach guest xvda
}

start_daemon brokerd --run-dir "$RUN" || finish
pvsplit domain-create storage >/dev/null
pvsplit domain-create guest >/dev/null
storage=$(pvsplit domain-list | awk '$2 == "storage" { print $1 }')
guest=$(pvsplit domain-list | awk '$2 == "guest" { print $1 }')
start_daemon blkbackd --run-dir "$RUN" --domain "$storage" || finish
blkbackd=$PID

qemu-img create -q -f qcow2 "$IMG" 128M
check "the server listens" start_server
check "a disk behind NBD is attached and connected" front
check "it has the image's size" [ "$(stat -c %s "$MNT/disk")" -eq 134217728 ]

# ---- the server dies under load, and a worker too
mkdir "$TMP/tree"
for i in 1 2 3 4 5 6 7 8; do
	head -c 4000003 /dev/urandom >"$TMP/tree/file$i"
done
mkfs.ext4 -q -F -d "$TMP/tree" "$TMP/full.img" 64M
sum=$(sha256sum <"$TMP/full.img")
dd if="$TMP/full.img" of="$MNT/disk" bs=64k conv=notrunc,fsync 2>"$TMP/dd" &
dd=$!
sleep 0.2
kill_server
sleep 0.5
check "the writer waits while the server is away" kill -0 $dd
check "it is said aloud" wait_for 5 log_says "the server is gone"
kill -9 "$(pgrep -P "$blkbackd" -f -- --worker)"
sleep 0.3
check "also after the worker's death" kill -0 $dd
start_server
wait $dd
check "the copy ends well" [ $? -eq 0 ]
check "requests were issued again" log_says "taken over, [1-9]"
check_output "read back through the ring it is equal" "$sum" sh -c \
	"head -c 67108864 '$MNT/disk' | sha256sum"

(head -c 67108864 "$MNT/disk" | sha256sum >"$TMP/got") &
reader=$!
kill_server
start_server
wait $reader
check "reads are right across the server's death" \
	[ "$(cat "$TMP/got")" = "$sum" ]
check "the server's return is said aloud" \
	wait_for 10 log_says "the server is back"
unfront
kill_server
qemu-img convert -f qcow2 -O raw "$IMG" "$TMP/out.img"
truncate -s 64M "$TMP/out.img"
check "the image has a clean file system" e2fsck -fn "$TMP/out.img"
# Status 3 is for clusters that a killed server took and did not use.
check "and is a good image" sh -c "qemu-img check -q '$IMG' ||
	[ \$? -eq 3 ]"

# ---- detach while the server is away
start_server
check "it is attached again" front
kill_server
dd if="$MNT/disk" of=/dev/null bs=4k count=1 2>/dev/null &
reader=$!
sleep 0.3
check "a reader waits" kill -0 $reader
check "a detach ends although the server is away" sh -c \
	"timeout 15 pvsplit block-detach guest xvda || :;
	! pvsplit block-list guest | grep -q Connected"
kill -9 "$fuse" 2>/dev/null
fusermount3 -u -z "$MNT"
wait $reader 2>/dev/null
detached() {
	! pvsplit block-list guest | grep -q xvda
}
check "nothing is left of it" wait_for 10 detached
check "a server that is not there is named" sh -c "
	! timeout 20 pvsplit block-attach guest \
		'vdev=xvda,format=raw,access=rw,target=nbd+unix:///?socket=$SOCK' &&
	cat '$TMP'/blkbackd.*.err | grep -q 'Connection refused'"
pvsplit block-detach guest xvda >/dev/null 2>&1
check "SIGTERM ends it well" stop_daemon "$blkbackd"
check "no sanitizer complained" sh -c "! grep -h Sanitizer '$TMP'/*.err"
finish
