#!/bin/sh
# SPDX-License-Identifier: MIT
# net-sizes.sh - packets of every size: around the ends of a page, a slot and an
# MTU, fragments of IPv4 and IPv6, frames of 9000 bytes, and a way with less room
# than the first step has. In the long form (SOAK) each size that there is.
. "${0%/*}/lib.sh"
. "${0%/*}/lib-net.sh"
net_requires
requires_cmd python3 python3
cleanup_more() {
	net_cleanup
}
NET_MTU=9000
STEP=${SOAK:+1}
STEP=${STEP:-1999}

# sweep.py ADDRESS STEP: echoes of 0, STEP, ... bytes, and of the largest one, as
# many at a time as 64 KiB hold; each has to come back as it was.
cat >"$TMP/sweep.py" <<'PY'
import os, socket, struct, sys

address, step = sys.argv[1], int(sys.argv[2])
v6 = ":" in address
# An IPv6 payload may have 65535 bytes, an IPv4 packet.
most = 65527 if v6 else 65507
request, reply = (128, 129) if v6 else (8, 0)
if v6:
    s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
else:
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
s.settimeout(5)
s.connect((address, 0))
me = os.getpid() & 0xffff
pattern = bytes((i * 7 + i // 251) & 255 for i in range(70000))

def checksum(data):
    if len(data) % 2:
        data += b"\0"
    n = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while n >> 16:
        n = (n & 0xffff) + (n >> 16)
    return ~n & 0xffff

def echo(kind, seq, size):
    body = pattern[seq % 100:seq % 100 + size]
    head = struct.pack("!BBHHH", kind, 0, 0, me, seq & 0xffff)
    # The kernel fills in ICMPv6's.
    n = 0 if v6 else checksum(head + body)
    return head[:2] + struct.pack("!H", n) + head[4:] + body

def answered(waiting):
    while waiting:
        got = s.recv(70000)
        if not v6:
            got = got[(got[0] & 15) * 4:]
        if got[0] != reply or got[4:6] != struct.pack("!H", me):
            continue
        seq = struct.unpack_from("!H", got, 6)[0]
        if seq in waiting and got[8:] == waiting[seq]:
            del waiting[seq]
        elif seq in waiting:
            sys.exit("size %d is not what it was" % len(waiting[seq]))

sizes = list(range(0, most, step)) + [most]
nr, waiting, bytes_ = 0, {}, 0
for seq, size in enumerate(sizes):
    if bytes_ + size > 65536 or len(waiting) == 16:
        answered(waiting)
        bytes_ = 0
    packet = echo(request, seq, size)
    waiting[seq & 0xffff] = packet[8:]
    s.send(packet)
    bytes_ += size
answered(waiting)
print(len(sizes), "sizes")
PY

sweep() {
	in_ns "$1" python3 "$TMP/sweep.py" "$2" "$STEP"
}

# A network behind the server, on the way to which packets have 1300 bytes.
net_far_up() {
	ip netns add "$NS-far" && ip -n "$NS-far" link set lo up &&
		ip -n "$NS-srv" link add far type veth \
			peer name eth0 netns "$NS-far" &&
		ip -n "$NS-srv" link set far up &&
		ip -n "$NS-far" link set eth0 up &&
		ip -n "$NS-srv" addr add 10.98.0.1/24 dev far &&
		ip -n "$NS-srv" addr add fd98::1/64 dev far nodad &&
		ip -n "$NS-far" addr add 10.98.0.2/24 dev eth0 &&
		ip -n "$NS-far" addr add fd98::2/64 dev eth0 nodad &&
		ip -n "$NS-far" route add default via 10.98.0.1 &&
		ip -n "$NS-far" route add default via fd98::1 &&
		ip -n "$NS-srv" route change 10.98.0.0/24 dev far mtu lock 1300 &&
		ip -n "$NS-srv" route add fd98::2/128 dev far mtu lock 1300 &&
		ip -n "$NS-g1" route add default via 10.99.0.1 &&
		ip -n "$NS-g1" route add default via fd99::1 &&
		in_ns srv sysctl -qw net.ipv4.ip_forward=1 \
			net.ipv6.conf.all.forwarding=1
}

# is_told ADDRESS: a large packet that must not be cut is refused by the router,
# and the guest knows it from then on.
is_told() {
	! in_ns g1 ping -q -c 1 -W 1 -M do -s 1400 "$1" &&
		ip -n "$NS-g1" route get "$1" | grep -q 'mtu 1300'
}

forgets() {
	ip -n "$NS-g1" route flush cache && ip -n "$NS-g1" -6 route flush cache
}

# Cut off at 1500, not at 9000: what the server's other side announces.
streams_far() {
	forgets && iperf 1 g1 far "$1" -l 128K &&
		ip -n "$NS-g1" route get "$1" | grep -q 'mtu 1300'
}

if ! net_up || ! net_up_ipv6; then
	fail "the daemons and guests start"
	finish
fi
pass "the daemons and guests start"

check "an interface has the MTU of its vif" \
	sh -c "ip -n $NS-g1 link show eth0 | grep -q 'mtu 9000'"
for to in 10.99.0.12:guest 10.99.0.1:server; do
	check "9000 bytes go whole to the ${to#*:}" \
		ping_whole g1 "${to%:*}" 8972 -M do
	check_fails "and 9001 do not" ping_ok g1 "${to%:*}" 8973 -c 1 -M do
done
for to in fd99::12:guest fd99::1:server; do
	check "9000 bytes go whole to the ${to##*:}, IPv6" \
		ping_whole g1 "${to%:*}" 8952 -M do
done
check "every size from a guest to the server" sweep g1 10.99.0.1
check "to the other guest" sweep g1 10.99.0.12
check "IPv6 to the server" sweep g1 fd99::1
check "IPv6 to the other guest" sweep g1 fd99::12
check "TCP in frames of 9000" iperf 1 g1 g2 10.99.0.12
check "and to the server" iperf 1 g1 srv 10.99.0.1

check "everybody has an MTU of 1500" sh -c "
	ip -n $NS-g1 link set eth0 mtu 1500 &&
		ip -n $NS-g2 link set eth0 mtu 1500 &&
		ip -n $NS-srv link set eth0 mtu 1500"
for size in 0 1 18 1472 1473 4068 8000 16000 32000 65507; do
	check "ping of $size bytes, guest to guest" \
		ping_whole g1 10.99.0.12 "$size" -c 3
	check "and server to guest" ping_whole srv 10.99.0.12 "$size" -c 3
done
for size in 0 1 18 1452 1453 4068 8000 16000 32000 65487 65507; do
	check "ping of $size bytes over IPv6, guest to guest" \
		ping_whole g1 fd99::12 "$size" -c 3
	check "and server to guest" ping_whole srv fd99::12 "$size" -c 3
done
check "every size in fragments, to the server" sweep g1 10.99.0.1
check "to the other guest" sweep g1 10.99.0.12
check "IPv6 to the server" sweep g1 fd99::1
check "IPv6 to the other guest" sweep g1 fd99::12

check "there is a network behind the server" net_far_up
for to in 10.98.0.2 fd98::2; do
	check "a packet that is too large for the way to $to is refused" \
		is_told "$to"
	check "one that fits is not" ping_whole g1 "$to" 1200 -M do
	check "TCP finds the size that passes" streams_far "$to"
done
finish
