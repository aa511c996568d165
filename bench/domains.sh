#!/bin/sh
# SPDX-License-Identifier: MIT
# domains.sh - starts the two stores that bench/domains.c compares.
TMPDIR=${TMPDIR:-/dev/shm} # memory, as /run is
. "${0%/*}/../tests/system/lib.sh"
. "${0%/*}/lib-bench.sh"
requires_root
ulimit -n "$(ulimit -Hn)" # a descriptor a domain

start_store full
full=$PID
start_store empty
"$BUILD/bench/domains" "$TMP/full" "$full" "$TMP/empty" "$PID"
