#!/bin/sh
# SPDX-License-Identifier: MIT
# nettcp.sh - TCP between two guests (netfront-tap, netbackd, netfront-tap) against
# a veth pair between two namespaces, alternately in the same run; medians, and
# the median of the pair-by-pair ratios.
# Usage: nettcp.sh [PAIRS [SECONDS]]
pairs=${1:-5} seconds=${2:-2}
. "${0%/*}/../tests/system/lib.sh"
. "${0%/*}/../tests/system/lib-net.sh"
net_requires
cleanup_more() {
	net_cleanup
}

# gbits FROM TO ADDRESS
gbits() {
	: >"$TMP/server"
	in_ns "$2" timeout -k 5 40 iperf3 -s -1 --forceflush >"$TMP/server" 2>&1 &
	server=$!
	wait_for 5 grep -q listening "$TMP/server"
	in_ns "$1" timeout -k 5 30 iperf3 -c "$3" -t "$seconds" -f g \
		>"$TMP/client" 2>&1
	wait "$server"
	awk '/receiver/ { for (i = 1; i <= NF; i++) if ($i ~ /bits\/sec/)
		print $(i - 1) }' "$TMP/client"
}

rtt_us() {
	in_ns "$1" ping -q -c 200 -i 0.002 "$2" |
		awk -F/ '/^rtt/ { printf "%.0f\n", $5 * 1000 }'
}

# median FILE: "median (min..max)"
median() {
	sort -n "$1" | awk '{ v[NR] = $1 } END {
		m = NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
		printf "%.2f (%.2f..%.2f)", m, v[1], v[NR] }'
}

veth_up() {
	ip link add gx0 netns "$NS-srv" type veth peer name gx1 netns "$NS-g2" &&
		ip -n "$NS-srv" link set gx0 up &&
		ip -n "$NS-g2" link set gx1 up &&
		ip -n "$NS-srv" addr add 10.98.0.1/24 dev gx0 &&
		ip -n "$NS-g2" addr add 10.98.0.2/24 dev gx1
}

if ! net_up || ! veth_up; then
	echo "nettcp: cannot set up the guests" >&2
	exit 1
fi
gbits g1 g2 10.99.0.12 >/dev/null # warm up
for i in $(seq "$pairs"); do
	ours=$(gbits g1 g2 10.99.0.12)
	peer=$(gbits srv g2 10.98.0.2)
	[ -n "$ours" ] && [ -n "$peer" ] || exit 1
	echo "$ours" >>"$TMP/ours"
	echo "$peer" >>"$TMP/peer"
	echo "$ours $peer" | awk '{ print $1 / $2 }' >>"$TMP/ratio"
	rtt_us g1 10.99.0.12 >>"$TMP/ours.rtt"
	rtt_us srv 10.98.0.2 >>"$TMP/peer.rtt"
	paste -d' ' "$TMP/ours.rtt" "$TMP/peer.rtt" |
		awk '{ print $1 / $2 }' >"$TMP/ratio.rtt"
done
echo "net-tcp-stream  $(median "$TMP/ours") Gbit/s" \
	"peer veth $(median "$TMP/peer")  ratio $(median "$TMP/ratio")"
echo "net-ping  $(median "$TMP/ours.rtt") us" \
	"peer veth $(median "$TMP/peer.rtt")  ratio $(median "$TMP/ratio.rtt")"
