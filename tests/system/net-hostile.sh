#!/bin/sh
# SPDX-License-Identifier: MIT
# net-hostile.sh - a guest that is hostile, beside two that are honest, against a
# real backend: it breaks the rules of its rings and is disabled; it sends events
# without end (XSA-332), writes its nodes without end (XSA-349), posts no receive
# buffers or one (XSA-392, XSA-424). What it costs the driver domain is bounded,
# and the others are served. The long form: NR_WRITES=1000000.
. "${0%/*}/lib.sh"
. "${0%/*}/lib-net.sh"
net_requires
requires_cmd xenstore-write xenstore-utils
requires_cmd python3 python3
NR_WRITES=${NR_WRITES:-100000}
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

# A vif with nothing of the last one's in its directories.
another_vif() {
	pvsplit network-detach evil 0 --force &&
		vif_attach evil 00:16:3e:00:00:66
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

# blast.py ADDRESS SECONDS: UDP frames a second that were sent there.
cat >"$TMP/blast.py" <<'PY'
import socket, sys, time

s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
frame, n, seconds = bytes(1000), 0, float(sys.argv[2])
end = time.monotonic() + seconds
while time.monotonic() < end:
    try:
        s.sendto(frame, (sys.argv[1], 9))
        n += 1
    except OSError:
        pass
print(int(n / seconds))
PY

# blast ADDRESS SECONDS: from guest 1.
blast() {
	in_ns g1 timeout 60 python3 "$TMP/blast.py" "$1" "$2"
}

# Half of what goes to an honest guest; others may have had the CPUs meanwhile.
is_as_fast() {
	for try in 1 2 3; do
		fast=$(blast 10.99.0.12 1)
		slow=$(blast 10.99.0.66 1)
		echo "$slow frames a second, to an honest guest $fast"
		[ "$slow" -lt $((fast / 2)) ] || return 0
	done
	return 1
}

log_bytes() {
	cat "$TMP"/ip.*.err | wc -c
}

check "the network comes up" net_up || finish
worker=$(pgrep -P "$NETBACKD" -x netbackd)
store=$(pgrep -P "$(echo $daemons | awk '{ print $NF }')" -x xenstored-lite)
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

# ---- events without end, on either channel
for channel in tx rx; do
	check "xsa_332: events without end on the $channel channel" \
		start_evil $channel-events 5
	sleep 0.5
	before=$(ticks "$worker") runs_before=$(runs "$worker")
	sleep 2
	used=$(($(ticks "$worker") - before)) woken=$(($(runs "$worker") - runs_before))
	check "xsa_332: take a twentieth of a CPU at most ($used of 200 ticks)" \
		[ "$used" -le 10 ]
	check "xsa_332: and few wake-ups ($woken in 2 s)" [ "$woken" -lt 400 ]
	check "xsa_332: the others are served meanwhile" \
		ping_ok g1 10.99.0.12 1472
	check "xsa_332: and it ends" end_evil 10
done

# ---- writes without end
check "a short storm of writes" start_evil nodes 5000
check "ends" end_evil 60
check "its vif is made anew" another_vif
before=$(kib "$worker") store_before=$(kib "$store") log_before=$(log_bytes)
check "xsa_349: it writes its nodes $NR_WRITES times" \
	start_evil nodes "$NR_WRITES"
check "xsa_349: the others are served meanwhile" ping_ok g1 10.99.0.12 1472
check "xsa_349: and a vif comes and goes" sh -c "
	pvsplit network-attach guest2 vif=1,bridge=br0 &&
	pvsplit network-detach guest2 1"
check "xsa_349: it ends" end_evil 200
used=$(($(kib "$worker") - before)) stored=$(($(kib "$store") - store_before))
logged=$(($(log_bytes) - log_before))
check "xsa_349: the backend's memory is as before ($used KiB more)" \
	[ "$used" -lt 512 ]
check "xsa_349: and the store's ($stored KiB more)" [ "$stored" -lt 1024 ]
check "xsa_349: and few lines were logged ($logged bytes)" \
	[ "$logged" -lt 65536 ]

# ---- no buffers to receive into, or one
check "its vif is made anew" another_vif
blast 10.99.0.12 1 >"$TMP/log"
ip -n "$NS-g1" neigh replace 10.99.0.66 lladdr 00:16:3e:00:00:66 dev eth0
for nr in 0 1; do
	check "xsa_392, xsa_424: a guest posts $nr receive buffers, ever" \
		start_evil buffers "$nr"
	before=$(kib "$worker")
	check "xsa_392, xsa_424: frames for it hold up nobody" is_as_fast
	used=$(($(kib "$worker") - before))
	check "xsa_392, xsa_424: nor are they kept ($used KiB more)" \
		[ "$used" -lt 512 ]
	check "xsa_392, xsa_424: others reach each other" \
		wait_for 10 ping_ok g1 10.99.0.12 1472
	stop_daemon "$evil" 2>"$TMP/log"
done
check_output "the worker is the same" "$worker" pgrep -P "$NETBACKD" -x netbackd
finish
