# SPDX-License-Identifier: MIT
# blk-hostile.sh - guests that do one thing without end, against real backends:
# events without requests (XSA-332), writes of the nodes that the backend
# watches (XSA-349). What it costs the driver domain is bounded, and so is what
# its other guests notice. The long form, a minute or so: NR_WRITES=1000000.
. "${0%/*}/lib.sh"
requires_root
NR_WRITES=${NR_WRITES:-200000}
HOSTILE=$BUILD/tests/system/blk_hostile
[ -x "$HOSTILE" ] || skip_all "needs $HOSTILE (make test-programs)"
PVSPLIT_RUN=$RUN
export PVSPLIT_RUN

start_daemon brokerd --run-dir "$RUN" || exit 1
store=$(pgrep -P "$PID" -x xenstored-lite)
check "domains" sh -c "pvsplit domain-create storage &&
	pvsplit domain-create evil && pvsplit domain-create good"
start_daemon blkbackd --run-dir "$RUN" --domain 1 || exit 1
monitor=$PID
worker=$(pgrep -P "$monitor")
evil= # the hostile guest, when there is one

# start_evil WHAT NUMBER: once it is connected.
start_evil() {
	pvsplit block-attach evil null:64M,raw,xvda,rw >"$TMP/log" || return 1
	start_daemon "$HOSTILE" "$RUN" 2 "$1" "$2" || return 1
	evil=$PID
}

end_evil() {
	wait_for "$1" process_gone "$evil" || return 1
	wait "$evil" || return 1
	pvsplit block-detach evil xvda --force
}

# Requests a second of the other guest, at depth 1 for a second.
speed() {
	blkfront-bench --domain 3 --vdev xvda --depth 1 --runtime 1 --json \
		2>"$TMP/log" | grep -o '"requests-per-second": *[0-9]*' | head -1 | tr -dc 0-9
}

# Others may have had the CPUs for one of the seconds, not for five.
is_fast() {
	for second in 1 2 3 4 5; do
		fast=$(speed)
		echo "$fast requests a second, $calm before"
		[ "$fast" -le $((calm / 2)) ] || return 0
	done
	return 1
}

# Ten disks of the other guest come and go; each in at most 2 s.
others_attach() {
	for name in b c d e f g h i j k; do
		timeout 2 pvsplit block-attach good \
			"null:1M,raw,xvd$name,rw" || return 1
	done
	for name in b c d e f g h i j k; do
		timeout 2 pvsplit block-detach good "xvd$name" || return 1
	done
}

check "the other guest has a disk" \
	pvsplit block-attach good null:64M,raw,xvda,rw
# The hostile guest takes a CPU, which is nobody's fault: what it costs others to
# share the rest is part of the measure.
timeout 20 sh -c 'while :; do :; done' &
busy=$!
calm=$(speed)
kill "$busy"
wait "$busy" 2>/dev/null
check "and it is served" [ "${calm:-0}" -gt 0 ]

check "xsa_332: a guest sends events without end" start_evil events 12
sleep 0.5
before=$(ticks "$worker") runs_before=$(runs "$worker")
sleep 2
used=$(($(ticks "$worker") - before)) woken=$(($(runs "$worker") - runs_before))
check "xsa_332: that takes less than a twentieth of a CPU ($used of 200 ticks)" \
	[ "$used" -lt 10 ]
check "xsa_332: and few wake-ups ($woken in 2 s)" [ "$woken" -lt 250 ]
check "xsa_332: the other guest keeps its speed" is_fast
check "xsa_332: disks come and go meanwhile" others_attach
check "xsa_332: in the end its disk is taken away" end_evil 30

check "a short storm of writes" start_evil nodes 5000
check "ends" end_evil 60
before=$(kib "$worker") store_before=$(kib "$store")
check "xsa_349: a guest writes its state $NR_WRITES times" \
	start_evil nodes "$NR_WRITES"
check "xsa_349: disks come and go meanwhile" others_attach
check "xsa_349: the other guest is served" is_fast
check "xsa_349: in the end its disk is taken away" end_evil 900
used=$(($(kib "$worker") - before)) stored=$(($(kib "$store") - store_before))
check "xsa_349: the backend's memory is as before ($used KiB more)" \
	[ "$used" -lt 512 ]
check "xsa_349: and the store's ($stored KiB more)" [ "$stored" -lt 1024 ]
check_output "the worker is the same" "$worker" pgrep -P "$monitor"
finish
