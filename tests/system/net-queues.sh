#!/bin/sh
# SPDX-License-Identifier: MIT
# net-queues.sh - guests with two queues each: as many threads and rings, flows
# spread over them, a death in the middle, and one guest that has one queue.
. "${0%/*}/lib.sh"
. "${0%/*}/lib-net.sh"
net_requires
requires_cmd xenstore-read xenstore-utils
requires_cmd python3 python3
cleanup_more() {
	net_cleanup
}
NET_QUEUES=2

store() {
	XENSTORED_PATH=$RUN/0/xenstore timeout 20 xenstore-read "$1"
}

# Have so many threads of a process used the CPU?
threads_that_work() {
	n=0
	for stat in /proc/"$1"/task/*/stat; do
		ticks=$(awk '{ print $14 + $15 }' "$stat")
		[ "$ticks" -gt 1 ] && n=$((n + 1))
	done
	[ "$n" -ge "$2" ]
}

if ! net_up; then
	fail "the daemons and guests start"
	finish
fi
pass "the daemons and guests start"
front1=/local/domain/$DOM1/device/vif/0
check_output "the frontend has two queues" 2 \
	store "$front1/multi-queue-num-queues"
check "each with rings" store "$front1/queue-1/rx-ring-ref"
check "and channels" store "$front1/queue-1/event-channel-tx"
check "the interface has two queues" sh -c \
	"ip -d -n $NS-g1 link show eth0 | grep -q 'numtxqueues 2'"
check "a ping of all that fits" \
	in_ns g1 ping -q -c 3 -i 0.02 -W 2 -s 65000 10.99.0.12
check "sixteen streams, guest to guest" iperf 2 g1 g2 10.99.0.12 -P 16
check "both threads of the sender work" threads_that_work "$FRONT1" 2
check "both threads of the receiver work" threads_that_work "$FRONT2" 2
check "four streams, guest to server" iperf 1 g1 srv 10.99.0.1 -P 4
check "four streams, server to guest" iperf 1 srv g1 10.99.0.11 -P 4

iperf 4 g1 g2 10.99.0.12 -P 4 >"$TMP/streams" &
streams=$!
sleep 1
kill -9 "$NETBACKD"
check "without any backend the link goes down" \
	wait_for 5 tap_carrier_is g1 NO-CARRIER
check "a new backend starts" start_netbackd
check "the link comes up again" wait_for 10 tap_carrier_is g1 LOWER_UP
check "the streams outlive it" wait "$streams"

check "the frontend ends when asked" stop_daemon "$FRONT1"
NET_QUEUES=1
check "it comes again with one queue" start_guest g1 "$DOM1" 11
check_fails "of several nothing is left in the store" \
	store "$front1/multi-queue-num-queues"
check "four streams to a guest with two" iperf 1 g1 g2 10.99.0.12 -P 4
check_fails "no queue is refused" netfront-tap --run-dir "$RUN" \
	--domain "$DOM2" --queues 0
finish
