#!/bin/sh
# SPDX-License-Identifier: MIT
# Figures of disks, with real daemons and a real frontend: they are right, they
# are written only when they are asked for, and top shows what goes on.
. "${0%/*}/lib.sh"
requires_root
requires_cmd python3 python3
requires_cmd xenstore-write xenstore-utils
[ -c /dev/fuse ] || skip_all "needs /dev/fuse"

PVSPLIT_RUN=$RUN
export PVSPLIT_RUN
mkdir "$TMP/a"

cleanup_more() {
	fusermount3 -u -z "$TMP/a" 2>/dev/null
}

as_0() {
	XENSTORED_PATH=$RUN/0/xenstore timeout 20 "$@"
}

# json EXPRESSION COMMAND...: true of the "s" that the command prints.
json() {
	expression=$1
	shift
	timeout 30 "$@" >"$TMP/json" || return 1
	python3 -c 'import json, sys
s = json.load(open(sys.argv[1]))
sys.exit(0 if eval("(" + sys.argv[2] + ")") else 1)' "$TMP/json" "$expression" && return
	head -c 3000 "$TMP/json"
	return 1
}

stats() {
	json "$1" pvsplit block-stats one xvda --json
}

start_daemon brokerd --run-dir "$RUN" || finish
for name in storage one; do
	pvsplit domain-create $name >/dev/null
done
start_daemon blkbackd --run-dir "$RUN" --domain 1 --workers "$(nproc)" || finish
blkbackd=$PID
check_output "without disks there is a title" 1 sh -c "pvsplit block-stats | wc -l"
pvsplit block-attach one mem:64M,raw,xvda,w >/dev/null
check "a disk that is not connected has no figures" \
	stats "'statistics' not in s[0] and s[0]['vdev'] == 'xvda'"
start_daemon blkfront-fuse --domain 2 --vdev 51712 "$TMP/a" || finish
A=$TMP/a/disk

# ---- what is counted
check "nothing was done at first" stats "s[0]['statistics']['write-ops'] == 0"
dd if=/dev/urandom of="$A" bs=1M count=16 oflag=direct conv=notrunc,fsync 2>/dev/null
dd if="$A" of=/dev/null bs=4k count=500 iflag=direct 2>/dev/null
check "bytes written are counted" \
	stats "s[0]['statistics']['write-bytes'] == 16 << 20"
check "and requests, read and written" \
	stats "s[0]['statistics']['read-ops'] >= 500 and
	s[0]['statistics']['read-bytes'] >= 500 * 4096 and
	0 < s[0]['statistics']['write-ops'] < 5000 and
	s[0]['statistics']['flush-ops'] >= 1"
check "without errors" stats "all(s[0]['statistics'][k + '-errors'] == 0
	for k in ('read', 'write', 'flush', 'discard')) and
	s[0]['statistics']['refused'] == 0"
check "latencies are in their order" stats "all(
	0 < f[k + '-p50'] <= f[k + '-p90'] <= f[k + '-p99'] <= f[k + '-p999'] <= f[k + '-max']
	for f in [s[0]['statistics']] for k in ('read-latency-ns', 'write-latency-ns'))"
check "queues add up" stats "(lambda f: all(
	sum(q[k] for q in f['per-queue']) == f[k]
	for k in ('read-ops', 'write-bytes')) if 'per-queue' in f else f['queues'] == 1)(s[0]['statistics'])"
check "the histograms are whole" stats "(lambda f: all(
	sum(b['count'] for b in f['histograms'][k + '-latency-ns']) == f[k + '-ops'] and
	f['histograms'][k + '-latency-ns'][-1]['low'] <= f[k + '-latency-ns-max'] and
	all(a['high'] < b['low'] for a, b in zip(f['histograms'][k + '-latency-ns'],
		f['histograms'][k + '-latency-ns'][1:]))
	for k in ('read', 'write')) and f['histograms']['depth'])(s[0]['statistics'])"
check "the table shows it" sh -c \
	"pvsplit block-stats one | grep -E '^one +xvda +[0-9]+ +[0-9]+ +0 +[0-9.]+ (ns|us|ms)'"

# ---- a limit shows
pvsplit block-limit one xvda --iops 20 --burst 0 >/dev/null
timeout 2 sh -c "while :; do dd if='$A' of=/dev/null bs=4k count=1 iflag=direct; done" 2>/dev/null
check "waiting for a limit is throttled, busy and stalled time" \
	stats "10**9 < s[0]['statistics']['throttled-ns'] < 3 * 10**9 and
	s[0]['statistics']['busy-ns'] >= s[0]['statistics']['throttled-ns'] > 0 and
	s[0]['statistics']['stalled-ns'] > 10**9 and
	s[0]['statistics']['read-latency-ns-max'] > 40 * 10**6"
pvsplit block-limit one xvda --none >/dev/null

# ---- top
timeout 120 sh -c "while :; do dd if='$A' of=/dev/null bs=4k count=100 iflag=direct; done" 2>/dev/null &
load=$!
check "top shows a domain's requests a second" sh -c \
	"pvsplit top --batch --iterations 2 --delay 1 >'$TMP/top' && grep -Eq '^one +2 +1 +[1-9][0-9]+ +0 ' '$TMP/top'"
check_output "as many tables as asked for" 2 grep -c '^DOMAIN' "$TMP/top"
check "as JSON" json "s[0]['reads-per-second'] > 10 and s[0]['vbds'] == 1" \
	pvsplit top --iterations 1 --delay 1 --json
(for i in 1 2 3 4 5 6; do pvsplit block-stats --json >"$TMP/par.$i" & done; wait)
check_output "several may ask at once" 6 sh -c \
	"grep -l write-ops '$TMP'/par.* | wc -l"
kill "$load" 2>/dev/null
wait "$load" 2>/dev/null

# ---- a ring that is full
pvsplit block-attach one "format=raw,vdev=xvdb,access=w,target=fault:read:delay=1s,mem:64M" >/dev/null
pvsplit block-bench one xvdb --depth 1024 --runtime 6 >/dev/null 2>&1 &
bench=$!
# Full is looked for between batches, busy is known within: they may differ by a
# batch each time.
full() {
	json "len(s) == 1 and 'statistics' in s[0] and
	s[0]['statistics']['ring-full-ns'] > 10**9 and
	s[0]['statistics']['ring-full-ns'] <= s[0]['statistics']['busy-ns'] + 10**8" \
		pvsplit block-stats one xvdb --json
}
check "a ring that is full is seen" wait_for 10 full
check "also by top" json "s[0]['full-percent'] > 50 and s[0]['read-us'] > 100000" \
	pvsplit top --iterations 1 --delay 1 --json
wait "$bench"
pvsplit block-detach one xvdb >/dev/null

# ---- nothing that was not asked for
left() {
	as_0 xenstore-ls /local/domain/1/backend/vbd/2/51712 | grep -c statistics
}
check_output "figures do not stay in the store" 0 left
cpu() {
	cat /proc/"$(pgrep -P "$blkbackd" -f -- --worker)"/task/*/status |
		awk '/^voluntary_ctxt/ { n += $2 } END { print n }'
}
still() {
	before=$(cpu)
	sleep 5
	[ "$(cpu)" = "$before" ]
}
sleep 1
# The clock that lets idle pages go ticks every 40 s: in one of the two at most.
twice() {
	still || still
}
check "an idle disk wakes nobody" twice
check "usage: top --delay 0 is status 2" sh -c "pvsplit top --delay 0; [ \$? -eq 2 ]"
check_fails "a disk that is not there is refused" pvsplit block-stats one xvdz
check_fails "so is a domain" pvsplit block-stats nobody
check "no sanitizer complained" sh -c "! grep -h Sanitizer '$TMP'/*.err"
finish
