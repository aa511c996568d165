#!/bin/sh
# SPDX-License-Identifier: MIT
# xenstore.sh - starts what bench/xenstore.c compares: three stores and two
# redis-servers, all on the second CPU; the generator has the first.
# Usage: xenstore.sh [short]
mode=${1:-full}
. "${0%/*}/../tests/system/lib.sh"
requires_root
requires_cmd redis-server redis-server
requires_cmd taskset util-linux
[ "$(nproc)" -ge 2 ] || skip_all "needs two CPUs"
second=$(taskset -cp $$ | sed 's/.*: //' | tr ',' '\n' |
	awk -F- '{ for (i = $1; i <= ($2 == "" ? $1 : $2); i++) print i }' |
	sed -n 2p)

# store NAME OPTION...: adds its socket and process to the arguments.
store() {
	dir=$TMP/$1
	shift
	start_daemon taskset -c "$second" brokerd --run-dir "$dir" -- "$@" ||
		exit 1
	wait_for 10 pgrep -P "$PID" -x xenstored-lite || exit 1
	arguments="$arguments $dir/0/xenstore $(pgrep -P "$PID" -x xenstored-lite)"
}

# redis NAME OPTION...: the same.
redis() {
	dir=$TMP/$1
	shift
	mkdir "$dir" || exit 1
	taskset -c "$second" redis-server --port 0 --unixsocket "$dir/socket" \
		--dir "$dir" --save '' --maxclients 4000 \
		--notify-keyspace-events 'K$' "$@" >"$dir/log" 2>&1 &
	daemons="$! $daemons"
	arguments="$arguments $dir/socket $!"
	wait_for 10 test -S "$dir/socket" || exit 1
}

ulimit -n "$(ulimit -Hn)"
arguments=
store plain --no-journal
store many --no-journal
store journal
redis redis --appendonly no
redis file --appendonly yes --appendfsync no
# shellcheck disable=SC2086 # one word each
"$BUILD/bench/xenstore" "$mode" $arguments
