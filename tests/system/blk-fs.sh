#!/bin/sh
# SPDX-License-Identifier: MIT
# blk-fs.sh - ext4 and xfs through the split disk, with a load of every file
# operation, while the backend's worker is killed again and again: no operation
# fails, and the file system is clean afterwards.
# BLK_FS_SECONDS: of load on each (5, with SOAK 300).
. "${0%/*}/lib.sh"
requires_root
requires_cmd mkfs.ext4 e2fsprogs
requires_cmd stress-ng stress-ng
requires_cmd losetup mount
[ -c /dev/fuse ] || skip_all "needs /dev/fuse"
[ -b /dev/loop0 ] || [ -c /dev/loop-control ] || skip_all "needs loop devices"

PVSPLIT_RUN=$RUN
export PVSPLIT_RUN
MNT=$TMP/mnt
FS=$TMP/fs
IMG=$TMP/disk.img
seconds=${BLK_FS_SECONDS:-${SOAK:+300}}
seconds=${seconds:-5}
loop= killer=
mkdir "$MNT" "$FS"

cleanup_more() {
	[ -z "$killer" ] || kill "$killer" 2>/dev/null
	umount "$FS" 2>/dev/null
	[ -z "$loop" ] || losetup --detach "$loop" 2>/dev/null
	fusermount3 -u -z "$MNT" 2>/dev/null
}

start_killing() {
	(while sleep 0.5; do
		pkill -9 -P "$blkbackd" && echo killed >>"$TMP/kills"
	done) &
	killer=$!
}

killed_thrice() {
	[ "$(wc -l <"$TMP/kills")" -ge 3 ]
}

stop_killing() {
	kill "$killer"
	wait "$killer" 2>/dev/null
	killer=
}

# load SEED: files made, written, mapped, renamed, linked, truncated, removed.
load() {
	(cd "$FS" && stress-ng --seed "$1" --temp-path "$FS" --timeout \
		"${seconds}s" --hdd 2 --hdd-bytes 16M --hdd-opts fsync,wr-rnd \
		--rename 1 --dentry 1 --link 1 --fallocate 1 \
		--fallocate-bytes 8M --sync-file 1 --sync-file-bytes 8M)
}

# What is written before a worker's death is read after it.
copy_is_right() {
	head -c 20000003 /dev/urandom >"$TMP/data"
	cp "$TMP/data" "$FS/data" && sync -f "$FS" &&
		echo 3 >/proc/sys/vm/drop_caches && cmp "$TMP/data" "$FS/data"
}

# one_fs NAME CHECK MKFS...: make, load with deaths, unmount, check the image.
one_fs() {
	name=$1 clean=$2
	shift 2
	rm -f "$IMG"
	truncate -s 512M "$IMG"
	pvsplit block-attach guest "$IMG,raw,xvda,w" --no-wait
	start_daemon blkfront-fuse --domain "$guest" --vdev 51712 "$MNT" ||
		return
	fuse=$PID
	loop=$(losetup --find --show --direct-io=on "$MNT/disk")
	mark="pvsplit.$$: $name"
	echo "$mark" >/dev/kmsg
	check "$name: made" "$@" "$loop"
	check "$name: mounted" mount "$loop" "$FS"
	: >"$TMP/kills"
	start_killing
	check "$name: $seconds s of load while the worker is killed" load 7
	check "$name: a copy is right" copy_is_right
	check "$name: it was killed" wait_for 30 killed_thrice
	stop_killing
	check "$name: unmounted" umount "$FS"
	if dmesg 2>/dev/null | grep -q "$mark"; then
		check "$name: the kernel saw no error" no_io_error
	else
		skip "$name: what the kernel saw: its log is not to be had"
	fi
	losetup --detach "$loop"
	loop=
	stop_daemon "$fuse"
	wait_for 10 pvsplit block-detach guest xvda
	check "$name: clean" $clean "$IMG"
}

# What the kernel said of our loop device since it was ours.
no_io_error() {
	! dmesg | sed "1,/$mark/d" | grep -E "${loop##*/}\b" |
		grep -E "I/O error|EXT4-fs error|XFS .*(error|corrupt)"
}

start_daemon brokerd --run-dir "$RUN" || finish
pvsplit domain-create storage >/dev/null
pvsplit domain-create guest >/dev/null
storage=$(pvsplit domain-list | awk '$2 == "storage" { print $1 }')
guest=$(pvsplit domain-list | awk '$2 == "guest" { print $1 }')
start_daemon blkbackd --run-dir "$RUN" --domain "$storage" || finish
blkbackd=$PID

one_fs ext4 "fsck.ext4 -fn" mkfs.ext4 -q
if command -v mkfs.xfs >/dev/null && grep -qw xfs /proc/filesystems ||
	modprobe xfs 2>/dev/null; then
	one_fs xfs "xfs_repair -n" mkfs.xfs -q
else
	skip "xfs: this kernel or mkfs.xfs (package xfsprogs) is without it"
fi
check "requests were issued again" sh -c \
	"cat '$TMP'/blkbackd.*.err | grep -q 'taken over, [1-9]'"
check "no sanitizer complained" sh -c "! grep -h Sanitizer '$TMP'/*.err"
finish
