#!/bin/sh
# SPDX-License-Identifier: MIT
# nettcp.sh - TCP between eth0 and eth0 of two guests (netfront-tap, netbackd,
# netfront-tap), and TCP and UDP packets of 64 bytes between a guest and a server
# behind netback's uplink, out and in; alternately with nettcp.c's relay between
# two TAPs and with a veth pair in the same run; medians, and the median of the
# pair-by-pair ratios.
# With a driver of netbackd's, af_packet or af_xdp, that is the uplink, on one
# end of a veth pair, and the relay's other side a packet socket on one.
# Usage: nettcp.sh [short|full] [DRIVER]
[ -z "${2:-}" ] || NET_UPLINK=$2:veth0
. "${0%/*}/../tests/system/lib.sh"
. "${0%/*}/../tests/system/lib-net.sh"
net_requires
pairs=3 seconds=1
[ "${1:-short}" = full ] && pairs=5 seconds=2
cleanup_more() {
	net_cleanup
}

# mbits FROM TO ADDRESS OPTION...: what arrives
mbits() {
	from=$1 to=$2 address=$3
	shift 3
	: >"$TMP/server"
	in_ns "$to" timeout -k 5 40 iperf3 -s -1 --forceflush >"$TMP/server" 2>&1 &
	server=$!
	wait_for 5 grep -q listening "$TMP/server"
	in_ns "$from" timeout -k 5 30 iperf3 -c "$address" -t "$seconds" -f m \
		"$@" >"$TMP/client" 2>&1
	wait "$server"
	# with several streams the last such line is their sum
	awk '/receiver/ { for (i = 1; i <= NF; i++) if ($i ~ /bits\/sec/)
		value = $(i - 1) } END { print value }' "$TMP/client"
}

# kpackets FROM TO ADDRESS: small ones that arrive
kpackets() {
	: >"$TMP/server"
	in_ns "$2" timeout -k 5 40 "$BUILD/bench/nettcp" receive \
		>"$TMP/server" 2>"$TMP/client" &
	server=$!
	wait_for 5 grep -q ready "$TMP/server"
	in_ns "$1" timeout -k 5 30 "$BUILD/bench/nettcp" send "$3" "$seconds" \
		2>>"$TMP/client"
	wait "$server"
	sed -n 2p "$TMP/server"
}

# sure COMMAND...: its value, which is a number above 0; again if it is none.
sure() {
	for try in 1 2 3; do
		value=$("$@")
		awk -v v="$value" 'BEGIN { exit !(v + 0 > 0) }' &&
			echo "$value" && return
	done
	echo "nettcp: $*: no result" >&2
	cat "$TMP/server" "$TMP/client" >&2
	echo failed >"$TMP/failed"
}

rtt_us() {
	in_ns "$1" ping -q -c 200 -i 0.002 "$2" |
		awk -F/ '/^rtt/ { printf "%.0f\n", $5 * 1000 }'
}

# median FILE: "median (min..max)"
median() {
	sort -n "$1" | awk '{ v[NR] = $1 } END {
		m = NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
		printf "%.4g (%.4g..%.4g)", m, v[1], v[NR] }'
}

ratios() {
	paste -d' ' "$TMP/ours" "$1" |
		awk '$2 > 0 { print $1 / $2 }' >"$TMP/ratio"
	median "$TMP/ratio"
}

# compare NAME UNIT MEASURE TARGET FROM TO ADDRESS [OPTION...]: beside the relay
# ($relay: from, to, address) and a veth pair ($veth)
compare() {
	name=$1 unit=$2 measure=$3 target=$4 one=$5 other=$6 guest=$7
	shift 7
	rm -f "$TMP/ours" "$TMP/relay" "$TMP/veth"
	for i in $(seq "$pairs"); do
		sure "$measure" "$one" "$other" "$guest" "$@" >>"$TMP/ours"
		sure "$measure" $relay "$@" >>"$TMP/relay"
		sure "$measure" $veth "$@" >>"$TMP/veth"
	done
	[ ! -e "$TMP/failed" ] || exit 1
	echo "$name  $(median "$TMP/ours") $unit" \
		"peer relay $(median "$TMP/relay")  ratio $(ratios "$TMP/relay")"
	awk -v t="$target" -v r="$(ratios "$TMP/relay")" 'BEGIN {
		verdict = r + 0 >= t ? "met" : "MISSED"
		print "    target: ratio at least " t ": " verdict }'
	echo "    peer veth $(median "$TMP/veth")  ratio $(ratios "$TMP/veth")"
}

# join INTERFACE NAMESPACE ADDRESS
join() {
	ip -n "$NS-$2" link set "$1" up &&
		ip -n "$NS-$2" addr add "$3/24" dev "$1"
}

peers_up() {
	ip link add gx0 netns "$NS-srv" type veth peer name gx1 netns "$NS-g2" &&
		join gx0 srv 10.98.0.1 && join gx1 g2 10.98.0.2 &&
		start_daemon "$BUILD/bench/nettcp" relay relay0 \
			"/run/netns/$NS-g1" "/run/netns/$NS-g2" &&
		join relay0 g1 10.97.0.1 && join relay0 g2 10.97.0.2
}

# The same by a packet socket on a veth pair, and one without anything between.
packet_up() {
	ip -n "$NS-net" link add px0 type veth peer name px1 netns "$NS-srv" &&
		ip -n "$NS-net" link set px0 up && join px1 srv 10.97.0.2 &&
		ip link add gx0 netns "$NS-srv" type veth \
			peer name gx1 netns "$NS-g1" &&
		join gx0 srv 10.98.0.2 && join gx1 g1 10.98.0.1 &&
		start_daemon "$BUILD/bench/nettcp" packet relay0 \
			"/run/netns/$NS-g1" px0 "/run/netns/$NS-net" &&
		join relay0 g1 10.97.0.1
}

# compare_uplink DRIVER: out and in
compare_uplink() {
	relay="g1 srv 10.97.0.2" veth="g1 srv 10.98.0.2"
	compare "net-$1-tcp-out" Mbit/s mbits 0.9 g1 srv 10.99.0.1
	compare "net-$1-udp-64-out" kpackets/s kpackets 0.9 g1 srv 10.99.0.1
	relay="srv g1 10.97.0.1" veth="srv g1 10.98.0.1"
	compare "net-$1-tcp-in" Mbit/s mbits 0.9 srv g1 10.99.0.11
	compare "net-$1-udp-64-in" kpackets/s kpackets 0.9 srv g1 10.99.0.11
}

if [ -n "$NET_UPLINK" ]; then
	net_up && packet_up || exit 1
	sure mbits g1 srv 10.99.0.1 >/dev/null # warm up
	compare_uplink "$2"
	exit
fi

if ! net_up || ! peers_up; then
	echo "nettcp: cannot set up the guests" >&2
	exit 1
fi
sure mbits g1 g2 10.99.0.12 >/dev/null # warm up
relay="g1 g2 10.97.0.2" veth="srv g2 10.98.0.2"
compare net-tcp-1 Mbit/s mbits 0.8 g1 g2 10.99.0.12
compare net-tcp-4 Mbit/s mbits 0.8 g1 g2 10.99.0.12 -P 4
compare net-uplink-tcp-out Mbit/s mbits 0.9 g1 srv 10.99.0.1
compare net-uplink-udp-64-out kpackets/s kpackets 0.9 g1 srv 10.99.0.1
relay="g2 g1 10.97.0.1" veth="g2 srv 10.98.0.1"
compare net-uplink-tcp-in Mbit/s mbits 0.9 srv g1 10.99.0.11
compare net-uplink-udp-64-in kpackets/s kpackets 0.9 srv g1 10.99.0.11
rm -f "$TMP/ours" "$TMP/veth"
for i in $(seq "$pairs"); do
	rtt_us g1 10.99.0.12 >>"$TMP/ours"
	rtt_us srv 10.98.0.2 >>"$TMP/veth"
done
echo "net-ping  $(median "$TMP/ours") us" \
	"peer veth $(median "$TMP/veth")  ratio $(ratios "$TMP/veth")"
