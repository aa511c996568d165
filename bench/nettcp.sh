#!/bin/sh
# SPDX-License-Identifier: MIT
# nettcp.sh - TCP and UDP between eth0 and eth0 of two guests (netfront-tap,
# netbackd, netfront-tap) and from a guest to a server behind netback's uplink,
# alternately with nettcp.c's relay between two TAPs and with a veth pair in the
# same run; medians, and the median of the pair-by-pair ratios.
# Usage: nettcp.sh [short|full]
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

# compare NAME FROM TO ADDRESS TARGET OPTION...: beside relay and veth
compare() {
	name=$1 one=$2 other=$3 guest=$4 target=$5
	shift 5
	rm -f "$TMP/ours" "$TMP/relay" "$TMP/veth"
	for i in $(seq "$pairs"); do
		mbits "$one" "$other" "$guest" "$@" >>"$TMP/ours"
		mbits g1 g2 10.97.0.2 "$@" >>"$TMP/relay"
		mbits srv g2 10.98.0.2 "$@" >>"$TMP/veth"
	done
	echo "$name  $(median "$TMP/ours") Mbit/s" \
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
		start_daemon "$BUILD/bench/nettcp" relay0 \
			"/run/netns/$NS-g1" "/run/netns/$NS-g2" &&
		join relay0 g1 10.97.0.1 && join relay0 g2 10.97.0.2
}

if ! net_up || ! peers_up; then
	echo "nettcp: cannot set up the guests" >&2
	exit 1
fi
mbits g1 g2 10.99.0.12 >/dev/null # warm up
compare net-tcp-1 g1 g2 10.99.0.12 0.8
compare net-tcp-4 g1 g2 10.99.0.12 0.8 -P 4
compare net-uplink-tcp g1 srv 10.99.0.1 0.9
# 22 bytes of data in a frame of 64
compare net-uplink-udp-64 g1 srv 10.99.0.1 0.9 -u -b 0 -l 22
rm -f "$TMP/ours" "$TMP/veth"
for i in $(seq "$pairs"); do
	rtt_us g1 10.99.0.12 >>"$TMP/ours"
	rtt_us srv 10.98.0.2 >>"$TMP/veth"
done
echo "net-ping  $(median "$TMP/ours") us" \
	"peer veth $(median "$TMP/veth")  ratio $(ratios "$TMP/veth")"
