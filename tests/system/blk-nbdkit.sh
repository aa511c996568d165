#!/bin/sh
# SPDX-License-Identifier: MIT
# A split disk as an NBD export: nbdkit with our plugin, and clients that are
# not ours (nbdinfo, nbdcopy, qemu-img) through it. The backend dies meanwhile.
. "${0%/*}/lib.sh"
requires_root
requires_cmd nbdkit nbdkit
requires_cmd nbdcopy libnbd-bin
requires_cmd nbdinfo libnbd-bin
requires_cmd qemu-img qemu-utils
requires_cmd qemu-io qemu-utils
plugin=$BUILD/lib/nbdkit-pvsplit-plugin.so
[ -e "$plugin" ] || skip_all "the plugin was left out of this build"

PVSPLIT_RUN=$RUN
export PVSPLIT_RUN
IMG=$TMP/disk.img
SOCK=$TMP/nbd.sock
URI="nbd+unix:///?socket=$SOCK"
MB=64

start_blkbackd() {
	start_daemon blkbackd --run-dir "$RUN" --domain 1 || return 1
	blkbackd_pid=$PID
}

# serve ARG...: nbdkit in the foreground, until it listens.
serve() {
	nbdkit -f -U "$SOCK" "$plugin" domain=2 vdev=xvda "$@" \
		>"$TMP/nbdkit.log" 2>&1 &
	nbdkit_pid=$!
	daemons="$nbdkit_pid $daemons"
	wait_for 10 test -S "$SOCK" && return 0
	cat "$TMP/nbdkit.log" >&2
	return 1
}

stop_serving() {
	stop_daemon "$nbdkit_pid"
	status=$?
	rm -f "$SOCK"
	return $status
}

# refuses SENTENCE PATTERN ARG...: nbdkit ends, with a line that says why.
refuses() {
	sentence=$1 pattern=$2
	shift 2
	timeout 20 nbdkit -f -U "$TMP/no.sock" "$plugin" "$@" >"$TMP/out" 2>&1
	status=$?
	if [ $status -eq 1 ] && grep -q "$pattern" "$TMP/out"; then
		pass "$sentence"
	else
		fail "$sentence (status $status, expected 1 and '$pattern')"
		sed 's/^/    /' "$TMP/out"
	fi
}

# ---- wrong input
refuses "no domain" "domain is missing"
refuses "no vdev" "vdev is missing" domain=2
refuses "a domain that is no number" "not a domain's number" domain=web vdev=xvda
refuses "a domain beyond all" "not a domain's number" domain=65536 vdev=xvda
refuses "a disk that has no such name" "not a disk's name" domain=2 vdev=vda1
refuses "an unknown parameter" "unknown parameter 'disk'" \
	domain=2 vdev=xvda disk=3
refuses "an unknown policy" "use reissue, queue or fail" \
	domain=2 vdev=xvda policy=hope
refuses "a queue too few" "from 2 to 64" domain=2 vdev=xvda queues=1
refuses "queues beyond all" "from 2 to 64" domain=2 vdev=xvda queues=65
refuses "no brokerd" "brokerd" domain=2 vdev=xvda

start_daemon brokerd --run-dir "$RUN" || finish
truncate -s ${MB}M "$IMG"
check "two domains" sh -c \
	"pvsplit domain-create storage && pvsplit domain-create g"
refuses "no such disk" "pvsplit block-attach" domain=2 vdev=xvda
start_blkbackd || finish
check "a disk" pvsplit block-attach g "$IMG,raw,xvda,rw"

# ---- clients
serve || finish
check_output "nbdinfo knows its size" $((MB << 20)) nbdinfo --size "$URI"
check "it can flush" nbdinfo --can flush "$URI"
check "and be used over several connections" nbdinfo --can multi-conn "$URI"
check "it is not read-only" sh -c "! nbdinfo --is readonly '$URI'"
refuses "the disk cannot be served twice" "in use by another process" \
	domain=2 vdev=xvda

dd if=/dev/urandom of="$TMP/data" bs=1M count=$MB status=none
check "nbdcopy writes it, over four connections" \
	nbdcopy --flush --connections=4 "$TMP/data" "$URI"
check "the image holds the same" cmp "$TMP/data" "$IMG"
check "nbdcopy reads it" nbdcopy "$URI" "$TMP/back"
check "and gets the same" cmp "$TMP/data" "$TMP/back"
check "qemu-img compares equal" qemu-img compare -f raw -F raw \
	"$TMP/data" "$URI"
check "qemu-img makes a qcow2 of it" \
	qemu-img convert -f raw -O qcow2 "$URI" "$TMP/disk.qcow2"
check "which holds the same" qemu-img compare -f raw -F qcow2 \
	"$TMP/data" "$TMP/disk.qcow2"
truncate -s ${MB}M "$TMP/zero"
dd if="$TMP/data" of="$TMP/zero" bs=1M count=8 seek=20 conv=notrunc status=none
qemu-img convert -f raw -O qcow2 "$TMP/zero" "$TMP/zero.qcow2"
check "qemu-img writes a qcow2 with holes to it" \
	qemu-img convert -n -f qcow2 -O raw "$TMP/zero.qcow2" "$URI"
check "zeros included" cmp "$TMP/zero" "$IMG"
for at in 1 511 4095 1000001; do
	for size in 1 513 70001; do
		qemu-io -f raw -c "write -P 0x78 $at $size" "$URI" >"$TMP/qio" &&
			qemu-io -f raw -c "write -P 0x78 $at $size" \
				"$TMP/zero" >"$TMP/qio"
	done
done
check "writes at any byte change those bytes only" cmp "$TMP/zero" "$IMG"
check_fails "nothing is read past the end" \
	qemu-io -f raw -c "read $((MB << 20)) 512" "$URI"
check "a trim is taken" \
	qemu-io -f raw -d unmap -c "discard 1M 1M" -c "flush" "$URI"

# ---- nobody polls what is idle
switches() {
	cat /proc/"$nbdkit_pid"/task/*/status |
		awk '/_ctxt_switches/ { n += $2 } END { print n }'
}
sleep 1
before=$(switches)
sleep 3
check_output "without clients nothing wakes" "$before" switches

# ---- the backend dies in the middle
copy_while() {
	sentence=$1
	shift
	i=0
	(
		while [ $i -lt 4 ]; do
			nbdcopy --flush "$TMP/data" "$URI" || exit 1
			i=$((i + 1))
		done
	) 2>"$TMP/copy.log" &
	copy=$!
	sleep 0.1
	"$@"
	wait $copy
	check "$sentence" test $? -eq 0
	check "... and every byte is right" cmp "$TMP/data" "$IMG"
}

kill_worker() {
	for pid in $(pgrep -P "$blkbackd_pid"); do
		kill -9 "$pid"
	done
}

kill_all_and_restart() {
	worker=$(pgrep -P "$blkbackd_pid")
	kill -9 "$blkbackd_pid" $worker
	stop_daemon "$blkbackd_pid" 2>/dev/null
	start_blkbackd
}

copy_while "a copy goes on when the worker is killed" kill_worker
copy_while "a copy goes on when all of blkbackd is killed and comes again" \
	kill_all_and_restart

# ---- ends
check "it ends with SIGTERM" stop_serving
serve policy=fail || finish
worker=$(pgrep -P "$blkbackd_pid")
kill -9 "$blkbackd_pid" $worker
stop_daemon "$blkbackd_pid" 2>/dev/null
check_fails "without its backend and with policy=fail a read fails" \
	nbdcopy "$URI" null:
start_blkbackd || finish
check "and works when the backend is back" \
	wait_for 10 nbdcopy "$URI" null:
pvsplit block-detach g xvda
check "nbdkit ends when the disk is detached" \
	wait_for 15 process_gone "$nbdkit_pid"
rm -f "$SOCK"

check "attached read-only" pvsplit block-attach g "$IMG,raw,xvda,r"
# in the background, as nbdkit does by itself
check "nbdkit in the background" nbdkit -P "$TMP/nbdkit.pid" -U "$SOCK" \
	"$plugin" domain=2 vdev=51712 run-dir="$RUN"
check "a read-only disk is a read-only export" nbdinfo --is readonly "$URI"
check "that is read" nbdcopy "$URI" "$TMP/back"
check "equal" cmp "$IMG" "$TMP/back"
kill "$(cat "$TMP/nbdkit.pid")"
check "and ends" wait_for 10 process_gone "$(cat "$TMP/nbdkit.pid")"
pvsplit block-detach g xvda
finish
