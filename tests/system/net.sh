#!/bin/sh
# SPDX-License-Identifier: MIT
# net.sh - the network, end to end: real daemons, guests and a server behind the
# driver domain's bridge, each in its own network namespace.
. "${0%/*}/lib.sh"
. "${0%/*}/lib-net.sh"
net_requires
requires_cmd xenstore-read xenstore-utils
requires_cmd python3 python3
requires_cmd curl curl
cleanup_more() {
	net_cleanup
}

serve_http() {
	in_ns srv python3 -m http.server 8000 --bind 10.99.0.1 \
		--directory "$TMP/www" >"$TMP/http.log" 2>&1 &
	daemons="$! $daemons"
	wait_for 10 in_ns srv curl -sfo /dev/null http://10.99.0.1:8000/
}

fetch() {
	in_ns "$1" curl -sf --max-time 60 -o "$TMP/got.$1" \
		http://10.99.0.1:8000/file &&
		cmp "$TMP/got.$1" "$TMP/www/file"
}

rx_bytes() {
	in_ns "$1" cat /proc/net/dev | awk '/eth0/ { print $2 }'
}

has_flowed() {
	[ "$(rx_bytes "$1")" -ge "$2" ]
}

frames_from_guest_are_segmented_by_the_receiver() {
	before=$(in_ns g2 cat /proc/net/dev | awk '/eth0/ {print $3}')
	bytes=$(in_ns g2 cat /proc/net/dev | awk '/eth0/ {print $2}')
	iperf 1 g1 g2 10.99.0.12 >/dev/null || return 1
	frames=$(($(in_ns g2 cat /proc/net/dev | awk '/eth0/ {print $3}') - before))
	bytes=$(($(in_ns g2 cat /proc/net/dev | awk '/eth0/ {print $2}') - bytes))
	echo "$bytes bytes in $frames frames"
	[ $((bytes / frames)) -gt 4000 ]
}

a_stream_outlives_the_worker() {
	iperf 5 g1 g2 10.99.0.12 >"$TMP/stream" &
	stream=$!
	for i in 1 2 3; do
		flowing=$(rx_bytes g2)
		wait_for 10 has_flowed g2 $((flowing + 10000000)) || return 1
		kill_worker || return 1
	done
	wait "$stream" && cat "$TMP/stream"
}

if ! net_up; then
	fail "the daemons and guests start"
	finish
fi
pass "the daemons and guests start"
back1=/local/domain/$NETDOM/backend/vif/$DOM1/0
front1=/local/domain/$DOM1/device/vif/0

check "both ends are connected" state_is "$back1" 4
check "the frontend is connected" state_is "$front1" 4
check "the guest's interface has the vif's address" \
	sh -c "ip -n $NS-g1 link show eth0 | grep -q 00:16:3e:00:00:11"
for size in 0 56 1472 8000 65000; do
	check "ping of $size bytes, guest 1 to guest 2" \
		ping_ok g1 10.99.0.12 "$size"
	check "ping of $size bytes, guest 2 to guest 1" \
		ping_ok g2 10.99.0.11 "$size"
	check "ping of $size bytes, guest to server" \
		ping_ok g1 10.99.0.1 "$size"
	check "ping of $size bytes, server to guest" \
		ping_ok srv 10.99.0.12 "$size"
done

mkdir "$TMP/www"
head -c 104857600 /dev/urandom >"$TMP/www/file"
check "the server listens" serve_http
check "a guest fetches 100 MB over HTTP unharmed" fetch g1
check "so does the other" fetch g2

check "TCP guest to guest" iperf 2 g1 g2 10.99.0.12
check "TCP in the other direction" iperf 2 g1 g2 10.99.0.12 -R
check "TCP guest to server" iperf 2 g1 srv 10.99.0.1
check "TCP server to guest" iperf 2 g1 srv 10.99.0.1 -R
check "UDP guest to guest" iperf 1 g1 g2 10.99.0.12 -u -b 50M
check "everybody gets an IPv6 address" net_up_ipv6
check "TCP over IPv6 guest to guest" iperf 1 g1 g2 fd99::12
check "large frames cross whole" frames_from_guest_are_segmented_by_the_receiver

check "a TCP stream outlives the worker's death, three times" \
	a_stream_outlives_the_worker
check "no new handshake took place: the backend stayed connected" \
	state_is "$back1" 4
check "frames pass afterwards" ping_ok g1 10.99.0.1 1472

# A neighbour of guest 1's that holds another's address for its own; nothing but
# an announcement puts that right while nobody sends.
neighbour_is() {
	ip -n "$NS-srv" neigh show "$1" | grep -q "lladdr $2 "
}
check "the server has wrong neighbours" sh -c "
	ip -n $NS-srv neigh replace 10.99.0.11 lladdr 00:16:3e:00:00:99 nud stale dev eth0 &&
	ip -n $NS-srv neigh replace fd99::11 lladdr 00:16:3e:00:00:99 nud stale dev eth0"

kill -9 "$NETBACKD"
check "without any backend the link goes down" \
	wait_for 5 tap_carrier_is g1 NO-CARRIER
check "a new backend starts" start_netbackd
check "the link comes up again" wait_for 10 tap_carrier_is g1 LOWER_UP
check "the other guest's link too" wait_for 10 tap_carrier_is g2 LOWER_UP
check "the guest has announced its IPv4 address" \
	wait_for 5 neighbour_is 10.99.0.11 00:16:3e:00:00:11
check "and its IPv6 address" wait_for 5 neighbour_is fd99::11 00:16:3e:00:00:11
check "frames pass through the new backend" ping_ok g1 10.99.0.12 1472

kill -9 "$FRONT1"
check "the backend notices a dead frontend" wait_for 5 state_is "$back1" 6
check "the frontend comes again" start_guest g1 "$DOM1" 11
FRONT1=$PID
check "frames pass again" ping_ok g1 10.99.0.12 1472

check "the frontend ends when asked" stop_daemon "$FRONT1"
check "it leaves the frontend closed" state_is "$front1" 6
check "and the backend as well" wait_for 5 state_is "$back1" 6
check "the vif can be detached" \
	pvsplit network-detach guest1 0 --run-dir "$RUN"
check "the other guest is not disturbed" ping_ok g2 10.99.0.1 56
check "the uplink is there while a vif needs it" \
	sh -c "ip -n $NS-net link show type tun | grep -q pvup"
check "the backend ends when asked" stop_daemon "$NETBACKD"
check_fails "no uplink is left behind" \
	sh -c "ip -n $NS-net link show type tun | grep -q pvup"

check_fails "a domain that does not exist is refused" \
	netfront-tap --run-dir "$RUN" --domain 4000
check_fails "a vif that does not exist is refused" \
	netfront-tap --run-dir "$RUN" --domain "$DOM2" --vif 7
check_fails "netbackd wants a domain" netbackd --run-dir "$RUN"
finish
