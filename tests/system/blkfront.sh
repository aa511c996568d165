#!/bin/sh
# SPDX-License-Identifier: MIT
# A guest's disk as a file and as a loop device: real daemons, a real image;
# the backend dies in the middle, the disk is detached, the server is killed.
. "${0%/*}/lib.sh"
requires_root
requires_cmd mkfs.ext4 e2fsprogs
requires_cmd losetup mount
requires_cmd xenstore-read xenstore-utils
[ -c /dev/fuse ] || skip_all "needs /dev/fuse"
[ -b /dev/loop0 ] || [ -c /dev/loop-control ] || skip_all "needs loop devices"

PVSPLIT_RUN=$RUN
export PVSPLIT_RUN
IMG=$TMP/disk.img
MNT=$TMP/mnt
FS=$TMP/fs
loop=
mkdir "$MNT" "$FS"

cleanup_more() {
	umount "$FS" 2>/dev/null
	[ -z "$loop" ] || losetup --detach "$loop" 2>/dev/null
}

fuse="blkfront-fuse --domain 2 --vdev 51712"

start_fuse() {
	start_daemon $fuse "$@" "$MNT" || return 1
	fuse_pid=$PID
}

start_blkbackd() {
	start_daemon blkbackd --run-dir "$RUN" --domain 1 || return 1
	blkbackd_pid=$PID
}

ends_with_0() {
	wait_for 15 process_gone "$fuse_pid" && wait "$fuse_pid"
}

not_mounted() {
	! grep -q " $MNT fuse" /proc/self/mounts
}

# ---- wrong input
check_refusal "no option" 2 "needs --domain" blkfront-fuse
check_refusal "an unknown option" 2 "unrecognized option" $fuse --fly "$MNT"
check_refusal "a domain that is no number" 2 "wants a number" \
	blkfront-fuse --domain x --vdev 51712 "$MNT"
check_refusal "no mount point" 2 "MOUNTPOINT" $fuse
check_refusal "a mount point that is not there" 1 "make that directory" \
	$fuse "$TMP/none"
check_refusal "a mount point that is a file" 1 "not a directory" $fuse "$0"
check_refusal "no store" 1 "brokerd" $fuse "$MNT"

start_daemon brokerd --run-dir "$RUN" || finish
truncate -s 64M "$IMG"
check "two domains" sh -c "pvsplit domain-create storage && pvsplit domain-create g"
check_refusal "no such disk" 1 "pvsplit block-attach" $fuse "$MNT"
check "a disk" pvsplit block-attach g "$IMG,raw,xvda,rw" --no-wait
check_refusal "a backend that does not run" 1 "is blkbackd running" $fuse "$MNT"
start_blkbackd || finish

# ---- the file
start_fuse || finish
check "it is as long as the disk" \
	test "$(stat -c %s "$MNT/disk")" -eq $((64 << 20))
check_refusal "a second process for the same disk" 1 "in use by another" \
	$fuse "$TMP/fs"
dd if=/dev/urandom of="$TMP/data" bs=1M count=64 status=none
check "written" dd if="$TMP/data" of="$MNT/disk" bs=256k conv=fsync,notrunc
check "read back equal" cmp "$TMP/data" "$MNT/disk"
for at in 1 511 512 4095 1000001; do
	for size in 1 513 70001; do
		for file in "$TMP/data" "$MNT/disk"; do
			head -c $size /dev/zero | tr '\0' x |
				dd of="$file" bs=$size seek=$at \
					oflag=seek_bytes conv=notrunc status=none
		done
	done
done
check "writes at any byte change those bytes only" cmp "$TMP/data" "$MNT/disk"
sync -f "$MNT/disk"
check "the image holds the same" cmp "$TMP/data" "$IMG"
check_fails "nothing can be written past the end" \
	dd if=/dev/zero of="$MNT/disk" bs=1M seek=64 count=1 conv=notrunc
check_fails "no other file can be made" touch "$MNT/other"
check_fails "nor the disk removed" rm -f "$MNT/disk"
check "it ends with SIGTERM" stop_daemon "$fuse_pid"
check "and is not mounted any more" not_mounted

# ---- two queues, large requests, holes, another size
check_refusal "no queue" 2 "from 1 to" $fuse --queues 0 "$MNT"
check_refusal "a policy that there is not" 2 "reissue, queue or fail" \
	$fuse --on-loss hope "$MNT"
start_fuse --queues 2 || finish
dom0() {
	XENSTORED_PATH=$RUN/0/xenstore timeout 20 "$@"
}
[ "$(nproc)" -lt 2 ] || check "two queues and rings of 16 pages are in use" \
	dom0 xenstore-read /local/domain/2/device/vbd/51712/queue-1/ring-ref15
allocated() {
	stat -c %b "$IMG"
}
both() {
	"$@" "$TMP/data" && "$@" "$MNT/disk"
}
before=$(allocated)
check "a hole of 8 MiB" both fallocate --punch-hole --offset 16MiB --length 8MiB
check "... is one in the image" test "$(allocated)" -le $((before - 16000))
check "a hole that begins and ends inside sectors" both fallocate \
	--punch-hole --offset 1000001 --length 100000
check "a hole inside one sector" both fallocate \
	--punch-hole --offset 2000001 --length 100
check "holes read as zeros, and nothing else has changed" \
	cmp "$TMP/data" "$MNT/disk"
check_fails "no hole is made by growing" fallocate --length 80MiB "$MNT/disk"

loop=$(losetup --find --show --direct-io=on "$MNT/disk")
before=$(allocated)
check "a discard of the loop device" \
	blkdiscard --offset 32MiB --length 4MiB "$loop"
check "... is a hole in the image" test "$(allocated)" -le $((before - 8000))
fallocate --punch-hole --offset 32MiB --length 4MiB "$TMP/data"

resized() {
	[ "$(stat -c %s "$MNT/disk")" -eq "$1" ] &&
		[ "$(blockdev --getsize64 "$loop")" -eq "$1" ]
}
truncate -s 96M "$IMG"
dom0 xenstore-write /local/domain/1/backend/vbd/2/51712/resize 1
check "the file and the loop device follow the image's size" \
	wait_for 10 resized $((96 << 20))
truncate -s 96M "$TMP/data"
losetup --detach "$loop"
loop=

kill_all_and_restart() {
	worker=$(pgrep -P "$blkbackd_pid")
	kill -9 "$blkbackd_pid" $worker
	stop_daemon "$blkbackd_pid" 2>/dev/null
	start_blkbackd
}
dd if=/dev/urandom of="$TMP/data" bs=1M count=96 conv=notrunc status=none
(
	for part in 0 1 2 3; do
		dd if="$TMP/data" of="$MNT/disk" bs=1M count=24 \
			skip=$((part * 24)) seek=$((part * 24)) \
			conv=notrunc status=none &
	done
	wait
) &
writers=$!
kill_all_and_restart
check "large writes on two queues end when all of blkbackd is killed" \
	wait $writers
check "... and every byte is right" cmp "$TMP/data" "$MNT/disk"
check "unmounting" umount "$MNT"
check "ends it well" ends_with_0
truncate -s 64M "$IMG"
truncate -s 64M "$TMP/data"

# ---- a file system on it, and deaths
start_fuse || finish
loop=$(losetup --find --show --direct-io=on "$MNT/disk")
check "mkfs.ext4 through blkfront" mkfs.ext4 -q "$loop"
check "mounted" mount "$loop" "$FS"

# A tree of about 24 MB in 1,200 files, with its checksums.
mkdir "$TMP/tree"
i=0
while [ $i -lt 1200 ]; do
	dd if="$TMP/data" of="$TMP/tree/$i" bs=20k skip=$i count=1 status=none
	i=$((i + 1))
done
(cd "$TMP/tree" && sha256sum -- *) >"$TMP/sums"

# copy_while SENTENCE COMMAND...: the command runs in the middle of a copy.
copy_while() {
	sentence=$1
	shift
	rm -rf "$FS/tree"
	(cp -r "$TMP/tree" "$FS/tree" && sync -f "$FS") &
	copy=$!
	wait_for 10 test -e "$FS/tree/300"
	"$@"
	wait $copy
	check "$sentence" test $? -eq 0
	echo 3 >/proc/sys/vm/drop_caches
	check "... and every file is right" sh -c \
		"cd '$FS/tree' && sha256sum --quiet -c '$TMP/sums'"
}

kill_worker() {
	for pid in $(pgrep -P "$blkbackd_pid"); do
		kill -9 "$pid"
	done
}

copy_while "a copy goes on when the worker is killed" kill_worker
copy_while "a copy goes on when all of blkbackd is killed and comes again" \
	kill_all_and_restart
umount "$FS"
losetup --detach "$loop"
loop=

# ---- detaching
check "detached" pvsplit block-detach g xvda
check "blkfront-fuse has ended well" ends_with_0
check "it is not mounted any more" not_mounted
check "the file system is clean" fsck.ext4 -fn "$IMG"
check "attached read-only" pvsplit block-attach g "$IMG,raw,xvda,r"
start_fuse || finish
check_fails "a read-only disk cannot be written" \
	dd if=/dev/zero of="$MNT/disk" bs=4k count=1 conv=notrunc
check "but read" cmp "$IMG" "$MNT/disk"
check "unmounting it" umount "$MNT"
check "ends it well" ends_with_0
pvsplit block-detach g xvda

# ---- killed as the last process of the mount namespace that uses the disk
cat >"$TMP/guest" <<'END'
blkfront-fuse --domain 2 --vdev 51712 "$1/mnt" >"$1/ready" &
echo $! >"$1/fuse.pid"
until grep -q ready "$1/ready"; do sleep 0.05; done
loop=$(losetup --find --show --direct-io=on "$1/mnt/disk")
mount "$loop" "$1/fs"
dd if=/dev/zero of="$1/fs/dirty" bs=1M count=8
echo "$loop" >"$1/loop"
exec sleep 600
END
pvsplit block-attach g "$IMG,raw,xvda,rw"
unshare --mount --propagation private sh "$TMP/guest" "$TMP" 2>/dev/null &
guest=$!
wait_for 20 test -s "$TMP/loop"
kill -9 $guest
wait $guest 2>/dev/null
kill -9 "$(cat "$TMP/fuse.pid")"
check "a server that is killed last does not hang" \
	wait_for 10 process_gone "$(cat "$TMP/fuse.pid")"
losetup --detach "$(cat "$TMP/loop")"
finish
