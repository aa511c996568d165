#!/bin/sh
# SPDX-License-Identifier: MIT
# net-capture.sh - frames of an interface in a pcap file: those and no others,
# whole, across a dead worker, and never at the network's cost.
. "${0%/*}/lib.sh"
. "${0%/*}/lib-net.sh"
net_requires
requires_cmd python3 python3
requires_cmd tcpdump tcpdump
requires_cmd xenstore-read xenstore-utils
cleanup_more() {
	net_cleanup
}

# capture FILE [OPTION...]: in the background, its pid in $CAPTURE.
capture() {
	file=$1
	shift
	rm -f "$TMP/said"
	pvsplit network-capture guest1 0 "$file" --run-dir "$RUN" "$@" \
		>"$TMP/said" 2>&1 &
	CAPTURE=$!
	wait_for 5 started
}

started() {
	XENSTORED_PATH=$RUN/0/xenstore xenstore-read \
		"/local/domain/$NETDOM/backend/vif/$DOM1/0/capture" &&
		sleep 0.2
}

gone() {
	! kill -0 "$1" 2>/dev/null
}

ends() {
	kill -INT "$CAPTURE"
	wait "$CAPTURE"
}

# pcap FILE EXPRESSION: over frames, a list of (time, bytes, length).
pcap() {
	python3 - "$1" "$2" <<-'PYTHON'
	import struct, sys
	data = open(sys.argv[1], "rb").read()
	magic, major, minor, _, _, snap, link = struct.unpack_from("=IHHIIII", data)
	assert (magic, major, minor, link) == (0xa1b23c4d, 2, 4, 1)
	at, frames = 24, []
	while at < len(data):
	    s, ns, n, size = struct.unpack_from("=IIII", data, at)
	    assert n <= size and n <= snap and at + 16 + n <= len(data)
	    frames.append((s + ns / 1e9, data[at + 16:at + 16 + n], size))
	    at += 16 + n
	def icmp(kind, size):
	    return [f for f in frames if f[1][12:14] == b"\x08\x00" and
	            f[1][23] == 1 and f[1][34] == kind and f[2] == size]
	def host(a, b):
	    return [f for f in frames if f[1][12:14] == b"\x08\x00" and
	            f[1][29] in (a, b) and f[1][33] in (a, b)]
	print(len(frames), "frames")
	sys.exit(not eval("(" + sys.argv[2] + ")"))
	PYTHON
}

# Frames that guest 1 has sent and got, as its backend counts them.
frames() {
	pvsplit network-stats guest1 0 --json --run-dir "$RUN" |
		python3 -c 'import json, sys
f = json.load(sys.stdin)[0]["statistics"]
print(f["tx_packets"] + f["rx_packets"])'
}

# Whole frames at full rate: each is there, or was counted; some that nobody
# asked for may come before and after.
each_is_counted() {
	capture "$TMP/full.pcap" && before=$(frames) &&
		iperf 60M g1 g2 10.99.0.12 && after=$(frames) && ends || return 1
	cat "$TMP/said"
	sed -n 's/^\([0-9]*\) frames, \([0-9]*\) left out$/\1 \2/p' \
		"$TMP/said" | awk -v n=$((after - before)) '
		{ ok = $1 + $2 >= n && $1 + $2 <= n + 20 }
		END { print n, "went by"; exit !ok }'
}

if ! net_up; then
	fail "the daemons and guests start"
	finish
fi
pass "the daemons and guests start"

check "a capture begins" capture "$TMP/one.pcap"
check "guest 1 pings guest 2" ping_ok g1 10.99.0.12 1000 -c 10
check "guest 2 pings the server" ping_ok g2 10.99.0.1 700 -c 10
check "it ends when interrupted" ends
check "it says how many frames it has" grep -q 'frames, 0 left out' "$TMP/said"
check "every ping of guest 1 and its answer is there" pcap "$TMP/one.pcap" \
	'len(icmp(8, 1042)) == 10 and len(icmp(0, 1042)) == 10'
check "whole, as they were sent" pcap "$TMP/one.pcap" \
	'all(f[1][58:] == bytes(i & 255 for i in range(16, 1000))
	     for f in icmp(8, 1042))'
check "in order of time" pcap "$TMP/one.pcap" 'frames == sorted(frames)'
check "nothing of guest 2 and the server" pcap "$TMP/one.pcap" \
	'not host(12, 1)'
check_fails "the node is gone" started

check "the whole switch is captured" capture "$TMP/all.pcap" --all
check "guest 1 pings guest 2 again" ping_ok g1 10.99.0.12 1000 -c 10
check "guest 2 pings the server again" ping_ok g2 10.99.0.1 700 -c 10
check "that ends, too" ends
check "each frame is there once" pcap "$TMP/all.pcap" \
	'len(icmp(8, 1042)) == 10 and len(icmp(8, 742)) == 10 and
	 len(icmp(0, 742)) == 10'

check "some bytes of some frames" capture "$TMP/short.pcap" --snaplen 60 \
	--count 6
check "a ping" ping_ok g1 10.99.0.12 1000 -c 10
check "it ends by itself" wait "$CAPTURE"
check "six frames of 60 bytes" pcap "$TMP/short.pcap" \
	'len(frames) == 6 and all(len(f[1]) <= 60 for f in frames) and
	 any(f[2] == 1042 for f in frames)'

check "a capture with a dead worker" capture "$TMP/again.pcap"
check "a ping before" ping_ok g1 10.99.0.12 1000
kill -9 "$(worker_pid)"
check "the network carries on" wait_for 5 ping_ok g1 10.99.0.12 900
check "a ping after" ping_ok g1 10.99.0.12 800
check "it ends" ends
check "both are there" pcap "$TMP/again.pcap" \
	'len(icmp(8, 1042)) == 5 and len(icmp(8, 842)) == 5'

check "a reader that stands still" capture "$TMP/slow.pcap"
kill -STOP "$CAPTURE"
check "4 MB pass by all the same" ping_ok g1 10.99.0.12 60000 -c 70
kill -CONT "$CAPTURE"
check "it ends in the end" ends
check "and says what it missed" grep -q '[1-9][0-9]* left out' "$TMP/said"
check "what is there is sound" pcap "$TMP/slow.pcap" 'len(frames) > 5'

check "at full rate each frame is there or left out" each_is_counted
check "what is there is sound" pcap "$TMP/full.pcap" 'len(frames) > 5'

check "one more reader" capture "$TMP/dead.pcap"
check "it is killed" kill -9 "$CAPTURE"
check "the network carries on" ping_ok g1 10.99.0.12 1000
check "another one begins" capture "$TMP/next.pcap"
check "the last ping" ping_ok g1 10.99.0.12 1000
check "it ends" ends
check "and has it" pcap "$TMP/next.pcap" 'len(icmp(8, 1042)) == 5'
check "tcpdump reads it" sh -c \
	"[ \$(tcpdump -nr $TMP/one.pcap icmp | grep -c 'echo request') = 10 ]"
check "a capture of an interface that ends" capture "$TMP/end.pcap"
kill -9 "$FRONT1"
check "ends with it" wait_for 10 gone "$CAPTURE"
check "and says so in peace" grep -q 'frames, 0 left out' "$TMP/said"
finish
