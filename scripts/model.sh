#!/bin/sh
# SPDX-License-Identifier: MIT
# Check tests/model/ring.pml with spin: the protocol must hold, and each of the
# planted mistakes must be found. Prints one line per check; exit status 0 only
# when all came out as they must; 77 when spin is not installed.
set -eu
model=$(cd "$(dirname "$0")/.." && pwd)/tests/model/ring.pml
command -v spin >/dev/null || { echo "model: skipped, needs spin"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
cd "$dir"
passed=0
failed=0

# run FLAGS: explore; the search must be exhaustive or end at an error.
run() {
	rm -f pan* ./*.trail
	# shellcheck disable=SC2086
	spin $1 -a "$model" >spin.log &&
	cc -O1 -w -DSAFETY -DMEMLIM=1500 -DVECTORSZ=1024 -o pan pan.c &&
	timeout 60 ./pan -m1000000 >pan.log
}

result() {
	if [ "$1" = yes ]; then
		passed=$((passed + 1))
		echo "model: $2"
	else
		failed=$((failed + 1))
		echo "model: FAILED: $2" >&2
		cat spin.log pan.log >&2
	fi
}

# holds WHAT FLAGS
holds() {
	ok=no
	if run "$2" && grep -q 'errors: 0$' pan.log &&
		! grep -Eq 'max search depth too small|Search not completed|memory limit' pan.log
	then
		ok=yes
	fi
	states=$(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' pan.log)
	result $ok "holds: $1 (${states:-?} states)"
}

# breaks WHAT EXPECTED-ERROR FLAGS
breaks() {
	ok=no
	if run "$3" && grep -q 'errors: 1$' pan.log && grep -q "$2" pan.log; then
		ok=yes
	fi
	result $ok "finds the planted mistake: $1"
}

lost='invalid end state'
holds "no lost wake-up, all entries whole and in order, 2 slots" "-DTOTAL=4"
holds "the same, 1 slot" "-DNR=1 -DTOTAL=5"
holds "the same, 4 slots" "-DNR=4 -DTOTAL=4"
breaks "push stores the producer without seq_cst" "$lost" -DRELAXED_PUSH
breaks "arm stores the event index without seq_cst" "$lost" -DRELAXED_ARM
breaks "push looks at the event index first" "$lost" -DEVENT_FIRST
breaks "arm does not look again" "$lost" -DNO_RECHECK
breaks "arm asks for the entry after the next" "$lost" -DLATE_EVENT
breaks "push shows slots before they are written" 'assertion violated' \
	-DSHOW_FIRST
echo "model: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
