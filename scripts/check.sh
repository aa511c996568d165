#!/bin/sh
# SPDX-License-Identifier: MIT
# Run tests that were built, side by side, and count them.
# Usage: check.sh KIND[@BUILD]...
# KIND: unit, threads (those of unit that start threads), corpus, model, oracle,
# system; soak (those that have a long form, with SOAK set). BUILD: the folder of
# the build ($BUILD, or build/release). Begun in this order, but what measures
# time or shares comes last and runs alone.
# JOBS: how many run side by side (one more than there are CPUs).
# Each test program ends with "NAME: N passed, N failed[, N skipped]"; a system
# test may exit 77 when all of it was skipped. Failing output is shown whole; a
# test that does not end is ended, and named.
set -u
default=${BUILD:-build/release}
JOBS=${JOBS:-$(($(nproc) + 1))}
scripts=${0%/*}
dir=$(mktemp -d)
: >"$dir/counts"
: >"$dir/plan"

alone='unit/limiter unit/net_waiting unit/spin unit/worker unit/worker_fair
	unit/worker_wait hostile/store_busy system/blk-hostile system/block-limit
	system/block-stats system/net-hostile system/store-restart'

# Each test is a process group of its own, which timeout ends.
stop_all() {
	trap - EXIT INT TERM HUP
	cat "$dir"/running.* 2>/dev/null | xargs -r kill 2>/dev/null
	wait
	rm -rf "$dir"
}
trap stop_all EXIT
trap 'exit 130' INT TERM HUP

# ---- what is to be run -------------------------------------------------------

# plan TEST SECONDS COMMAND: of $build; the command has that long.
plan() {
	echo "$2|$1$suffix|BUILD=$build exec timeout -k 10 $2 $3" >>"$dir/plan"
}

plan_kind() {
	case $1 in
	unit)
		for src in tests/abi/*.c tests/unit/*.c tests/sim/*.c \
			tests/hostile/*.c; do
			plan "${src%.c}" 240 "$build/${src%.c}"
		done
		;;
	threads)
		for t in $("$scripts/threads.sh" "$default"); do
			plan "$t" 240 "$build/$t"
		done
		;;
	corpus)
		for src in tests/fuzz/fuzz_*.c; do
			n=${src##*/fuzz_}
			n=${n%.c}
			plan "tests/fuzz/corpus/$n" 240 \
				"$build/tests/fuzz/replay_$n tests/fuzz/corpus/$n/*"
		done
		;;
	model) plan model 240 "$scripts/model.sh" ;;
	oracle) plan oracle 240 "$scripts/oracle.sh 1 2" ;;
	soak)
		for src in $(grep -l soak_rounds tests/*/*.c); do
			plan "${src%.c}" 36000 "$build/${src%.c}"
		done
		for t in $(grep -l SOAK tests/system/*.sh); do
			plan "${t%.sh}" 36000 "sh $t"
		done
		plan oracle 36000 "$scripts/oracle.sh $(seq -s ' ' 100)"
		;;
	system)
		for t in tests/system/*.sh; do
			case $t in */lib.sh | */lib-*.sh) continue ;; esac
			plan "${t%.sh}" 300 "sh $t"
		done
		;;
	*)
		echo "check.sh: there are no tests '$1'" >&2
		exit 2
		;;
	esac
}

# ---- one test ----------------------------------------------------------------

# field WORD: the number before it in the log's last line of counts.
field() {
	grep -E '^[^ ]+: [0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1 |
		sed -n "s/.* \([0-9]*\) $1.*/\1/p"
}

# report NAME STATUS LIMIT SECONDS: say and keep what the log counts.
report() {
	p=$(field passed) f=$(field failed) s=$(field skipped)
	if [ "$2" -eq 77 ]; then
		s=${s:-1}
	elif [ "$2" -ne 0 ] || [ "${f:-1}" -ne 0 ]; then
		[ "${f:-0}" -gt 0 ] || f=1
		why="status $2"
		[ "$4" -lt "$3" ] || why="it was ended: not done in $3 s"
		echo "--- $1 failed ($why):"
		cat "$log"
	fi
	echo "  $1: ${p:-0} passed, ${f:-0} failed, ${s:-0} skipped ($4 s)"
	grep -i '^ *skipped' "$log"
	echo "${p:-0} ${f:-0} ${s:-0} $4 $1" >>"$dir/counts"
}

# one LIMIT NAME COMMAND
one() {
	log=$(mktemp "$dir/log.XXXXXX")
	began=$(date +%s)
	sh -c "$3" >"$log" 2>&1 </dev/null 3>&- &
	pid=$!
	echo $pid >"$dir/running.$pid"
	wait $pid
	status=$?
	rm -f "$dir/running.$pid"
	(
		flock 9
		report "$2" $status "$1" $(($(date +%s) - began))
	) 9>"$dir/lock"
	rm -f "$log"
}

# ---- all of them -------------------------------------------------------------

for arg; do
	build=$default suffix=
	case $arg in *@*) build=${arg#*@} suffix=" (${build##*/})" ;; esac
	plan_kind "${arg%%@*}"
done
pattern="\\|tests/($(echo $alone | tr ' ' '|'))( |\\|)"
grep -vE "$pattern" "$dir/plan" >"$dir/together"
grep -E "$pattern" "$dir/plan" >"$dir/alone"

# Each job takes a token and gives it back.
mkfifo "$dir/tokens"
exec 3<>"$dir/tokens"
i=0
while [ $((i += 1)) -le "$JOBS" ]; do
	echo >&3
done
while IFS='|' read -r limit name command; do
	read -r token <&3
	{
		one "$limit" "$name" "$command"
		echo >&3
	} &
done <"$dir/together"
wait
while IFS='|' read -r limit name command; do
	one "$limit" "$name" "$command"
done <"$dir/alone"

echo
echo "the longest:"
sort -k 4nr "$dir/counts" | head -n 5 | sed 's/^[0-9]* [0-9]* [0-9]* \([0-9]*\) /  \1 s  /'
awk '{ p += $1; f += $2; s += $3 }
	END { printf "\n%d passed, %d failed, %d skipped\n", p, f, s
	      exit f > 0 || p == 0 }' "$dir/counts"
