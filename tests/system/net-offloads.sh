#!/bin/sh
# SPDX-License-Identifier: MIT
# net-offloads.sh - who computes checksums and cuts segments: guests that leave
# it to others and guests that do not, with one queue and with four, a server
# that believes nothing, and a guest to whom nothing may be left.
. "${0%/*}/lib.sh"
. "${0%/*}/lib-net.sh"
net_requires
requires_cmd python3 python3
requires_cmd ethtool ethtool
requires_cmd tcpdump tcpdump
requires_cmd xenstore-write xenstore-utils
cleanup_more() {
	net_cleanup
}

# offloads NAMESPACE INTERFACE FEATURE on|off ...
offloads() {
	ns=$1 interface=$2
	shift 2
	in_ns "$ns" ethtool -K "$interface" "$@"
}

# Frames leave the bridge as they would on a wire, and the server verifies them.
wire() {
	offloads net veth0 tx off tso off gso off &&
		offloads srv eth0 rx off gro off tx off tso off gso off
}

# sums FROM TO ADDRESS [OPTION...]: are the checksums right that TO's kernel is
# shown while it serves iperf?
sums() {
	rm -f "$TMP/sums.err"
	ip netns exec "$NS-$2" timeout 20 tcpdump -nvv -s 0 -Q in -c 300 \
		-i eth0 'tcp or udp' >"$TMP/sums" 2>"$TMP/sums.err" &
	dump=$!
	wait_for 5 grep -q listening "$TMP/sums.err"
	iperf 4M "$@" || return 1
	kill -INT "$dump" 2>/dev/null
	wait "$dump"
	[ "$(grep -cE '\(correct\)|udp sum ok' "$TMP/sums")" -ge 50 ] &&
		! grep -E '\(incorrect|bad udp cksum' "$TMP/sums"
}

# No kernel has seen a wrong one.
no_sum_was_wrong() {
	for n in srv g1 g2; do
		in_ns "$n" cat /proc/net/snmp /proc/net/snmp6
	done | awk '
		/^(Tcp|Udp|Icmp): [A-Z]/ { n = split($0, names); next }
		/^(Tcp|Udp|Icmp): / {
			for (i = 2; i <= n; i++)
				if (names[i] == "InCsumErrors" && $i) bad = 1
		}
		/^[A-Za-z0-9]*InCsumErrors/ && $2 { bad = 1 }
		bad { print; exit }
		END { exit bad }'
}

comes_again() {
	stop_daemon "$FRONT2"
	start_guest g2 "$DOM2" 12 && FRONT2=$PID &&
		ip -n "$NS-g2" addr add fd99::12/64 dev eth0 nodad &&
		wait_for 10 ping_ok g1 10.99.0.12 56
}

# Nothing may be left to guest 2, over IPv4 (netif.h).
wants_whole_sums() {
	XENSTORED_PATH=$RUN/0/xenstore xenstore-write \
		"/local/domain/$DOM2/device/vif/0/feature-no-csum-offload" 1 &&
		comes_again
}

NET_QUEUES=4
if ! net_up || ! net_up_ipv6; then
	fail "the daemons and guests start"
	finish
fi
pass "the daemons and guests start"
check "the server leaves nothing to others, and believes nobody" wire
NET_QUEUES=1
check "guest 2 has one queue" comes_again

for what in "everything:tx on tso on gso on" "no segments:tso off gso off" \
	"nothing:tx off tso off gso off"; do
	left=${what%:*}
	# shellcheck disable=SC2086
	check "guest 1 leaves to others: $left" offloads g1 eth0 ${what#*:}
	check "its checksums are right on the wire" sums g1 srv 10.99.0.1
	check "over IPv6, too" sums g1 srv fd99::1
	check "and for UDP" sums g1 srv 10.99.0.1 -u -b 80M -l 1400
	check "four streams from four queues to one" \
		iperf 40M g1 g2 10.99.0.12 -P 4
	check "from one queue to four" iperf 40M g2 g1 10.99.0.11 -P 4
	check "over IPv6" iperf 40M g1 g2 fd99::12 -P 4
	check "from the server to four queues" \
		iperf 40M srv g1 10.99.0.11 -P 4
done
check "the server's frames come to the guest as they were" \
	sums srv g2 10.99.0.12 -u -b 80M -l 1400

check "guest 2 takes no frame without a checksum" wants_whole_sums
check "guest 1 leaves checksums to others" offloads g1 eth0 tx on tso off gso off
check "they are filled in on the way" sums g1 g2 10.99.0.12
check "for UDP, too" sums g1 g2 10.99.0.12 -u -b 80M -l 1400
check "guest 1 leaves segments to others as well" \
	offloads g1 eth0 tx on tso on gso on
check "they are cut, and filled in" sums g1 g2 10.99.0.12
check "no kernel has seen a wrong one" no_sum_was_wrong
finish
