#!/bin/sh
# SPDX-License-Identifier: MIT
# xenstore.sh - starts what bench/xenstore.c compares: three stores and two
# redis-servers, all on the second CPU.
# Usage: xenstore.sh [short]
mode=${1:-full}
TMPDIR=${TMPDIR:-/dev/shm} # memory, as /run is
. "${0%/*}/../tests/system/lib.sh"
. "${0%/*}/lib-bench.sh"
requires_root
requires_cmd redis-server redis-server
ulimit -n "$(ulimit -Hn)" # thousands of connections

# Both add their socket and process to the arguments.
store() {
	start_store "$@"
	arguments="$arguments $TMP/$1/0/xenstore $PID"
}

redis() {
	dir=$TMP/$1
	shift
	mkdir "$dir" || exit 1
	taskset -c "$second" redis-server --port 0 --unixsocket "$dir/socket" \
		--dir "$dir" --save '' --maxclients 4000 \
		--notify-keyspace-events 'K$' "$@" >"$dir/log" 2>&1 &
	daemons="$! $daemons"
	wait_for 10 test -S "$dir/socket" || exit 1
	arguments="$arguments $dir/socket $!"
}

arguments=
store plain --no-journal
store many --no-journal
store journal
redis redis --appendonly no
redis file --appendonly yes --appendfsync no
# shellcheck disable=SC2086 # one word each
"$BUILD/bench/xenstore" "$mode" $arguments
