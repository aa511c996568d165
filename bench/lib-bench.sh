# SPDX-License-Identifier: MIT
# lib-bench.sh - sourced by the benchmarks, after tests/system/lib.sh: two CPUs,
# and for whom they are.
#
#	$second			the second CPU that we may use; a generator
#				pins itself to the first (harness.h)
#	start_store NAME OPTION...: a brokerd and its store, there; its run
#				directory is $TMP/NAME, the store's pid in $PID

requires_cmd taskset util-linux
[ "$(nproc)" -ge 2 ] || skip_all "needs two CPUs"
second=$(taskset -cp $$ | sed 's/.*: //' | tr ',' '\n' |
	awk -F- '{ for (i = $1; i <= ($2 == "" ? $1 : $2); i++) print i }' |
	sed -n 2p)

start_store() {
	store_dir=$TMP/$1
	shift
	start_daemon taskset -c "$second" brokerd --run-dir "$store_dir" \
		-- "$@" || exit 1
	wait_for 10 pgrep -P "$PID" -x xenstored-lite || exit 1
	PID=$(pgrep -P "$PID" -x xenstored-lite)
}
