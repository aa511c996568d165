#!/bin/sh
# SPDX-License-Identifier: MIT
# Limits of disks, with real daemons and a real frontend: they hold, they are
# changed while requests wait, groups share theirs, and nonsense is refused.
. "${0%/*}/lib.sh"
requires_root
requires_cmd python3 python3
requires_cmd xenstore-write xenstore-utils
[ -c /dev/fuse ] || skip_all "needs /dev/fuse"

PVSPLIT_RUN=$RUN
export PVSPLIT_RUN
mkdir "$TMP/a" "$TMP/b"

cleanup_more() {
	fusermount3 -u -z "$TMP/a" 2>/dev/null
	fusermount3 -u -z "$TMP/b" 2>/dev/null
}

# load.py FILE SECONDS SIZE read|write [GO]: requests of SIZE, several at a time,
# for so long; first it makes GO.SIZE and waits for GO. Prints how many there
# were, in how many ms, and for how many of them the machine let nobody run: a
# thread that only sleeps woke that much too late; and how many were done in time.
cat >"$TMP/load.py" <<'PY'
import mmap, os, sys, threading, time

path, seconds, size, mode = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
fd = os.open(path, os.O_RDWR | os.O_DIRECT)
span = os.fstat(fd).st_size // size
if len(sys.argv) > 5:
    open(sys.argv[5] + "." + sys.argv[3], "w").close()
    while not os.path.exists(sys.argv[5]):
        time.sleep(0.002)
begin = time.monotonic()
done = []
in_time = [0] * 8
stalled = 0

def work(i):
    buf = mmap.mmap(-1, size)
    at = i
    n = 0
    while time.monotonic() - begin < seconds:
        if mode == "read":
            os.preadv(fd, [buf], at % span * size)
        else:
            os.pwritev(fd, [buf], at % span * size)
        at += 8
        n += 1
        if time.monotonic() - begin < seconds:
            in_time[i] = n
    done.append(n)

threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
for t in threads:
    t.start()
while any(t.is_alive() for t in threads):
    at = time.monotonic()
    time.sleep(0.02)
    late = time.monotonic() - at - 0.02
    stalled += late if late > 0.02 else 0
took = time.monotonic() - begin
print(sum(done), int(took * 1000), int(min(stalled, took * 0.8) * 1000),
      sum(in_time))
PY

# load FILE SECONDS SIZE MODE: the same, in $nr, $ms, $stalled_ms, $per_s.
load() {
	timeout 60 python3 "$TMP/load.py" "$@" >"$TMP/rate" || return 1
	read -r nr ms stalled_ms _ <"$TMP/rate"
	per_s=$((nr * 1000 / ms))
	echo "$nr requests in $ms ms, $stalled_ms of them stalled"
}

# within NR WANT MS STALLED: so many in that time are WANT a second, at most a
# tenth off. Never more in all of it; no fewer in what the machine let us have.
within() {
	echo "$1 in $3 ms ($4 of them stalled), wanted $2 a second"
	[ $(($1 * 10000)) -le $(($2 * 11 * $3)) ] &&
		[ $(($1 * 10000)) -ge $(($2 * 9 * ($3 - $4))) ]
}

holds_iops() {
	want=$1
	shift
	load "$@" && within "$nr" "$want" "$ms" "$stalled_ms"
}

holds_bytes() {
	want=$1
	shift
	load "$@" && within $((nr * $3)) "$want" "$ms" "$stalled_ms"
}

# is_free FILE: twice what any of the limits allows, or, on a slow machine, half
# of what there was before there were any.
is_free() {
	load "$1" 1 4096 read &&
		{ [ "$per_s" -ge 2048 ] || [ "$per_s" -ge $((free / 2)) ]; }
}

# keeps_to WANT FILE...: goes on, never faster than WANT a second.
keeps_to() {
	want=$1
	shift
	load "$@" && [ $((nr * 10000)) -le $((want * 11 * ms)) ] &&
		[ $((nr * 2000)) -ge $((want * ms)) ]
}

is_fast() {
	load "$A" 1 4096 read && free=$per_s && [ "$free" -ge 1000 ]
}

log_says() {
	cat "$TMP"/blkbackd.*.err | grep -q -- "$1"
}

# even A B: the two loads do not begin at quite the same moment, so a quarter.
even() {
	[ $(($1 * 4)) -le $(($2 * 5)) ] && [ $(($2 * 4)) -le $(($1 * 5)) ]
}

# ---- start
start_daemon brokerd --run-dir "$RUN" || finish
for name in storage one two; do
	pvsplit domain-create $name >/dev/null
done
start_daemon blkbackd --run-dir "$RUN" --domain 1 --workers "$(nproc)" || finish
blkbackd=$PID
for d in "one a 2" "two b 3"; do
	set -- $d
	pvsplit block-attach "$1" "mem:64M,raw,xvda,w" >/dev/null
	start_daemon blkfront-fuse --domain "$3" --vdev 51712 "$TMP/$2" || finish
done
A=$TMP/a/disk B=$TMP/b/disk
NODE=/local/domain/1/backend/vbd/2/51712

as_0() {
	XENSTORED_PATH=$RUN/0/xenstore timeout 20 "$@"
}

check_output "there are no limits at first" "domain 2, xvda: no limits" \
	pvsplit block-limit one xvda
check "and it is fast" is_fast

# ---- each kind
check_output "a limit is set" "domain 2, xvda: iops=300" \
	pvsplit block-limit one xvda --iops 300
check "requests a second hold" holds_iops 300 "$A" 3 4096 read
check "for writes as well" holds_iops 300 "$A" 3 4096 write
check_output "another is added" "domain 2, xvda: iops=300,write-bytes=2097152" \
	pvsplit block-limit one xvda --write-bytes 2M
check "bytes written a second hold" holds_bytes 2097152 "$A" 3 65536 write
check "requests read still have their own limit" \
	holds_iops 300 "$A" 3 4096 read
check_output "one is taken away" "domain 2, xvda: write-bytes=2097152" \
	pvsplit block-limit one xvda --iops 0
check "bytes of large requests hold" holds_bytes 2097152 "$A" 4 1048576 write
check "reading is free again" is_free "$A"
check "the listing shows it" sh -c "pvsplit block-list --json | python3 -c '
import json, sys
d = json.load(sys.stdin)
assert d[0][\"limits\"] == {\"write-bytes\": 2097152, \"burst-ms\": 100}, d
assert \"limits\" not in d[1]'"

# ---- changed while requests wait
pvsplit block-limit one xvda --none --json >/dev/null
pvsplit block-limit one xvda --iops 2 >/dev/null
python3 "$TMP/load.py" "$A" 2 4096 read >"$TMP/live" &
live=$!
sleep 1
pvsplit block-limit one xvda --iops 4000 >/dev/null
wait "$live"
# The old limit would have let 4 requests pass.
check "a change is obeyed by requests that wait" sh -c "
	read n rest <'$TMP/live'; echo \$n; [ \$n -gt 100 ] && [ \$n -lt 7600 ]"
pvsplit block-limit one xvda --iops 1 >/dev/null
python3 "$TMP/load.py" "$A" 0.5 4096 read >"$TMP/live" &
live=$!
sleep 0.7
pvsplit block-limit one xvda --none >/dev/null
# Eight wait, one a second.
check "the end of a limit lets them go" wait_for 4 process_gone "$live"
wait "$live"

# ---- a burst
pvsplit block-limit one xvda --iops 100 --burst 2000 >/dev/null
sleep 2.5
saved_up() {
	load "$A" 0.5 4096 read && [ "$nr" -ge 200 ] &&
		[ "$nr" -le $((210 + ms / 10)) ]
}
check "what was saved up passes at once" saved_up
pvsplit block-limit one xvda --none >/dev/null

# ---- a group, over two disks and several data threads
pvsplit block-limit one xvda --group gold --iops 1000 >/dev/null
check_output "a second disk joins a group" \
	"domain 3, xvda: no limits; group gold: iops=1000" \
	pvsplit block-limit two xvda --group gold
# The two begin together, however long an interpreter takes to start.
both() {
	go=$TMP/go.$1.$2
	python3 "$TMP/load.py" "$A" 3 "$1" read "$go" >"$TMP/rate.a" &
	first=$!
	wait_for 20 test -e "$go.$1" && rm "$go.$1"
	python3 "$TMP/load.py" "$B" 3 "$2" read "$go" >"$TMP/rate.b" &
	other=$!
	wait_for 20 test -e "$go.$2"
	: >"$go"
	wait "$first" "$other"
	read -r nr_a ms_a stalled_a in_time_a <"$TMP/rate.a"
	read -r nr_b ms_b stalled_b in_time_b <"$TMP/rate.b"
	[ "$ms_a" -ge "$ms_b" ] || ms_a=$ms_b
	[ "$stalled_a" -ge "$stalled_b" ] || stalled_a=$stalled_b
	nr_a=$((nr_a * $1)) nr_b=$((nr_b * $2))
	in_time_a=$((in_time_a * $1)) in_time_b=$((in_time_b * $2))
	echo "$nr_a + $nr_b bytes, in time $in_time_a + $in_time_b"
}
both_iops() {
	both 4096 4096
	within $(((nr_a + nr_b) / 4096)) "$1" "$ms_a" "$stalled_a" &&
		even "$in_time_a" "$in_time_b"
}
both_bytes() {
	both 4096 131072
	within $((nr_a + nr_b)) "$1" "$ms_a" "$stalled_a" &&
		even "$in_time_a" "$in_time_b"
}
check "a group shares its requests evenly" both_iops 1000
check "its limit is changed for all" sh -c \
	"pvsplit block-limit two xvda --group gold --iops 0 --bytes 4M | grep -q bytes=4194304"
check "a group shares its bytes evenly, whatever the sizes" both_bytes 4194304
pvsplit block-limit two xvda --none >/dev/null
check "who is alone in it has all of it" holds_bytes 4194304 "$A" 3 65536 read
check "who left it has no limit" is_free "$B"
pvsplit block-limit one xvda --none >/dev/null

# ---- over a worker's death
pvsplit block-limit one xvda --iops 300 >/dev/null
(sleep 1; kill -9 "$(pgrep -P "$blkbackd" -f -- --worker)") &
check "a worker's successor keeps to the limit" keeps_to 300 "$A" 4 4096 write

# ---- what is wrong
for bad in "iops=banana" "iops=0" "iops=5,iops=6" "speed=9"; do
	as_0 xenstore-write $NODE/limit-rates "$bad"
	check "'$bad' is refused in one line" wait_for 5 log_says \
		"vbd d2/51712: limit-rates: '$bad' is refused"
done
as_0 xenstore-write $NODE/limit-group "no/such name"
check "so is a bad group" wait_for 5 log_says "limit-group: 'no/such name' is refused"
check "and the old limit stays" holds_iops 300 "$A" 3 4096 read
pvsplit block-limit one xvda --none >/dev/null
for args in "--iops x" "--iops -1" "--bytes 1" "--bytes 99999T" "--burst 60001" \
	"--group a/b" "--none --iops 5"; do
	check "usage: [$args] is status 2" sh -c \
		"pvsplit block-limit one xvda $args; [ \$? -eq 2 ]"
done
check_fails "a disk that is not there is refused" pvsplit block-limit one xvdz
check_fails "so is a domain" pvsplit block-limit nobody xvda

# ---- detach while a limit holds requests back
pvsplit block-limit one xvda --iops 1 --burst 0 >/dev/null
python3 "$TMP/load.py" "$A" 30 4096 read >/dev/null 2>&1 &
live=$!
sleep 0.5
check "a detach does not wait for a limit" timeout 10 pvsplit block-detach one xvda --force
kill -9 "$live" 2>/dev/null
fusermount3 -u -z "$TMP/a"
wait "$live" 2>/dev/null
check "no sanitizer complained" sh -c "! grep -h Sanitizer '$TMP'/*.err"
finish
