#!/bin/sh
# SPDX-License-Identifier: MIT
# A guest's file system on a LUN of a real iSCSI target, in a network of its
# own: the target is killed and started again under load, and the guest only
# waits; so does a worker's death; it waits or fails by policy; a detach while
# the target is away ends; the LUN grows; CHAP; a write-protected LUN.
[ -n "$BLK_ISCSI_NETNS" ] || [ "$(id -u)" -ne 0 ] ||
	! command -v unshare >/dev/null ||
	exec env BLK_ISCSI_NETNS=1 unshare -n "$0" "$@"
. "${0%/*}/lib.sh"
requires_root
requires_cmd unshare util-linux
requires_cmd ip iproute2
requires_cmd mkfs.ext4 e2fsprogs
requires_cmd tgtd tgt
[ -c /dev/fuse ] || skip_all "needs /dev/fuse"
blkbackd --list-drivers | grep -q '^iscsi' ||
	skip_all "needs the driver iscsi"
ip link set lo up || skip_all "needs a network namespace"

PVSPLIT_RUN=$RUN
TGT_IPC_SOCKET=$TMP/tgt
export PVSPLIT_RUN TGT_IPC_SOCKET
MNT=$TMP/mnt
IMG=$TMP/lun.img
NAME_OF_TARGET=iqn.2026-11.test:disk
URL=iscsi://127.0.0.1/$NAME_OF_TARGET/1
target=
mkdir "$MNT"

cleanup_more() {
	fusermount3 -u -z "$MNT" 2>/dev/null
	[ -z "$target" ] || kill -9 "$target" 2>/dev/null
}

admin() {
	tgtadm -C 0 --lld iscsi "$@"
}

# It is killed without a warning: what is answered is in the image's page cache.
start_target() {
	rm -f "$TGT_IPC_SOCKET.0"
	tgtd -f -C 0 --iscsi portal=127.0.0.1:3260 >>"$TMP/target.log" 2>&1 &
	target=$!
	wait_for 10 admin -m target -o show &&
		admin -m target -o new -t 1 -T $NAME_OF_TARGET &&
		admin -m logicalunit -o new -t 1 -l 1 -b "$IMG" &&
		admin -m logicalunit -o update -t 1 -l 1 \
			--params thin_provisioning=1 &&
		admin -m target -o bind -t 1 -I ALL
}

kill_target() {
	kill -9 "$target"
	wait "$target" 2>/dev/null
}

log_says() {
	cat "$TMP"/blkbackd.*.err | grep -q "$1"
}

# front URL [ACCESS]: attach it as xvda and show it as $MNT/disk.
front() {
	pvsplit block-attach guest \
		"vdev=xvda,format=raw,access=${2:-rw},target=$1" &&
		start_daemon blkfront-fuse --domain "$guest" --vdev 51712 "$MNT" &&
		fuse=$PID
}

unfront() {
	stop_daemon "$fuse"
	wait_for 10 pvsplit block-detach guest xvda
}

size_is() {
	[ "$(stat -c %s "$MNT/disk")" -eq "$1" ]
}

start_daemon brokerd --run-dir "$RUN" || finish
pvsplit domain-create storage >/dev/null
pvsplit domain-create guest >/dev/null
storage=$(pvsplit domain-list | awk '$2 == "storage" { print $1 }')
guest=$(pvsplit domain-list | awk '$2 == "guest" { print $1 }')
start_daemon blkbackd --run-dir "$RUN" --domain "$storage" || finish
blkbackd=$PID

truncate -s 128M "$IMG"
check "the target listens" start_target
check "a LUN is attached and connected" front "$URL"
check "it has the LUN's size" size_is 134217728

# ---- the target dies under load, and a worker too
mkdir "$TMP/tree"
for i in 1 2 3 4 5 6 7 8; do
	head -c 4000003 /dev/urandom >"$TMP/tree/file$i"
done
mkfs.ext4 -q -F -d "$TMP/tree" "$TMP/full.img" 64M
sum=$(sha256sum <"$TMP/full.img")
dd if="$TMP/full.img" of="$MNT/disk" bs=64k conv=notrunc,fsync 2>"$TMP/dd" &
dd=$!
sleep 0.2
kill_target
sleep 0.5
check "the writer waits while the target is away" kill -0 $dd
check "it is said aloud" wait_for 5 log_says "the server is gone"
kill -9 "$(pgrep -P "$blkbackd" -f -- --worker)"
sleep 0.3
check "also after the worker's death" kill -0 $dd
start_target
wait $dd
check "the copy ends well" [ $? -eq 0 ]
check "requests were issued again" log_says "taken over, [1-9]"
check_output "read back through the ring it is equal" "$sum" sh -c \
	"head -c 67108864 '$MNT/disk' | sha256sum"
(head -c 67108864 "$MNT/disk" | sha256sum >"$TMP/got") &
reader=$!
kill_target
start_target
wait $reader
check "reads are right across the target's death" \
	[ "$(cat "$TMP/got")" = "$sum" ]
check "the target's return is said aloud" \
	wait_for 10 log_says "the server is back"

# ---- it grows while it is away
kill_target
truncate -s 192M "$IMG"
start_target
check "a LUN that grew is a larger disk" wait_for 15 size_is 201326592
unfront
kill_target
head -c 67108864 "$IMG" >"$TMP/out.img"
check "the LUN has a clean file system" e2fsck -fn "$TMP/out.img"

# ---- a policy: fail
start_target
check "it is attached with fail-after" front "$URL?fail-after=1"
kill_target
check_fails "a read fails when the target is away for too long" \
	timeout 30 dd if="$MNT/disk" of=/dev/null bs=4k count=1 iflag=direct
check "that is said aloud" log_says "away for too long"
start_target
reads() {
	dd if="$MNT/disk" of=/dev/null bs=4k count=1 iflag=direct
}
check "and reads succeed when it is back" wait_for 15 reads
unfront

# ---- detach while the target is away
check "it is attached again" front "$URL"
kill_target
dd if="$MNT/disk" of=/dev/null bs=4k count=1 2>/dev/null &
reader=$!
sleep 0.3
check "a reader waits" kill -0 $reader
check "a detach ends although the target is away" sh -c \
	"timeout 15 pvsplit block-detach guest xvda || :;
	! pvsplit block-list guest | grep -q Connected"
kill -9 "$fuse" 2>/dev/null
fusermount3 -u -z "$MNT"
wait $reader 2>/dev/null
detached() {
	! pvsplit block-list guest | grep -q xvda
}
check "nothing is left of it" wait_for 10 detached

# ---- a write-protected LUN
start_target
admin -m logicalunit -o update -t 1 -l 1 --params readonly=1
check "a write-protected LUN is attached" front "$URL" r
check_fails "and takes no write" dd if=/dev/zero of="$MNT/disk" bs=4k \
	count=1 conv=notrunc,fsync
unfront

# ---- CHAP
admin -m account -o new --user guest --password sesame123456
admin -m account -o bind -t 1 --user guest
with() {
	echo "iscsi://guest%$1@127.0.0.1/$NAME_OF_TARGET/1"
}
check "a wrong password is refused, and said" sh -c "
	! timeout 20 pvsplit block-attach guest \
		'vdev=xvda,format=raw,access=r,target=$(with opensesame99)' &&
	cat '$TMP'/blkbackd.*.err | grep -q 'Permission denied'"
pvsplit block-detach guest xvda >/dev/null 2>&1
check "nothing is left of that one" wait_for 10 detached
check "the right one is taken" front "$(with sesame123456)" r
check "the list shows the user and no password" sh -c "
	pvsplit block-list guest | grep -q 'guest%\\*@'"
check_fails "no list and no log has a password" sh -c "
	{ pvsplit block-list guest; pvsplit block-list guest --json
	  cat '$TMP'/*.err; } | grep -E 'sesame'"
if command -v xenstore-read >/dev/null; then
	check_output "the guest reads none" \
		"iscsi://guest%*@127.0.0.1/$NAME_OF_TARGET/1" \
		env "XENSTORED_PATH=$RUN/$guest/xenstore" xenstore-read \
		"/local/domain/$storage/backend/vbd/$guest/51712/params"
else
	skip "the guest reads none: needs xenstore-read (xenstore-utils)"
fi
unfront
kill_target
check "SIGTERM ends it well" stop_daemon "$blkbackd"
check "no sanitizer complained" sh -c "! grep -h Sanitizer '$TMP'/*.err"
finish
