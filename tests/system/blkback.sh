#!/bin/sh
# SPDX-License-Identifier: MIT
# The storage daemon with a real frontend and real images: what is written is
# there, what is wrong is refused, and a worker's death is only a pause.
. "${0%/*}/lib.sh"
requires_root
requires_cmd mkfs.ext4 e2fsprogs
requires_cmd debugfs e2fsprogs
[ -c /dev/fuse ] || skip_all "needs /dev/fuse"

PVSPLIT_RUN=$RUN
export PVSPLIT_RUN
MNT=$TMP/mnt
IMG=$TMP/disk.img
mkdir "$MNT" "$TMP/tree"

cleanup_more() {
	fusermount3 -u -z "$MNT" 2>/dev/null
}

worker_of() {
	pgrep -P "$1" -f -- --worker
}

# new_worker OLD: another worker than that serves by now.
new_worker() {
	w=$(worker_of "$blkbackd") && [ -n "$w" ] && [ "$w" != "$1" ]
}

# kill_worker: SIGKILL, and wait for its successor.
kill_worker() {
	old=$(worker_of "$blkbackd")
	kill -9 "$old"
	wait_for 10 new_worker "$old"
}

# front IMAGE [MODE]: attach IMAGE as xvda and show it as $MNT/disk.
front() {
	pvsplit block-attach guest "$1,raw,xvda,${2:-w}" &&
		start_daemon blkfront-fuse --domain "$guest" --vdev 51712 \
			--queues "${queues:-1}" "$MNT" &&
		fuse=$PID
}

unfront() {
	stop_daemon "$fuse"
	wait_for 10 pvsplit block-detach guest xvda
}

log_says() {
	grep -q "$1" "$TMP"/blkbackd.*.err
}

# The platform keeps some of a frontend's regions at hand: not counted.
fds_of() {
	ls -l "/proc/$1/fd" | grep -- "->" | grep -vc pvsplit-grants
}

# ---- command line
for driver in null mem uring verify fault; do
	check "$driver is listed" sh -c \
		"blkbackd --list-drivers | cut -f 1 | grep -qx $driver"
done
for args in "--fly" "" "--domain" "--domain x" "--domain 1 extra" \
	"--domain 1 --workers 0" "--domain 1 --workers 1000000"; do
	check "usage: [$args] is status 2" sh -c "blkbackd $args; [ \$? -eq 2 ]"
done
check "no run directory is status 1" sh -c \
	"blkbackd --run-dir '$TMP/none' --domain 1; [ \$? -eq 1 ]"

# ---- start
start_daemon brokerd --run-dir "$RUN" || finish
pvsplit domain-create storage >/dev/null
pvsplit domain-create guest >/dev/null
storage=$(pvsplit domain-list | awk '$2 == "storage" { print $1 }')
guest=$(pvsplit domain-list | awk '$2 == "guest" { print $1 }')
check "a domain that is not there is status 1" sh -c \
	"blkbackd --domain 99; [ \$? -eq 1 ]"
start_daemon blkbackd --run-dir "$RUN" --domain "$storage" || finish
blkbackd=$PID
worker=$(worker_of "$blkbackd")
fds=$(fds_of "$worker")
monitor_fds=$(fds_of "$blkbackd")

check "the worker cannot gain privileges" \
	grep -q "NoNewPrivs:.1" "/proc/$worker/status"

# ---- a file system through the ring
truncate -s 256M "$IMG"
check "a disk is attached and connected" front "$IMG"
check "the disk has the image's size" \
	[ "$(stat -c %s "$MNT/disk")" -eq 268435456 ]
check "mkfs.ext4 through the ring" mkfs.ext4 -q -F "$MNT/disk"
unfront
check "the image has a clean file system" e2fsck -fn "$IMG"

# ---- a tree, with the worker killed again and again
i=0
while [ $i -lt 64 ]; do
	head -c 1000003 /dev/urandom >"$TMP/tree/file$i"
	i=$((i + 1))
done
(cd "$TMP/tree" && sha256sum ./*) >"$TMP/sums"
mkfs.ext4 -q -F -d "$TMP/tree" "$TMP/full.img" 200M
sum=$(sha256sum <"$TMP/full.img")

front "$IMG"
dd if="$TMP/full.img" of="$MNT/disk" bs=64k conv=notrunc,fsync 2>"$TMP/dd" &
dd=$!
kills=0
while ! process_gone $dd && [ $kills -lt 8 ]; do
	kill_worker || break
	kills=$((kills + 1))
	sleep 0.1
done
wait $dd
check "the copy ends well" [ $? -eq 0 ]
check "workers were killed during it" [ "$kills" -ge 2 ]
check_output "read back through the ring it is equal" "$sum" sh -c \
	"head -c 209715200 '$MNT/disk' | sha256sum"

# ---- reads under the same treatment
sha256sum <"$TMP/full.img" >"$TMP/want"
(head -c 209715200 "$MNT/disk" | sha256sum >"$TMP/got") &
reader=$!
while ! process_gone $reader && [ $kills -lt 16 ]; do
	kill_worker || break
	kills=$((kills + 1))
	sleep 0.1
done
wait $reader
check "reads are right across deaths" cmp "$TMP/want" "$TMP/got"
check "requests were issued again" log_says "taken over, [1-9]"
check_output "the connection was never made anew" 2 sh -c \
	"cat '$TMP'/blkbackd.*.err | grep -c ' Connected'"
unfront
check "the image has a clean file system" e2fsck -fn "$IMG"
check_output "behind the driver's back it is equal" "$sum" sh -c \
	"head -c 209715200 '$IMG' | sha256sum"

# ---- several queues, and workers that die under all of them
queues=2
check "a disk of two queues is attached" front "$IMG"
check "it has them" log_says "2 queues, ring of"
kills=0
dd if=/dev/zero of="$MNT/disk" bs=64k count=3200 conv=notrunc 2>"$TMP/dd"
for part in 0 1 2 3; do
	dd if="$TMP/full.img" of="$MNT/disk" bs=1M count=50 skip=$((part * 50)) \
		seek=$((part * 50)) conv=notrunc,fsync 2>"$TMP/dd$part" &
	eval "dd$part=\$!"
done
while ! process_gone "$dd3" && [ $kills -lt 8 ]; do
	kill_worker || break
	kills=$((kills + 1))
	sleep 0.1
done
wait "$dd0" && wait "$dd1" && wait "$dd2" && wait "$dd3"
check "four copies at once end well" [ $? -eq 0 ]
check "workers were killed during it" [ "$kills" -ge 1 ]
check_output "read back through both rings it is equal" "$sum" sh -c \
	"head -c 209715200 '$MNT/disk' | sha256sum"
unfront
check_output "behind the driver's back it is equal" "$sum" sh -c \
	"head -c 209715200 '$IMG' | sha256sum"
queues=1

# ---- another size, while it is used
front "$IMG"
has_size() {
	[ "$(stat -c %s "$MNT/disk")" -eq "$1" ]
}
truncate -s 300M "$IMG"
check_output "a grown image is told" "domain $guest: xvda has 314572800 bytes" \
	pvsplit block-resize guest xvda
check "the frontend has the new size" wait_for 5 has_size 314572800
check "and writes there" dd if="$TMP/full.img" of="$MNT/disk" bs=1M count=40 \
	seek=260 conv=notrunc,fsync
kill_worker
check "the next worker has it too" cmp -n 41943040 "$TMP/full.img" \
	"$MNT/disk" 0 272629760
truncate -s 200M "$IMG"
check_output "a shrunk one as well" "domain $guest: xvda has 209715200 bytes" \
	pvsplit block-resize guest xvda
check "the frontend has the smaller size" wait_for 5 has_size 209715200
truncate -s 256M "$IMG"
pvsplit block-resize guest xvda >/dev/null
check "back as it was" wait_for 5 has_size 268435456
unfront

# ---- what is wrong
check "a disk that is not there has no size" sh -c \
	"! pvsplit block-resize guest xvdz"
read_only() {
	front "$IMG" r && ! dd if=/dev/zero of="$MNT/disk" bs=4k count=1 conv=notrunc
}
before=$(sha256sum <"$IMG")
check "a read-only disk takes no write" read_only
unfront
check_output "and its image is unchanged" "$before" sh -c "sha256sum <'$IMG'"
check "an image in use is refused in one line" sh -c "
	exec 9<'$IMG'; flock -x 9
	! timeout 20 pvsplit block-attach guest '$IMG,raw,xvda,w' &&
	cat '$TMP'/blkbackd.*.err | grep -q 'is another disk already'"
pvsplit block-detach guest xvda >/dev/null 2>&1

# ---- faults, set while the disk is in use
faulty_front() {
	pvsplit block-attach guest \
		"format=raw,vdev=xvda,access=w,target=verify:fault:off,$IMG" &&
		start_daemon blkfront-fuse --domain "$guest" --vdev 51712 "$MNT" &&
		fuse=$PID
}
read_disk() {
	dd if="$MNT/disk" of=/dev/null bs=64k count=16 iflag=direct
}
read_fails() {
	! read_disk
}
bad_faults() {
	! pvsplit block-fault guest xvda raed:hang 2>"$TMP/why" &&
		grep -q "'raed': is not read" "$TMP/why"
}
check "a disk with filters is attached" faulty_front
check "it is read" read_disk
check "faults are set" pvsplit block-fault guest xvda read:error=EIO
check "a read fails then" read_fails
check "faults that are not understood are refused with a sentence" bad_faults
kill_worker
check "they outlive a worker" read_fails
check "faults are off" pvsplit block-fault guest xvda off
check "it is read again" read_disk
pvsplit block-fault guest xvda read:hang
read_disk 2>"$TMP/dd" &
reader=$!
sleep 0.3
check "a read hangs" sh -c "kill -0 $reader"
pvsplit block-fault guest xvda off
wait $reader
check "and goes on when faults are off" [ $? -eq 0 ]
pvsplit block-fault guest xvda read:hang
read_disk 2>"$TMP/dd" &
reader=$!
sleep 0.3
check "a disk that hangs is detached by force" \
	timeout 20 pvsplit block-detach guest xvda --force
wait $reader
check "the reader gets an error" grep -q "Input/output error" "$TMP/dd"
stop_daemon "$fuse"
check "nothing holds the image any longer" \
	wait_for 5 flock -n -x "$IMG" true
check "it can be attached again" front "$IMG"
check "and is read" read_disk
unfront

# ---- the other drivers
for target in mem:64M null:64M "/dev/shm/pvsplit-test.$$"; do
	case $target in /*) truncate -s 64M "$target" ;; esac
	check "$target is a disk" front "$target"
	check "it is written and flushed" dd if="$TMP/full.img" \
		of="$MNT/disk" bs=1M count=64 conv=notrunc,fsync
	case $target in null:*) source=/dev/zero ;; *) source=$TMP/full.img ;; esac
	kill_worker
	check "it is read right after the worker's death" \
		cmp -n 67108864 "$MNT/disk" $source
	unfront
	case $target in /*) rm -f "$target" ;; esac
done

# ---- a frontend that is killed; nothing is left
front "$IMG"
kill -9 "$fuse"
fusermount3 -u -z "$MNT"
frontend_lost() {
	pvsplit block-list guest | grep -q -E 'Closed|InitWait'
}
check "the death of a frontend closes its disk" wait_for 10 frontend_lost
check "which is detached" wait_for 10 pvsplit block-detach guest xvda
worker=$(worker_of "$blkbackd")
# The worker frees a device after the toolstack has gone on.
has_fds() {
	[ "$(fds_of "$1")" = "$2" ]
}
check "the worker has no descriptor left" wait_for 5 has_fds "$worker" "$fds"
check "the monitor has none either" \
	wait_for 5 has_fds "$blkbackd" "$monitor_fds"
check "SIGTERM ends it well" stop_daemon "$blkbackd"
check "and its worker" process_gone "$worker"
check "no sanitizer complained" sh -c "! grep -h Sanitizer '$TMP'/*.err"
finish
