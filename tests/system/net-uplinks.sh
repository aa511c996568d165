#!/bin/sh
# SPDX-License-Identifier: MIT
# net-uplinks.sh - drivers on existing interfaces as uplinks: guests talk to a
# server behind one, also while the backend's worker dies.
NET_UPLINK=af_packet:veth0
. "${0%/*}/lib.sh"
. "${0%/*}/lib-net.sh"
net_requires
requires_cmd xenstore-read xenstore-utils
requires_cmd python3 python3
cleanup_more() {
	net_cleanup
}

srv_bytes() {
	in_ns srv cat /sys/class/net/eth0/statistics/rx_bytes
}

srv_has_got() {
	[ "$(srv_bytes)" -ge "$1" ]
}

a_stream_outlives_the_worker() {
	iperf 4 g1 srv 10.99.0.1 >"$TMP/stream" &
	stream=$!
	for i in 1 2 3; do
		flowing=$(srv_bytes)
		wait_for 10 srv_has_got $((flowing + 5000000)) || return 1
		kill_worker || return 1
	done
	wait "$stream" && cat "$TMP/stream"
}

# refused WHY BRIDGE UPLINK: a third vif does not come up; netbackd says why,
# or the command itself.
refused() {
	: >"$TMP/why"
	before=$(cat "$TMP"/ip.*.err | wc -l)
	pvsplit network-attach guest1 "bridge=$2,uplink=$3,vif=5" \
		--backend network --run-dir "$RUN" 2>"$TMP/why" && return 1
	cat "$TMP"/ip.*.err | tail -n +$((before + 1)) >>"$TMP/why"
	cat "$TMP/why"
	grep -q "$1" "$TMP/why"
}

# use DRIVER: both guests anew, on a bridge with that uplink.
use() {
	NET_UPLINK=$1:veth0
	stop_daemon "$FRONT1" && stop_daemon "$FRONT2" || return 1
	for g in guest1 guest2; do
		pvsplit network-detach $g 0 --run-dir "$RUN" || return 1
	done
	vif_attach guest1 00:16:3e:00:00:11 &&
		vif_attach guest2 00:16:3e:00:00:12 &&
		start_guest g1 "$DOM1" 11 && FRONT1=$PID &&
		start_guest g2 "$DOM2" 12 && FRONT2=$PID &&
		ip -n "$NS-g1" addr add fd99::11/64 dev eth0 nodad &&
		ip -n "$NS-srv" addr replace fd99::1/64 dev eth0 nodad
}

through() {
	for size in 0 56 1472 8000; do
		check "$1: ping of $size bytes, guest to server" \
			ping_whole g1 10.99.0.1 "$size"
		check "$1: ping of $size bytes, server to guest" \
			ping_whole srv 10.99.0.12 "$size"
	done
	check "$1: guest to guest" ping_whole g1 10.99.0.12 56
	check "$1: TCP guest to server" iperf 1 g1 srv 10.99.0.1
	check "$1: TCP server to guest" iperf 1 g1 srv 10.99.0.1 -R
	check "$1: TCP over IPv6" iperf 1 g1 srv fd99::1
	check "$1: TCP over IPv6, the other way" iperf 1 g1 srv fd99::1 -R
	check "$1: UDP guest to server" iperf 1 g1 srv 10.99.0.1 -u -b 20M
	check "$1: UDP server to guest" iperf 1 g1 srv 10.99.0.1 -u -b 20M -R
	check "$1: a TCP stream outlives the worker's death, three times" \
		a_stream_outlives_the_worker
	check "$1: frames pass afterwards" ping_whole g1 10.99.0.1 1472
	ip -n "$NS-srv" link set eth0 down
	check "$1: the interface has no carrier: nor have the guests" \
		wait_for 10 carrier_is g1 eth0 0
	ip -n "$NS-srv" link set eth0 up
	check "$1: it has one again, and so have they" \
		wait_for 10 carrier_is g1 eth0 1
	check "$1: frames pass again" wait_for 10 ping_whole g1 10.99.0.1 56
}

if ! net_up || ! net_up_ipv6; then
	fail "the daemons and guests start"
	finish
fi
pass "the daemons and guests start"
check "the interface hears everybody" \
	sh -c "ip -n $NS-net -d link show veth0 | grep -q 'promiscuity 1'"
through af_packet

ip -n "$NS-net" link add down0 type veth peer name down1
check "an uplink that is not there is refused" \
	refused 'interface nobody0: No such device' br1 af_packet:nobody0
check "one that is down" refused 'interface down0: Network is down' \
	br1 af_packet:down0
check "one that is not Ethernet" refused 'not Ethernet' br1 af_packet:lo
check "a driver that there is none of" refused 'no such driver' br1 none:veth0
check "another one for the same bridge" \
	refused 'br0 has the uplink af_packet:veth0' br0 tap:br0
check "the same one for another bridge" \
	refused 'resource busy' br1 af_packet:veth0
check "nobody else minds" ping_whole g1 10.99.0.1 56

if netbackd --list-drivers | grep -q af_xdp; then
	check "another uplink, with the next vifs" use af_xdp
	through af_xdp
	check "the interface is taken whole" \
		sh -c "ip -n $NS-net link show veth0 | grep -q xdp"
	ip -n "$NS-net" link set down0 up mtu 9000
	check "an MTU that is too large is refused" \
		refused 'MTU of 9000' br1 af_xdp:down0
else
	skip "af_xdp: built without libbpf"
fi

check "the backend ends when asked" stop_daemon "$NETBACKD"
check "the interface is as it was" \
	sh -c "ip -n $NS-net -d link show veth0 | grep -q 'promiscuity 0'"
check_fails "nor is anything attached to it" \
	sh -c "ip -n $NS-net link show veth0 | grep -q xdp"
finish
