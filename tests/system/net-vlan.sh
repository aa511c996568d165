#!/bin/sh
# SPDX-License-Identifier: MIT
# net-vlan.sh - VLANs in use: a guest with interfaces for two of them and one for
# what has no tag, a guest that is in one and knows of none, a server with an
# interface for each behind the bridge.
. "${0%/*}/lib.sh"
. "${0%/*}/lib-net.sh"
net_requires
requires_cmd python3 python3
cleanup_more() {
	net_cleanup
}

# vlan.py VLAN: eth0.VLAN where the kernel has no such interfaces: a TAP, whose
# frames go through eth0 with a tag and come from there without, segments uncut
# and checksums blank.
cat >"$TMP/vlan.py" <<'PY'
import fcntl, os, select, socket, struct, sys

vlan = int(sys.argv[1])
SOL_PACKET, AUXDATA, VNET_HDR, OUTGOING, TAG_VALID = 263, 8, 15, 4, 16
tap = os.open("/dev/net/tun", os.O_RDWR)
# TUNSETIFF with IFF_TAP, IFF_NO_PI, IFF_VNET_HDR; TUNSETOFFLOAD with TUN_F_CSUM,
# TUN_F_TSO4, TUN_F_TSO6
fcntl.ioctl(tap, 0x400454ca, struct.pack("16sH22x", b"eth0.%d" % vlan, 0x5002))
fcntl.ioctl(tap, 0x400454d0, 7)
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.setsockopt(socket.SOL_SOCKET, 33, 1 << 23)  # SO_RCVBUFFORCE
s.setsockopt(SOL_PACKET, AUXDATA, 1)
s.setsockopt(SOL_PACKET, VNET_HDR, 1)
s.bind(("eth0", 3))
tag = struct.pack("!HH", 0x8100, vlan)
print("ready", flush=True)

# The vnet header of a frame whose layers begin 4 bytes later.
def later(hdr):
    flags, gso, size, gso_size, start, offset = struct.unpack("BBHHHH", hdr)
    return struct.pack("BBHHHH", flags, gso, size + 4 if gso else size, gso_size,
                       start + 4 if flags & 1 else start, offset)

while True:
    for fd in select.select([tap, s], [], [])[0]:
        if fd == tap:
            f = os.read(tap, 70000)
            s.send(later(f[:10]) + f[10:22] + tag + f[22:])
            continue
        f, aux, _, where = s.recvmsg(70000, 100)
        if where[2] == OUTGOING or not aux:
            continue
        status, _, _, _, _, tci, _ = struct.unpack_from("IIIHHHH", aux[0][2])
        if status & TAG_VALID and tci & 0xfff == vlan:
            try:
                os.write(tap, f)
            except OSError:
                pass  # it is not up yet
PY

relay() {
	ip netns exec "$NS-$1" python3 "$TMP/vlan.py" "$2" >"$TMP/$1.$2" &
	daemons="$! $daemons"
	wait_for 5 grep -q ready "$TMP/$1.$2" &&
		ip -n "$NS-$1" link set "eth0.$2" \
			addr "$(in_ns "$1" cat /sys/class/net/eth0/address)"
}

# vlan NAMESPACE VLAN LAST: an interface for it, with 10.VLAN.0.LAST.
vlan() {
	ip -n "$NS-$1" link add link eth0 name "eth0.$2" type vlan id "$2" ||
		relay "$1" "$2" || return 1
	ip -n "$NS-$1" addr add "10.$2.0.$3/24" dev "eth0.$2" &&
		ip -n "$NS-$1" addr add "fd$2::$3/64" dev "eth0.$2" nodad &&
		ip -n "$NS-$1" link set "eth0.$2" up
}

rules() {
	pvsplit network-rules "$1" 0 "$2" --run-dir "$RUN"
}

# Frames beyond a page in size: segments are not cut for a tag's sake.
comes_in_large_frames() {
	before=$(in_ns g2 awk '/eth0:/ { print $2, $3 }' /proc/net/dev)
	iperf 100M g1 g2 10.10.0.12 || return 1
	after=$(in_ns g2 awk '/eth0:/ { print $2, $3 }' /proc/net/dev)
	echo "$before $after" |
		awk '{ print ($3 - $1) / ($4 - $2), "bytes a frame"
		       exit ($3 - $1) / ($4 - $2) < 4000 }'
}

reaches() {
	wait_for 5 ping_ok "$1" "$2" 56 -c 2
}

reaches_not() {
	! ping_ok "$1" "$2" 56 -c 2 -W 0.5
}

if ! net_up; then
	fail "the daemons and guests start"
	finish
fi
pass "the daemons and guests start"
check "guest 1 may speak VLANs 10 and 20, and without a tag" \
	rules guest1 vlan=0,trunk=10/20
check "it has an interface for 10" vlan g1 10 11
check "and one for 20" vlan g1 20 11
check "and one for 30, where it may not be" vlan g1 30 11
check "guest 2 is in VLAN 10" rules guest2 vlan=10
ip -n "$NS-g2" addr add 10.10.0.12/24 dev eth0
ip -n "$NS-g2" addr add fd10::12/64 dev eth0 nodad
for v in 10 20 30; do
	check "the server has one for $v" vlan srv $v 1
done

check "guest to guest, in VLAN 10" reaches g1 10.10.0.12
check "to the server in VLAN 10" reaches g1 10.10.0.1
check "to the server in VLAN 20" reaches g1 10.20.0.1
check "to the server without a tag" reaches g1 10.99.0.1
check "not in VLAN 30" reaches_not g1 10.30.0.1
check "the guest that knows of no VLANs reaches the server in its own" \
	reaches g2 10.10.0.1
check "but not without a tag" reaches_not g2 10.99.0.1
for size in 0 1468 1472 1473 65507; do
	check "ping of $size bytes, guest to guest" \
		ping_whole g1 10.10.0.12 $size -c 3
	check "and back" ping_whole g2 10.10.0.11 $size -c 3
	check "guest to server" wait_for 5 ping_whole g1 10.20.0.1 $size -c 3
	check "IPv6" ping_whole g1 fd10::12 $size -c 3
done
check "TCP guest to guest, in frames larger than an MTU" comes_in_large_frames
check "TCP back" iperf 20M g2 g1 10.10.0.11
check "TCP over IPv6" iperf 20M g1 g2 fd10::12
check "TCP guest to server" iperf 20M g1 srv 10.20.0.1
check "TCP server to guest" iperf 20M srv g1 10.20.0.11
check "TCP server to the guest that knows of no VLANs" \
	iperf 20M srv g2 10.10.0.12
check "guest 2 goes into VLAN 20" rules guest2 vlan=20
check "guest 1 does not find it any more" reaches_not g1 10.10.0.12
finish
