# SPDX-License-Identifier: MIT
# lib-net.sh - a driver domain, a server behind its bridge and two guests, each
# in a network namespace of its own; sourced after lib.sh.
#
#	net_up		everything below, with netfront-tap in both guests, each
#			with NET_QUEUES queues and an MTU of NET_MTU (one and
#			1500 if they are not set); with NET_UPLINK, as uplink=
#			has it, nothing of the driver domain's is in its bridge;
#			an uplink has NET_NIC_QUEUES queues (one)
#
#	$NS-net		the driver domain: bridge br0, netbackd ($NETBACKD)
#	$NS-srv		10.99.0.1, joined to br0 by a veth pair
#	$NS-g1, $NS-g2	10.99.0.11 and .12, eth0 is netfront-tap's
#
# The namespaces go when the script ends.

NS=pv$$
NET_UPLINK=${NET_UPLINK:-}

in_ns() {
	where=$1
	shift
	ip netns exec "$NS-$where" "$@"
}

net_requires() {
	requires_root
	requires_cmd ip iproute2
	requires_cmd ping iputils-ping
	requires_cmd iperf3 iperf3
	[ -c /dev/net/tun ] || skip_all "needs /dev/net/tun"
	ip netns add "$NS-net" 2>/dev/null ||
		skip_all "cannot make a network namespace"
}

# Every namespace of this script's, whoever made it.
net_cleanup() {
	for n in /run/netns/"$NS"-*; do
		ip netns pids "${n##*/}" 2>/dev/null |
			xargs -r kill -9 2>/dev/null
		ip netns del "${n##*/}" 2>/dev/null
	done
}

net_namespaces() {
	for n in srv g1 g2; do
		ip netns add "$NS-$n" || return 1
	done
	for n in net srv g1 g2; do
		ip -n "$NS-$n" link set lo up || return 1
	done
	ip -n "$NS-net" link add br0 type bridge &&
		ip -n "$NS-net" link add veth0 type veth \
			peer name eth0 netns "$NS-srv" &&
		ip -n "$NS-net" link set veth0 mtu "${NET_MTU:-1500}" up &&
		{ [ -n "$NET_UPLINK" ] ||
			ip -n "$NS-net" link set veth0 master br0; } &&
		ip -n "$NS-net" link set br0 mtu "${NET_MTU:-1500}" up &&
		ip -n "$NS-srv" link set eth0 mtu "${NET_MTU:-1500}" up &&
		ip -n "$NS-srv" addr add 10.99.0.1/24 dev eth0
}

start_netbackd() {
	start_daemon ip netns exec "$NS-net" netbackd --run-dir "$RUN" \
		--domain "$NETDOM" --nic-queues "${NET_NIC_QUEUES:-1}" ||
		return 1
	NETBACKD=$PID
}

# carrier_is NAMESPACE INTERFACE 0|1; not so while it is set down
carrier_is() {
	[ "$(in_ns "$1" cat "/sys/class/net/$2/carrier" 2>/dev/null)" = "$3" ]
}

mtu_is() {
	[ "$(in_ns "$1" cat "/sys/class/net/$2/mtu" 2>/dev/null)" = "$3" ]
}

# start_guest NAME DOMAIN LAST-BYTE: its netfront-tap's pid is in $PID.
start_guest() {
	start_daemon netfront-tap --run-dir "$RUN" --domain "$2" \
		--netns "/run/netns/$NS-$1" --queues "${NET_QUEUES:-1}" &&
		ip -n "$NS-$1" addr add "10.99.0.$3/24" dev eth0
}

# domain_create NAME [OPTION...]: its number.
domain_create() {
	pvsplit domain-create "$@" --run-dir "$RUN" >/dev/null &&
		xenstore_domid "$1"
}

# The domid of a name, by the store.
xenstore_domid() {
	for d in $(XENSTORED_PATH=$RUN/0/xenstore xenstore-list /local/domain); do
		name=$(XENSTORED_PATH=$RUN/0/xenstore \
			xenstore-read "/local/domain/$d/name")
		[ "$name" = "$1" ] && echo "$d" && return 0
	done
	return 1
}

vif_attach() {
	pvsplit network-attach "$1" \
		"mac=$2,bridge=br0,mtu=${NET_MTU:-1500}${NET_UPLINK:+,uplink=$NET_UPLINK}" \
		--backend network --run-dir "$RUN" >/dev/null
}

net_up() {
	net_namespaces || return 1
	start_daemon brokerd --run-dir "$RUN" || return 1
	NETDOM=$(domain_create network) &&
		DOM1=$(domain_create guest1) &&
		DOM2=$(domain_create guest2) || return 1
	start_netbackd || return 1
	vif_attach guest1 00:16:3e:00:00:11 || return 1
	vif_attach guest2 00:16:3e:00:00:12 || return 1
	start_guest g1 "$DOM1" 11 || return 1
	FRONT1=$PID
	start_guest g2 "$DOM2" 12 || return 1
	FRONT2=$PID
}

# IPv6 addresses that end as the IPv4 ones do.
net_up_ipv6() {
	ip -n "$NS-srv" addr add fd99::1/64 dev eth0 nodad &&
		ip -n "$NS-g1" addr add fd99::11/64 dev eth0 nodad &&
		ip -n "$NS-g2" addr add fd99::12/64 dev eth0 nodad
}

# ---- what is asked about it --------------------------------------------------

state_is() {
	[ "$(XENSTORED_PATH=$RUN/0/xenstore xenstore-read "$1/state")" = "$2" ]
}

tap_carrier_is() {
	ip -n "$NS-$1" link show eth0 | grep -q "$2"
}

# ping_ok NAMESPACE ADDRESS BYTES [OPTION...]: five pings, one of them answered.
ping_ok() {
	from=$1 to=$2 size=$3
	shift 3
	in_ns "$from" ping -q -c 5 -i 0.02 -W 2 -s "$size" "$@" "$to"
}

# As ping_ok, but all of them are answered.
ping_whole() {
	ping_ok "$@" | grep ', 0% packet loss'
}

# iperf SECONDS|BYTES FROM TO ADDRESS [OPTION...]: bits per second, if every
# stream had some; what it measured is in $TMP/iperf.json.
iperf() {
	case $1 in *[KM]) until=-n ;; *) until=-t ;; esac
	much=$1 from=$2 to=$3 address=$4
	shift 4
	: >"$TMP/iperf.server"
	in_ns "$to" timeout -k 5 60 \
		iperf3 -s -1 --forceflush >"$TMP/iperf.server" 2>&1 &
	server=$!
	wait_for 5 grep -q listening "$TMP/iperf.server"
	in_ns "$from" timeout -k 5 40 iperf3 -c "$address" "$until" "$much" \
		-J "$@" >"$TMP/iperf.json" || return 1
	wait "$server"
	python3 -c 'import json, sys
end = json.load(open(sys.argv[1]))["end"]
print(int(end["sum_received"]["bits_per_second"]))
idle = [s for s in end["streams"] if not s.get("receiver", s.get("udp"))["bytes"]]
sys.exit(bool(idle) or end["sum_received"]["bits_per_second"] < 1e6)' \
		"$TMP/iperf.json"
}

# ---- the worker --------------------------------------------------------------

worker_pid() {
	pgrep -P "$NETBACKD" -x netbackd
}

worker_is_not() {
	new=$(worker_pid) && [ "$new" != "$1" ]
}

# Kill it: another one is there afterwards.
kill_worker() {
	old=$(worker_pid) && kill -9 "$old" && wait_for 5 worker_is_not "$old"
}
