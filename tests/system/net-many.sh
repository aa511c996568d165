#!/bin/sh
# SPDX-License-Identifier: MIT
# net-many.sh - dozens of vifs on one switch (256 in the long form, SOAK), each in
# a network namespace of its own: all to one, one to all, and when they go nothing
# of them stays.
. "${0%/*}/lib.sh"
. "${0%/*}/lib-net.sh"
net_requires
requires_cmd xenstore-ls xenstore-utils
cleanup_more() {
	net_cleanup
}
NR=${SOAK:+256}
NR=${NR:-64}
PVSPLIT_RUN=$RUN
export PVSPLIT_RUN

# address I: of the I-th guest, from 0
address() {
	echo "10.99.$(($1 / 200 + 1)).$(($1 % 200 + 1))"
}

all() {
	seq 0 $((NR - 1))
}

attach_all() {
	for i in $(all); do
		domain_create "c$i" >"$TMP/c$i.domid" &&
			pvsplit network-attach "c$i" bridge=br0 --no-wait ||
			return 1
	done
}

# One process for each, begun side by side.
start_all() {
	for i in $(all); do
		ip netns add "$NS-c$i" || return 1
		netfront-tap --run-dir "$RUN" --domain "$(cat "$TMP/c$i.domid")" \
			--netns "/run/netns/$NS-c$i" >"$TMP/c$i.out" 2>&1 &
		daemons="$! $daemons"
	done
	wait_for 60 all_ready && for i in $(all); do
		ip -n "$NS-c$i" addr add "$(address "$i")/16" dev eth0 &&
			in_ns "c$i" sysctl -qw \
				net.ipv4.icmp_echo_ignore_broadcasts=0 ||
			return 1
	done
}

all_ready() {
	[ "$(cat "$TMP"/c*.out | grep -cx ready)" -eq "$NR" ]
}

# Memory of monitor and worker; the guests' own, mapped there, is theirs.
kib() {
	cat "/proc/$NETBACKD/status" "/proc/$(worker_pid)/status" |
		awk '/^RssAnon|^RssFile/ { n += $2 } END { print n }'
}

all_to_one() {
	: >"$TMP/answered"
	pings=
	for i in $(all); do
		in_ns "c$i" ping -q -c 5 -i 0.2 -W 5 10.99.0.1 \
			>>"$TMP/answered" 2>&1 &
		pings="$pings $!"
	done
	for pid in $pings; do
		wait "$pid" || return 1
	done
	[ "$(grep -c ' 0% packet loss' "$TMP/answered")" -eq "$NR" ]
}

# A broadcast is answered by everybody.
one_to_all() {
	in_ns srv ping -c 3 -i 0.5 -W 3 -b 10.99.255.255 >"$TMP/answers" 2>&1
	[ "$(sed -n 's/.* bytes from \([0-9.]*\):.*/\1/p' "$TMP/answers" |
		sort -u | wc -l)" -eq "$NR" ]
}

each_to_the_next() {
	for i in $(all); do
		ping_ok "c$i" "$(address $(((i + 1) % NR)))" 1472 -c 1 ||
			return 1
	done
}

is_as_before() {
	backend_holds "$NETBACKD" "$NETDOM" >"$TMP/now"
	diff "$TMP/before" "$TMP/now"
}

comes_to_rest() {
	wait_for 20 is_as_before || is_as_before
}

end_all() {
	for pid in $daemons; do
		case $(ps -o comm= -p "$pid") in
		netfront-tap) kill "$pid" ;;
		esac
	done
	wait_for 20 none_is_left
}

destroy_all() {
	for i in $(all); do
		pvsplit domain-destroy "c$i" || return 1
	done
}

none_is_left() {
	! pgrep -f "netfront-tap --run-dir $RUN "
}

check "namespaces, and a driver domain with room for many" eval '
	net_namespaces && start_daemon brokerd --run-dir "$RUN" &&
	NETDOM=$(domain_create network --devices $((NR + 8))) &&
	start_netbackd'
ip -n "$NS-srv" addr add 10.99.0.1/16 dev eth0
check "a guest with an interface comes" eval '
	domain_create guest >/dev/null &&
	pvsplit network-attach guest bridge=br0 --no-wait'
check "and goes" pvsplit domain-destroy guest
sleep 1
backend_holds "$NETBACKD" "$NETDOM" >"$TMP/before"
before=$(kib)
check "$NR are attached" attach_all
check "$NR guests connect" start_all
each=$((($(kib) - before) / NR))
check "an idle one costs the driver domain at most 1 MiB ($each KiB)" \
	[ "$each" -le 1024 ]
# Once in a few tries: with hundreds of processes some wait long for a CPU.
check "all reach one at the same time" wait_for 5 all_to_one
check "one reaches all at the same time" one_to_all
check "each reaches the next one" each_to_the_next
check "the worker dies" kill_worker
check "its successor serves all of them" wait_for 10 all_to_one
check "all of them end" end_all
check "and are taken away" destroy_all
check "descriptors, threads and nodes are as many as before" \
	comes_to_rest
finish
