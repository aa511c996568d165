#!/bin/sh
# SPDX-License-Identifier: MIT
# net-wishes.sh - what a frontend asks of a real backend over the control ring
# and by its nodes (a hash, its key and mapping; pages that stay mapped; room
# before frames), before and after deaths of the backend's worker and of the
# whole backend.
. "${0%/*}/lib.sh"
. "${0%/*}/lib-net.sh"
net_requires
requires_cmd xenstore-read xenstore-utils
WISHES=$BUILD/tests/system/net_wishes
[ -x "$WISHES" ] || skip_all "needs $WISHES (make test-programs)"
PVSPLIT_RUN=$RUN
export PVSPLIT_RUN

cleanup_more() {
	exec 3>&-
	net_cleanup
}

guests_are_ready() {
	grep -q ready "$TMP/said"
}

has_said() {
	[ "$(wc -l <"$TMP/said")" -ge "$1" ]
}

# The flows of the published vectors once more: what is said of them.
ask() {
	before=$(wc -l <"$TMP/said")
	echo >&3
	wait_for 30 has_said $((before + 1)) && tail -n 1 "$TMP/said"
}

store() {
	XENSTORED_PATH=$RUN/0/xenstore timeout 20 xenstore-read "$1"
}

daemons_start() {
	net_namespaces && start_daemon brokerd --run-dir "$RUN" || return 1
	NETDOM=$(domain_create network) && DOM1=$(domain_create guest1) &&
		DOM2=$(domain_create guest2) && start_netbackd &&
		vif_attach guest1 00:16:3e:00:00:11 &&
		vif_attach guest2 00:16:3e:00:00:12
}

check "the daemons start" daemons_start || finish
mkfifo "$TMP/ask"
"$WISHES" "$RUN" "$DOM1" "$DOM2" <"$TMP/ask" >"$TMP/said" 2>"$TMP/wishes.err" &
exec 3>"$TMP/ask"
check "two guests connect" wait_for 15 guests_are_ready || finish
front2=/local/domain/$DOM2/device/vif/0
check "one has a control ring" store "$front2/ctrl-ring-ref"
check_output "and asks for room before frames" 256 store "$front2/xdp-headroom"
check_output "hashes, queues and room are as asked for" well ask
check "the worker dies" kill_worker
check_output "its successor knows" well ask
check "and again" kill_worker
check_output "so does the next" well ask
kill -9 "$NETBACKD"
check "another backend comes" start_netbackd
check_output "it is asked anew" well ask
check_output "no rule was broken" 0 grep -c "at fault" "$TMP/wishes.err"
exec 3>&-
finish
