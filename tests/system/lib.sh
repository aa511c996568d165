# SPDX-License-Identifier: MIT
# lib.sh - sourced by the system tests: what every one of them needs.
#
#	. "${0%/*}/lib.sh"
#	requires_root
#	requires_cmd xenstore-read xenstore-utils
#	start_daemon brokerd --run-dir "$RUN"
#	check "a sentence" command arg...
#	check_fails "a sentence" command arg...
#	finish
#
# The script begins anew in a mount namespace of its own: nobody else holds its
# mounts, nor does it hold those of a test that runs beside it. Programs are
# taken from $BUILD/bin. $RUN is a fresh run directory, $TMP a scratch directory;
# both go when the script ends, however it ends, after the daemons that
# start_daemon started (the last one first). A script that needs more cleaning
# defines cleanup_more. finish prints "NAME: N passed, N failed, N skipped" and
# exits 0, 1, or 77 when all was skipped.

if [ -z "${PVSPLIT_TEST_NS:-}" ] && [ "$(id -u)" -eq 0 ]; then
	export PVSPLIT_TEST_NS=1
	exec unshare --mount --propagation private sh "$0" "$@"
fi

BUILD=${BUILD:-build/release}
case $BUILD in /*) ;; *) BUILD=$PWD/$BUILD ;; esac
PATH=$BUILD/bin:$PATH
NAME=${0##*/}
NAME=${NAME%.sh}
TMP=$(mktemp -d "${TMPDIR:-/tmp}/pvsplit.XXXXXX") || exit 1
RUN=$TMP/run
nr_passed=0 nr_failed=0 nr_skipped=0
daemons=

# wait_for SECONDS COMMAND...: until the command succeeds; 1 when it never did.
wait_for() {
	tries=$(($1 * 20))
	shift
	while ! "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		sleep 0.05
	done
}

process_gone() {
	case $(ps -o stat= -p "$1") in '' | Z*) return 0 ;; *) return 1 ;; esac
}

# stop_pid PID: SIGTERM, SIGKILL when it does not end; returns its status.
stop_pid() {
	kill "$1" 2>/dev/null
	wait_for 10 process_gone "$1" || kill -9 "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}

# backend_holds MONITOR DOMID: how many descriptors, threads, shared mappings and
# nodes of the store a backend and its worker hold, a line each.
backend_holds() {
	holder=$(pgrep -P "$1")
	echo "$(ls "/proc/$1/fd" | wc -l) descriptors of the monitor"
	echo "$(ls "/proc/$holder/fd" | wc -l) descriptors of the worker"
	echo "$(ls "/proc/$holder/task" | wc -l) threads"
	echo "$(grep -c memfd: "/proc/$holder/maps") mappings of others' pages"
	echo "$(XENSTORED_PATH=$RUN/0/xenstore \
		xenstore-ls -f "/local/domain/$2" 2>&1 | wc -l) nodes"
}

cleanup_more() {
	:
}

cleanup() {
	trap - EXIT INT TERM HUP
	cleanup_more
	for pid in $daemons; do
		stop_pid "$pid"
	done
	rm -rf "$TMP"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

# start_daemon PROGRAM ARGS...: wait for its "ready"; its pid is in $PID, its
# output in $TMP/PROGRAM.PID.out and .err. Returns 1 when it ended or is silent.
start_daemon() {
	daemon_out=$(mktemp "$TMP/${1##*/}.XXXXXX")
	"$@" >"$daemon_out" 2>"$daemon_out.err" &
	PID=$!
	daemons="$PID $daemons"
	wait_for 20 ready_or_gone "$PID" "$daemon_out"
	grep -qx ready "$daemon_out" && return 0
	echo "$1 did not become ready:" >&2
	cat "$daemon_out.err" >&2
	return 1
}

ready_or_gone() {
	grep -qx ready "$2" || process_gone "$1"
}

# stop_daemon PID: as stop_pid, and forget it.
stop_daemon() {
	rest=
	for pid in $daemons; do
		[ "$pid" = "$1" ] || rest="$rest $pid"
	done
	daemons=$rest
	stop_pid "$1"
}

pass() {
	nr_passed=$((nr_passed + 1))
	echo "ok      $1"
}

fail() {
	nr_failed=$((nr_failed + 1))
	echo "FAILED  $1"
}

skip() {
	nr_skipped=$((nr_skipped + 1))
	echo "skipped $1"
}

# check SENTENCE COMMAND...: passes when the command succeeds.
check() {
	sentence=$1
	shift
	if "$@" >"$TMP/check.log" 2>&1; then
		pass "$sentence"
	else
		fail "$sentence"
		sed 's/^/    /' "$TMP/check.log"
	fi
}

# check_fails SENTENCE COMMAND...: passes when the command fails by itself
# (a status below 126: neither missing nor killed by a signal).
check_fails() {
	sentence=$1
	shift
	"$@" >"$TMP/check.log" 2>&1
	status=$?
	if [ "$status" -ne 0 ] && [ "$status" -lt 126 ]; then
		pass "$sentence"
	else
		fail "$sentence (status $status)"
		sed 's/^/    /' "$TMP/check.log"
	fi
}

# check_output SENTENCE EXPECTED COMMAND...: compares standard output.
check_output() {
	sentence=$1
	expected=$2
	shift 2
	actual=$("$@" 2>"$TMP/check.log")
	if [ "$actual" = "$expected" ]; then
		pass "$sentence"
	else
		fail "$sentence"
		echo "    expected: $expected"
		echo "    actual:   $actual"
		sed 's/^/    /' "$TMP/check.log"
	fi
}

# check_refusal SENTENCE STATUS PATTERN COMMAND...: passes when the command ends
# with that status and says so on standard error, which is left in $TMP/err.
check_refusal() {
	sentence=$1 expected=$2 pattern=$3
	shift 3
	timeout 20 "$@" >"$TMP/out" 2>"$TMP/err"
	status=$?
	if [ "$status" -eq "$expected" ] && grep -q "$pattern" "$TMP/err"; then
		pass "$sentence"
	else
		fail "$sentence (status $status, expected $expected and '$pattern')"
		sed 's/^/    /' "$TMP/err"
	fi
}

# json_number KEY: the first such number in $TMP/json, cut to a whole one.
json_number() {
	sed -n "s/^ *\"$1\": \([0-9]*\).*/\1/p" "$TMP/json" | head -n 1
}

# ticks PID: CPU time of the whole process, in hundredths of a second.
ticks() {
	awk '{ print $14 + $15 }' "/proc/$1/stat"
}

# runs PID: how often one of its threads was put on a CPU.
runs() {
	cat /proc/"$1"/task/*/schedstat | awk '{ n += $3 } END { print n }'
}

# kib PID: its memory.
kib() {
	awk '/^VmRSS/ { print $2 }' "/proc/$1/status"
}

finish() {
	echo "$NAME: $nr_passed passed, $nr_failed failed, $nr_skipped skipped"
	[ "$nr_failed" -eq 0 ] || exit 1
	[ "$nr_passed" -gt 0 ] || exit 77
	exit 0
}

# skip_all REASON: the whole script cannot run here.
skip_all() {
	skip "$NAME: $1"
	finish
}

requires_root() {
	[ "$(id -u)" -eq 0 ] || skip_all "needs root"
}

# requires_cmd COMMAND PACKAGE
requires_cmd() {
	command -v "$1" >/dev/null 2>&1 || skip_all "needs $1 (package $2)"
}
