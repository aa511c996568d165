#!/bin/sh
# SPDX-License-Identifier: MIT
# net-cycles.sh - a vif that is connected and left a hundred times (10^4 in the
# long form, SOAK), in every manner, while its neighbour talks: when it is over
# nobody holds more than before.
. "${0%/*}/lib.sh"
. "${0%/*}/lib-net.sh"
net_requires
requires_cmd xenstore-ls xenstore-utils
CYCLES=$BUILD/tests/system/net_cycles
[ -x "$CYCLES" ] || skip_all "needs $CYCLES (make test-programs)"
cleanup_more() {
	net_cleanup
}
NR=${SOAK:+10000}
NR=${NR:-100}

cycles() {
	"$CYCLES" "$RUN" "$DOM1" "$1"
}

# What everybody holds: descriptors, threads, mappings, nodes; but for the one
# that says what was wrong last.
all_hold() {
	backend_holds "$NETBACKD" "$NETDOM" | grep -v nodes
	XENSTORED_PATH=$RUN/0/xenstore xenstore-ls -f "/local/domain/$NETDOM" |
		sed 's/ = .*//; /\/error$/d'
	for pid in "$BROKERD" "$STORE"; do
		echo "$(ls "/proc/$pid/fd" | wc -l) descriptors of $pid"
	done
	echo "$(wc -l <"/proc/$BROKERD/maps") mappings of $BROKERD"
}

is_as_before() {
	all_hold >"$TMP/now"
	diff "$TMP/before" "$TMP/now"
}

comes_to_rest() {
	wait_for 10 is_as_before || is_as_before
}

neighbour_talks() {
	ip netns exec "$NS-g2" ping -q -i 0.01 -W 2 10.99.0.1 \
		>"$TMP/ping" 2>&1 &
	PING=$!
	daemons="$PING $daemons"
}

# At most one in a hundred is lost.
neighbour_was_heard() {
	kill -INT "$PING" && wait "$PING"
	cat "$TMP/ping"
	awk '/packets transmitted/ { ok = $1 > 50 && ($1 - $4) * 100 <= $1 }
		END { exit !ok }' "$TMP/ping"
}

if ! net_up; then
	fail "the daemons and guests start"
	finish
fi
pass "the daemons and guests start"
BROKERD=$(pgrep -f "brokerd --run-dir $RUN" | head -n 1)
STORE=$(pgrep -P "$BROKERD" -x xenstored-lite)
stop_daemon "$FRONT1"
check "a few cycles" cycles 12
sleep 0.5
all_hold >"$TMP/before"
worker=$(worker_pid)
rss=$(kib "$worker") broker_rss=$(kib "$BROKERD") store_rss=$(kib "$STORE")
check "the neighbour talks" neighbour_talks
check "$NR connections, left in every manner" cycles "$NR"
check "the neighbour was heard all the time" neighbour_was_heard
check "descriptors, threads, mappings and nodes are as many as before" \
	comes_to_rest
check_output "the worker is the same" "$worker" worker_pid
used=$(($(kib "$worker") - rss)) brokered=$(($(kib "$BROKERD") - broker_rss))
stored=$(($(kib "$STORE") - store_rss))
# brokerd's tables of ports are used from end to end in time, and no further.
check "memory as well: worker $used, brokerd $brokered, store $stored KiB more" \
	[ "$used" -lt 1024 -a "$brokered" -lt 2048 -a "$stored" -lt 1024 ]
check "the guest's interface comes back" start_guest g1 "$DOM1" 11
check "and is served" ping_whole g1 10.99.0.12 1472
finish
