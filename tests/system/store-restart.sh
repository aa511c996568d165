#!/bin/sh
# SPDX-License-Identifier: MIT
# store-restart.sh - the store is killed again and again while a guest uses its
# disk and its network: neither notices, nobody else is started anew, and
# afterwards devices come and go as before.
. "${0%/*}/lib.sh"
. "${0%/*}/lib-net.sh"
net_requires
requires_cmd xenstore-read xenstore-utils
requires_cmd python3 python3
[ -c /dev/fuse ] || skip_all "needs /dev/fuse"
PVSPLIT_RUN=$RUN
export PVSPLIT_RUN
MNT=$TMP/mnt
KILLS=12
mkdir "$MNT"

cleanup_more() {
	net_cleanup
	umount "$MNT" 2>/dev/null
}

as_host() {
	XENSTORED_PATH=$RUN/0/xenstore timeout 20 "$@"
}

state_is() {
	[ "$(as_host xenstore-read "$1/state")" = "$2" ]
}

# store_of PID: the pid of that brokerd's store.
store_of() {
	pgrep -P "$1" -x xenstored-lite
}

# Kill the store; return once a new one answers. Times go to $TMP/restarts.
kill_store() {
	begin=$(date +%s%N)
	kill -KILL "$(store_of "$BROKERD")" &&
		as_host xenstore-read /local/domain/0/name >/dev/null &&
		echo $((($(date +%s%N) - begin) / 1000000)) >>"$TMP/restarts"
}

# The most of a file of numbers, and how many there are.
most() {
	sort -n "$1" | tail -n 1
}

# The processes that must not be started anew: both workers, both frontends.
who_runs() {
	pgrep -P "$BLKBACKD" -x blkbackd
	pgrep -P "$NETBACKD" -x netbackd
	echo "$FUSE" "$FRONT1" "$FRONT2"
}

ready_with_disk() {
	pvsplit domain-create storage >/dev/null || return 1
	truncate -s 64M "$TMP/disk.img"
	pvsplit block-attach guest1 "$TMP/disk.img,raw,xvda,rw" \
		--backend storage --no-wait >/dev/null || return 1
	start_daemon blkbackd --run-dir "$RUN" \
		--domain "$(xenstore_domid storage)" || return 1
	BLKBACKD=$PID
	start_daemon blkfront-fuse --domain "$DOM1" --vdev 51712 "$MNT" ||
		return 1
	FUSE=$PID
}

# The load on the disk: a block is written, made durable and read back, over
# and over; prints the count and the longest time in ms, and fails when what is
# read is not what was written last.
cat >"$TMP/pulse.py" <<'EOF'
import os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
end, stop = time.monotonic() + 300, sys.argv[2]
count, longest, errors = 0, 0.0, 0
last = time.monotonic()
while time.monotonic() < end and not os.path.exists(stop):
    at = (count * 7919 % 16000) * 4096
    block = bytes([count % 251]) * 4096
    try:
        os.pwrite(fd, block, at)
        os.fdatasync(fd)
        os.posix_fadvise(fd, at, 4096, os.POSIX_FADV_DONTNEED)
        errors += os.pread(fd, 4096, at) != block
    except OSError:
        errors += 1
    now = time.monotonic()
    longest = max(longest, now - last)
    last = now
    count += 1
print(count, int(longest * 1000), errors)
EOF

start_load() {
	rm -f "$TMP/stop"
	python3 "$TMP/pulse.py" "$MNT/disk" "$TMP/stop" >"$TMP/pulse" &
	PULSE=$!
	ip netns exec "$NS-g1" ping -i 0.01 -W 5 10.99.0.12 >"$TMP/ping" 2>&1 &
	PING=$!
	ip netns exec "$NS-g2" iperf3 -s -1 --forceflush \
		>"$TMP/iperf.server" 2>&1 &
	SERVER=$!
	wait_for 5 grep -q listening "$TMP/iperf.server"
	ip netns exec "$NS-g1" iperf3 -c 10.99.0.12 -t 300 -b 50M --forceflush \
		>"$TMP/iperf" 2>&1 &
	STREAM=$!
	daemons="$PULSE $PING $SERVER $STREAM $daemons"
}

stop_load() {
	: >"$TMP/stop"
	wait "$PULSE"
	kill -INT "$PING" && wait "$PING"
	kill "$STREAM" "$SERVER"
	read -r DISK_NR DISK_MS DISK_ERRORS <"$TMP/pulse"
	# The last may be under way.
	PING_LOST=$(awk '/packets transmitted/ { print $1 - $4 }' "$TMP/ping")
	PING_MS=$(sed -n 's/^rtt .*= [^/]*\/[^/]*\/\([0-9]*\).*/\1/p' "$TMP/ping")
}

a_second_disk_comes_and_goes() {
	truncate -s 8M "$TMP/disk2.img" &&
		pvsplit block-attach guest1 "$TMP/disk2.img,raw,xvdb,rw" \
			--backend storage &&
		pvsplit block-detach guest1 xvdb
}

a_third_guest_gets_a_vif() {
	third=$(domain_create guest3) && vif_attach guest3 00:16:3e:00:00:13 &&
		ip netns add "$NS-g3" && start_guest g3 "$third" 13 &&
		ip -n "$NS-g3" link set lo up &&
		in_ns g1 ping -q -c 3 -i 0.1 -W 2 10.99.0.13
}

# What a command of the toolstack meets: no store, now and then.
attach_and_detach_under_fire() {
	(
		while [ ! -e "$TMP/peace" ]; do
			kill_store
			sleep 0.2
		done
	) &
	fire=$!
	status=0
	for round in 1 2 3 4 5; do
		a_second_disk_comes_and_goes || status=1
	done
	: >"$TMP/peace"
	wait "$fire"
	return $status
}

kill_worker_of() {
	old=$(pgrep -P "$1" -x "$2") && kill -9 "$old" &&
		wait_for 10 another_worker "$1" "$2" "$old"
}

another_worker() {
	now=$(pgrep -P "$1" -x "$2") && [ "$now" != "$3" ]
}

the_disk_is_right() {
	head -c 1048576 /dev/urandom >"$TMP/random" &&
		dd if="$TMP/random" of="$MNT/disk" bs=64k conv=fsync,notrunc &&
		cmp -n 1048576 "$TMP/random" "$TMP/disk.img"
}

if ! net_up || ! ready_with_disk; then
	fail "the daemons and guests start"
	finish
fi
pass "the daemons and guests start"
BROKERD=$(pgrep -f "brokerd --run-dir $RUN" | head -n 1)
before=$(who_runs)
states=$(as_host xenstore-ls -f /local/domain)

start_load
sleep 1
for i in $(seq $KILLS); do
	check "kill $i: a store answers again" kill_store
	sleep 0.5
done
sleep 1
stop_load
echo "restarts: at most $(most "$TMP/restarts") ms"
echo "disk: $DISK_NR rounds, the longest $DISK_MS ms, $DISK_ERRORS wrong"
echo "network: round trips of at most $PING_MS ms, lost $PING_LOST"
check "the disk answered all the time, and rightly" \
	test "$DISK_ERRORS" -eq 0 -a "$DISK_NR" -gt 100 -a "$DISK_MS" -lt 1000
check "no ping was lost" test "$PING_LOST" -le 1
check "nor late" test "$PING_MS" -lt 1000
check_output "nobody was started anew" "$before" who_runs
check_output "the nodes are what they were" "$states" \
	as_host xenstore-ls -f /local/domain
check "a disk is attached and detached" a_second_disk_comes_and_goes
check "a vif is attached, and used" a_third_guest_gets_a_vif
check "disks come and go while stores die" attach_and_detach_under_fire
check "the first disk is right" the_disk_is_right
check "blkbackd's worker is killed and comes again" \
	kill_worker_of "$BLKBACKD" blkbackd
check "the disk is right" the_disk_is_right
check "netbackd's as well" kill_worker_of "$NETBACKD" netbackd
check "frames pass" in_ns g1 ping -q -c 5 -i 0.1 -W 5 10.99.0.12

# ---- and the end of brokerd is that of all
kill -KILL "$BROKERD"
check_fails "without brokerd the disk is an error, in time" timeout 15 \
	dd if=/dev/zero of="$MNT/disk" bs=4k count=1 conv=fsync,notrunc
check "and the guests' interfaces end" wait_for 15 process_gone "$FRONT1"
check "blkbackd ends" wait_for 15 process_gone "$BLKBACKD"
check "netbackd ends" wait_for 15 process_gone "$NETBACKD"
check "the disk's server ends" wait_for 15 process_gone "$FUSE"
finish
