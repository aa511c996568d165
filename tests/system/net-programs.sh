#!/bin/sh
# SPDX-License-Identifier: MIT
# net-programs.sh - programs that people use: addresses by DHCP, datagrams small
# and large, groups joined on a bridge that snoops, and a tree copied while the
# backend's worker is killed. The long form (SOAK) copies a larger one and kills
# more often.
. "${0%/*}/lib.sh"
. "${0%/*}/lib-net.sh"
net_requires
requires_cmd python3 python3
requires_cmd dnsmasq dnsmasq-base
requires_cmd busybox busybox
requires_cmd rsync rsync
requires_cmd bridge iproute2
requires_cmd xenstore-write xenstore-utils
cleanup_more() {
	net_cleanup
}
KILLS=${SOAK:+50}
KILLS=${KILLS:-2}

# in_background NAMESPACE COMMAND...: its output is in $TMP/background.
in_background() {
	ns=$1
	shift
	ip netns exec "$NS-$ns" "$@" >"$TMP/background" 2>&1 &
	PID=$!
	daemons="$PID $daemons"
}

# ---- DHCP --------------------------------------------------------------------

# What udhcpc calls.
cat >"$TMP/lease" <<-'SCRIPT'
	#!/bin/sh
	[ "$1" != bound ] || ip addr add "$ip/24" dev "$interface"
SCRIPT
chmod +x "$TMP/lease"

serve_dhcp() {
	in_background srv dnsmasq --keep-in-foreground --port=0 --no-ping \
		--conf-file=/dev/null --interface=eth0 --bind-interfaces \
		--dhcp-range=10.99.0.100,10.99.0.150,1h \
		--dhcp-host=00:16:3e:00:00:11,10.99.0.111 \
		--dhcp-leasefile="$TMP/leases" --pid-file="$TMP/dnsmasq.pid"
	wait_for 5 test -s "$TMP/dnsmasq.pid"
}

# A client that has no address reads and writes whole frames: it sees checksums
# as they are.
asks_dhcp() {
	ip -n "$NS-g1" addr flush dev eth0 &&
		in_ns g1 busybox udhcpc -f -q -n -i eth0 -s "$TMP/lease" \
			-t 5 -T 1 &&
		ip -n "$NS-g1" addr show dev eth0 | grep -q 10.99.0.111
}

# ---- datagrams ---------------------------------------------------------------

# At most a tenth.
few_lost() {
	python3 -c 'import json, sys
lost = json.load(open(sys.argv[1]))["end"]["sum"]["lost_percent"]
print(lost, "percent lost")
sys.exit(lost > 10)' "$TMP/iperf.json"
}

# udp FROM TO ADDRESS SIZE BYTES BANDWIDTH: few are lost, once in three tries: the
# machine may not let a guest run for a while.
udp() {
	for _ in 1 2 3; do
		iperf "$5" "$1" "$2" "$3" -u -l "$4" -b "$6" || return 1
		few_lost && return 0
	done
	return 1
}

# ---- groups ------------------------------------------------------------------

# group.py join|say GROUP: a member, which prints ten words that it hears, in at
# most 20 s; ten words to the group.
cat >"$TMP/group.py" <<'PY'
import socket, struct, sys, time

what, group = sys.argv[1:]
v6 = ":" in group
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
here = socket.if_nametoindex("eth0")
if what == "say":
    if v6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, here)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 4)
    else:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 4)
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                     struct.pack("4s4si", b"", b"", here))
    for i in range(10):
        s.sendto(b"word %d" % i, (group, 5000))
        time.sleep(0.02)
    sys.exit()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", 5000))
if v6:
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                 socket.inet_pton(socket.AF_INET6, group) + struct.pack("I", here))
else:
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                 struct.pack("4sii", socket.inet_aton(group), 0, here))
print("ready", flush=True)
s.settimeout(20)
try:
    for _ in range(10):
        print(s.recv(100).decode(), flush=True)
except TimeoutError:
    pass
PY

# joins GROUP: guest 2; what it hears is in $TMP/heard.
joins() {
	: >"$TMP/heard"
	ip netns exec "$NS-g2" python3 "$TMP/group.py" join "$1" >"$TMP/heard" &
	daemons="$! $daemons"
	wait_for 5 grep -q ready "$TMP/heard"
}

heard_all() {
	[ "$(grep -c word "$TMP/heard")" -eq 10 ]
}

# Does the bridge know of a member behind the uplink?
bridge_knows() {
	ip netns exec "$NS-net" bridge mdb show dev br0 | grep pvup | grep -q "$1"
}

says() {
	in_ns "$1" python3 "$TMP/group.py" say "$2"
}

group() {
	check "guest 2 joins $1" joins "$1"
	check "the bridge hears of it" wait_for 5 bridge_knows "$1"
	check "the other guest says ten words" says g1 "$1"
	check "the member has heard them" wait_for 5 heard_all
	check "it joins again" joins "$1"
	check "the server says them, over the bridge" says srv "$1"
	check "the member has heard those, too" wait_for 5 heard_all
}

# filter yes|no: guest 2 is one that names the groups it wants, and names none.
filter() {
	wanted=1
	[ "$1" = yes ] || wanted=0
	XENSTORED_PATH=$RUN/0/xenstore xenstore-write \
		"/local/domain/$DOM2/device/vif/0/request-multicast-control" \
		"$wanted" && stop_daemon "$NETBACKD"
	start_netbackd && wait_for 10 tap_carrier_is g2 LOWER_UP &&
		wait_for 10 ping_ok g1 10.99.0.12 56
}

# ---- a tree ------------------------------------------------------------------

# Many small files, some large ones, links, empty ones, holes.
plant_tree() {
	mkdir -p "$TMP/tree/a/b/c" "$TMP/tree/empty" "$TMP/copies" &&
		python3 - "$TMP/tree" "$1" <<-'PYTHON'
	import os, random, sys
	top, mib = sys.argv[1], int(sys.argv[2])
	dice = random.Random(1)
	for i in range(300):
	    with open("%s/a/small%d" % (top, i), "wb") as f:
	        f.write(dice.randbytes(dice.choice((0, 1, 700, 5000, 66000))))
	for i in range(4):
	    with open("%s/a/b/c/large%d" % (top, i), "wb") as f:
	        for _ in range(mib // 4):
	            f.write(dice.randbytes(1 << 20))
	with open(top + "/hole", "wb") as f:
	    f.seek(5000000)
	    f.write(b"end")
	os.symlink("a/small1", top + "/link")
	PYTHON
}

serve_tree() {
	cat >"$TMP/rsyncd.conf" <<-CONF
		use chroot = no
		uid = 0
		gid = 0
		read only = no
		munge symlinks = no
		[tree]
		path = $TMP/tree
		[copies]
		path = $TMP/copies
	CONF
	in_background "$1" rsync --daemon --no-detach --address="$2" \
		--config="$TMP/rsyncd.conf" --log-file="$TMP/rsync.log"
	wait_for 5 in_ns g1 rsync "$2::"
}

# copy NAMESPACE FROM TO: while the worker dies KILLS times.
copy() {
	in_ns "$1" timeout 200 rsync -a --bwlimit="$RATE" "$2" "$3" &
	copying=$!
	for kill in $(seq "$KILLS"); do
		sleep 0.4
		kill_worker || return 1
	done
	! process_gone "$copying" || return 1
	wait "$copying"
}

is_same() {
	diff -r --no-dereference "$TMP/tree" "$TMP/copies/$1"
}

if ! net_up || ! net_up_ipv6; then
	fail "the daemons and guests start"
	finish
fi
pass "the daemons and guests start"
in_ns g2 sysctl -qw net.ipv4.icmp_echo_ignore_broadcasts=0

check "there is a DHCP server" serve_dhcp
check "a guest gets its address" asks_dhcp
check "and another guest's answer with it" ping_whole g2 10.99.0.111 56
ip -n "$NS-g1" addr add 10.99.0.11/24 dev eth0
ip -n "$NS-g1" addr add fd99::11/64 dev eth0 nodad

check "datagrams of 64 bytes, guest to guest" udp g1 g2 10.99.0.12 64 400K 5M
check "of 1400 bytes" udp g1 g2 10.99.0.12 1400 4M 50M
check "of 60000 bytes" udp g1 g2 10.99.0.12 60000 8M 100M
check "of 64 bytes, guest to server" udp g1 srv 10.99.0.1 64 400K 5M
check "of 60000 bytes, server to guest" udp srv g2 10.99.0.12 60000 8M 100M

check "the bridge snoops" ip -n "$NS-net" link set br0 type bridge \
	mcast_snooping 1 mcast_querier 1 mcast_startup_query_interval 10
group 239.1.2.3
group ff15::1234
check "guest 2 filters its groups, and names none" filter yes
check "it joins nevertheless" joins 239.1.2.3
check "the other guest says ten words" says g1 239.1.2.3
check "broadcast gets through" in_ns g1 ping -q -c 2 -i 0.1 -b 10.99.0.255
check_fails "no word did" grep -q word "$TMP/heard"
check "it does not filter any more" filter no
check "the other guest says ten words" says g1 239.1.2.3
check "now they are heard" wait_for 5 heard_all

if [ -n "${SOAK:-}" ]; then
	plant_tree 1000
	RATE=40000
else
	plant_tree 20
	RATE=10000
fi
check "the server serves a tree" serve_tree srv 10.99.0.1
check "a guest copies it while the worker dies $KILLS times" \
	copy g1 rsync://10.99.0.1/tree/ "$TMP/copies/one"
check "it is the same" is_same one
check "the other guest serves it, too" serve_tree g2 10.99.0.12
check "it is sent there while the worker dies $KILLS times" \
	copy g1 "$TMP/tree/" rsync://10.99.0.12/copies/two
check "it is the same" is_same two
finish
