#!/bin/sh
# SPDX-License-Identifier: MIT
# net-hostile.sh - a guest that breaks the rules of its rings, beside two that
# are honest, against a real backend: it is disabled, and it alone.
. "${0%/*}/lib.sh"
. "${0%/*}/lib-net.sh"
net_requires
requires_cmd xenstore-write xenstore-utils
HOSTILE=$BUILD/tests/system/net_hostile
[ -x "$HOSTILE" ] || skip_all "needs $HOSTILE (make test-programs)"
PVSPLIT_RUN=$RUN
export PVSPLIT_RUN

cleanup_more() {
	net_cleanup
}

# start_evil WHAT NUMBER: once it is connected.
start_evil() {
	start_daemon "$HOSTILE" "$RUN" "$EVIL" "$1" "$2" || return 1
	evil=$PID
}

end_evil() {
	wait_for "$1" process_gone "$evil" && wait "$evil"
}

shown_state() {
	pvsplit network-list evil | awk 'NR > 1 { print $5 }'
}

is_shown() {
	[ "$(shown_state)" = "$1" ]
}

log_says() {
	cat "$TMP"/ip.*.err | grep -c -- "$1"
}

check "the network comes up" net_up || finish
EVIL=$(domain_create evil)
check "a third guest has a vif" vif_attach evil 00:16:3e:00:00:66

# ---- a lie
check "it lies, and its vif is closed" start_evil lie 0
check "at once" end_evil 5
check "network-list says Disabled" wait_for 5 is_shown Disabled
check "and why" sh -c "pvsplit network-list evil --json |
	grep -q 'impossible transmit producer index'"
check_fails "it does not come back by itself" \
	timeout 3 "$HOSTILE" "$RUN" "$EVIL" buffers 0
check "the others do not notice" ping_ok g1 10.99.0.12 1472
check_output "the log says it once" 1 log_says "impossible transmit producer"
check_output "the administrator enables it" "domain $EVIL: vif 0 is enabled" \
	pvsplit network-enable evil 0
check_output "once" "domain $EVIL: vif 0 was not disabled" \
	pvsplit network-enable evil 0
check "then it connects again" start_evil rx-events 1
check "and ends" end_evil 5
check "which is the end of a guest as any other" wait_for 5 is_shown Closed
finish
