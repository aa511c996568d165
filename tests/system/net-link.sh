#!/bin/sh
# SPDX-License-Identifier: MIT
# net-link.sh - the link of a bridge is the link of its guests, and the other way
# round: set down and up, the MTU, an uplink that is gone, nobody there.
NET_NIC_QUEUES=2
. "${0%/*}/lib.sh"
. "${0%/*}/lib-net.sh"
net_requires
requires_cmd xenstore-read xenstore-utils
requires_cmd python3 python3
cleanup_more() {
	net_cleanup
}

both() {
	"$1" g1 eth0 "$2" && "$1" g2 eth0 "$2"
}

store_carrier() {
	XENSTORED_PATH=$RUN/0/xenstore xenstore-read \
		"/local/domain/$NETDOM/backend/vif/$DOM1/0/carrier"
}

ping_server() {
	in_ns g1 ping -q -c 1 -W 1 10.99.0.1 >/dev/null
}

uplink_flags() {
	ip -n "$NS-net" -o link show pvup0
}

uplink_has_carrier() {
	uplink_flags | grep -q LOWER_UP
}

uplink_has_none() {
	uplink_flags | grep -q NO-CARRIER
}

check "a server and two guests on a bridge" net_up
check "the guests' links are up" wait_for 10 both carrier_is 1
check "frames pass" wait_for 10 ping_server
check "the store says so" [ "$(store_carrier)" = 1 ]
check "the uplink has a carrier" uplink_has_carrier

queues() {
	ip netns exec "$NS-net" ls /sys/class/net/pvup0/queues | grep -c "$1"
}

check "it has two queues" [ "$(queues tx-)" = 2 ]
check "four streams to the server" iperf 1 g1 srv 10.99.0.1 -P 4
check "four streams from the server" iperf 1 g1 srv 10.99.0.1 -P 4 -R

ip -n "$NS-net" link set br0 down
check "the bridge is set down: so are the guests' links" \
	wait_for 10 both carrier_is 0
check "the store says so" [ "$(store_carrier)" = 0 ]
check_fails "no frame passes" ping_server
ip -n "$NS-net" link set br0 up
check "the bridge comes up: so do they" wait_for 10 both carrier_is 1
check "frames pass again" wait_for 10 ping_server

ip -n "$NS-net" link set pvup0 down
check "the TAP is set down: the guests' links too" \
	wait_for 10 both carrier_is 0
ip -n "$NS-net" link set pvup0 up
check "and up again" wait_for 10 both carrier_is 1

ip -n "$NS-net" link set br0 mtu 1400
check "a new MTU of the bridge becomes the guests'" \
	wait_for 10 both mtu_is 1400
ip -n "$NS-net" link set br0 mtu 1500
check "the old one too" wait_for 10 both mtu_is 1500
check "frames pass" wait_for 10 ping_server

# A worker that was not there when it happened.
worker=$(cat "/proc/$NETBACKD/task/$NETBACKD/children")
kill -STOP $NETBACKD
kill -9 $worker
ip -n "$NS-net" link set br0 down
kill -CONT $NETBACKD
check "what happened while no worker was there is told" \
	wait_for 10 both carrier_is 0
ip -n "$NS-net" link set br0 up
check "by its successor, and what happens later" \
	wait_for 10 both carrier_is 1
check "frames pass" wait_for 10 ping_server

kill $FRONT1
wait_for 5 process_gone $FRONT1
check "one guest is there: the uplink keeps its carrier" uplink_has_carrier
kill $FRONT2
wait_for 5 process_gone $FRONT2
check "nobody is there: it has none" wait_for 10 uplink_has_none
start_guest g1 "$DOM1" 11
check "somebody comes: it has one again" wait_for 10 uplink_has_carrier
check "frames pass" wait_for 10 ping_server

ip -n "$NS-net" link del pvup0
check "the uplink is removed: the guest's link goes down" \
	wait_for 10 carrier_is g1 eth0 0
finish
