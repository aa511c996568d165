#!/bin/sh
# SPDX-License-Identifier: MIT
# net-rules.sh - what interfaces may do on their switch, changed while they are
# in use: VLANs within the switch and out to a bridge, isolation, addresses that
# are not the guest's, storms.
. "${0%/*}/lib.sh"
. "${0%/*}/lib-net.sh"
net_requires
requires_cmd python3 python3
cleanup_more() {
	net_cleanup
}

rules() {
	pvsplit network-rules "$1" 0 "$2" --run-dir "$RUN" >/dev/null
}

# A rule is obeyed as soon as the driver domain has seen it.
reaches() {
	wait_for 5 ping_ok "$1" "$2" 56 -c 3 -W 1
}

no_ping() {
	! in_ns "$1" ping -q -c 3 -i 0.02 -W 0.3 "$2"
}

reaches_not() {
	wait_for 5 no_ping "$1" "$2"
}

# asks_with_tag VLAN LAST: the server, behind the bridge, asks for 10.99.0.LAST
# in a frame with a tag. The answer has one as well: the kernel shows it apart.
asks_with_tag() {
	in_ns srv python3 - "$1" "$2" <<-'PYTHON'
	import socket, struct, sys
	vlan, last = int(sys.argv[1]), int(sys.argv[2])
	s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
	s.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA
	s.bind(("eth0", 3))
	s.settimeout(0.5)
	mac = s.getsockname()[4]
	arp = struct.pack("!HHBBH", 1, 0x800, 6, 4, 1) + mac + \
	    bytes([10, 99, 0, 1]) + bytes(6) + bytes([10, 99, 0, last])
	s.send(b"\xff" * 6 + mac + struct.pack("!HHH", 0x8100, vlan, 0x806) +
	    arp + bytes(18))
	while True:
	    data, aux, _, _ = s.recvmsg(2000, 100)
	    if data[:6] != mac or data[12:14] != b"\x08\x06":
	        continue
	    tci = struct.unpack_from("H", aux[0][2], 16)[0]
	    sys.exit(tci != vlan)
	PYTHON
}

new_address() {
	in_ns "$1" ip addr add "$2" dev eth0
}

pings_as() {
	in_ns "$1" ping -q -c 3 -i 0.02 -W 0.3 -I "$2" "$3"
}

shows() {
	pvsplit network-rules guest1 0 --run-dir "$RUN" | grep -q -- "$1"
}

refused() {
	! pvsplit network-rules guest1 0 "$1" --run-dir "$RUN" 2>"$TMP/why" &&
		grep -q "$2" "$TMP/why"
}

if ! net_up; then
	fail "the daemons and guests start"
	finish
fi
pass "the daemons and guests start"

check "at first everybody reaches everybody" reaches g1 10.99.0.12
check "and the server" reaches g1 10.99.0.1
check "there are no rules to show" shows 'no rules'

check "guest 1 goes into VLAN 100" rules guest1 vlan=100
check "it does not reach guest 2 any more" reaches_not g1 10.99.0.12
check "nor the server, who has no tag" reaches_not g1 10.99.0.1
check "guest 2 follows" rules guest2 vlan=100
check "they reach each other" reaches g1 10.99.0.12
check "guest 1 answers the bridge with that tag" asks_with_tag 100 11
check_fails "and no other tag" asks_with_tag 101 11
check "the rule is shown" shows 'vlan=100'
check "a VLAN that there is none of is refused" refused vlan=4095 'no such VLANs'
check "the guests leave the VLAN" sh -c "
	pvsplit network-rules guest1 0 vlan= --run-dir $RUN &&
		pvsplit network-rules guest2 0 vlan= --run-dir $RUN"
check "the plain network is there again" reaches g1 10.99.0.1

check "both are isolated" sh -c "
	pvsplit network-rules guest1 0 isolated=yes --run-dir $RUN &&
		pvsplit network-rules guest2 0 isolated=yes --run-dir $RUN"
check "they do not reach each other" reaches_not g1 10.99.0.12
check "they reach the server" reaches g1 10.99.0.1
check "guest 2 is not isolated any more" rules guest2 isolated=no
check "they reach each other again" reaches g1 10.99.0.12

check "guest 1 may use 10.99.0.11 only" \
	rules guest1 "isolated=,antispoof=yes,ip=10.99.0.11"
check "it gives itself another address" new_address g1 10.99.0.77/24
check "with its own it reaches the server" reaches g1 10.99.0.1
check_fails "with the other it does not" pings_as g1 10.99.0.77 10.99.0.1
check "both addresses are allowed" \
	rules guest1 "ip=10.99.0.11 10.99.0.77"
check "now it does" wait_for 5 pings_as g1 10.99.0.77 10.99.0.1

kill -9 "$(worker_pid)"
check "guest 1 gives itself a third address" new_address g1 10.99.0.78/24
check "a new worker carries on" reaches g1 10.99.0.1
check_fails "and has the same rules" pings_as g1 10.99.0.78 10.99.0.1
# ---- its address and MTU
link_has() {
	ip -n "$NS-g1" link show eth0 | grep -q -- "$1"
}
check "guest 1 reaches guest 2" reaches g1 10.99.0.12
check_output "it is given another address and MTU" \
	"domain $DOM1, vif 0: mac=00:16:3e:00:00:77,mtu=1400,link=up" \
	pvsplit network-set guest1 0 mac=00:16:3e:00:00:77,mtu=1400 \
	--run-dir "$RUN"
check "its interface has the one" wait_for 5 link_has 00:16:3e:00:00:77
check "and the other" wait_for 5 link_has "mtu 1400"
check "its neighbours know at once" ping_ok g2 10.99.0.11 56
check "with antispoof it reaches them, too" reaches g1 10.99.0.1
kill -9 "$(worker_pid)"
check "and so it does with a new worker" reaches g1 10.99.0.12
check "its link is taken down" pvsplit network-set guest1 0 link=down \
	--run-dir "$RUN"
check "it sees that" wait_for 5 link_has NO-CARRIER
check "others do not reach it" reaches_not g2 10.99.0.11
check "and up" pvsplit network-set guest1 0 link=up --run-dir "$RUN"
check "it reaches others again" reaches g1 10.99.0.12
check_fails "what is no address is refused" pvsplit network-set guest1 0 \
	mac=01:16:3e:00:00:77 --run-dir "$RUN"
check_fails "rules are not set with it" pvsplit network-set guest1 0 \
	isolated=yes --run-dir "$RUN"

check "an interface can be attached with rules" \
	pvsplit network-attach guest2 \
	"bridge=br0.7:8:9,antispoof=1,stormlimit=100" --backend network \
	--run-dir "$RUN"
finish
