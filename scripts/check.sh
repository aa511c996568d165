#!/bin/sh
# SPDX-License-Identifier: MIT
# Run the tests that were built in $BUILD and count them.
# Usage: check.sh [unit] [corpus] [model] [oracle] [system]
# Each test program ends with "NAME: N passed, N failed[, N skipped]"; a system
# test may exit 77 when all of it was skipped. Failing output is shown whole.
set -u
BUILD=${BUILD:-build/release}
export BUILD
passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# count NAME STATUS: read the counts of the log's last matching line.
count() {
	line=$(grep -E '^[^ ]+: [0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
	p=$(echo "$line" | sed -n 's/.*: \([0-9]*\) passed.*/\1/p')
	f=$(echo "$line" | sed -n 's/.* \([0-9]*\) failed.*/\1/p')
	s=$(echo "$line" | sed -n 's/.* \([0-9]*\) skipped.*/\1/p')
	passed=$((passed + ${p:-0}))
	skipped=$((skipped + ${s:-0}))
	if [ "$2" -eq 77 ]; then
		[ -n "$s" ] || skipped=$((skipped + 1))
	elif [ "$2" -ne 0 ] || [ "${f:-1}" -ne 0 ]; then
		[ "${f:-0}" -gt 0 ] || f=1
		failed=$((failed + f))
		echo "--- $1 failed (status $2):"
		cat "$log"
	fi
	echo "  $1: ${p:-0} passed, ${f:-0} failed, ${s:-0} skipped"
	grep -i '^ *skipped' "$log"
}

# run NAME SECONDS COMMAND...
run() {
	name=$1 seconds=$2
	shift 2
	timeout -k 10 "$seconds" "$@" >"$log" 2>&1 </dev/null
	count "$name" $?
}

for kind; do
	case $kind in
	unit)
		for src in tests/abi/*.c tests/unit/*.c tests/sim/*.c tests/hostile/*.c; do
			t=$BUILD/${src%.c}
			[ -e "$src" ] && run "${src%.c}" 300 "$t"
		done
		;;
	corpus)
		for src in tests/fuzz/fuzz_*.c; do
			[ -e "$src" ] || continue
			n=${src##*/fuzz_}
			n=${n%.c}
			run "fuzz corpus $n" 300 "$BUILD/tests/fuzz/replay_$n" \
				"tests/fuzz/corpus/$n"/*
		done
		;;
	model) run "model" 300 scripts/model.sh ;;
	oracle) run "oracle" 300 scripts/oracle.sh 1 2 ;;
	system)
		for t in tests/system/*.sh; do
			case $t in */lib.sh | */lib-*.sh) continue ;; esac
			run "${t%.sh}" 600 sh "$t"
		done
		;;
	esac
done
echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
