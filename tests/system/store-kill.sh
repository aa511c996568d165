#!/bin/sh
# SPDX-License-Identifier: MIT
# store-kill.sh - SIGKILL of the store at random moments under a writing load:
# no acknowledged write is lost, none is invented, transactions are whole.
# STORE_KILLS: how often (200, with SOAK 2000). STORE_SEED: of the moments and the load.
set -u
. "${0%/*}/lib.sh"
requires_cmd xenstored-lite "make all"
[ -x "$BUILD/tests/system/store_kill" ] ||
	skip_all "needs $BUILD/tests/system/store_kill (make test-programs)"

kills=${STORE_KILLS:-${SOAK:+2000}}
kills=${kills:-200}
# shellcheck disable=SC2086 # no seed is no argument
check "nothing acknowledged is lost in $kills deaths" \
	"$BUILD/tests/system/store_kill" "$BUILD/bin/xenstored-lite" "$RUN" \
	"$kills" ${STORE_SEED:-}
cat "$TMP/check.log"
check "snapshots were written meanwhile" \
	sh -c "ls '$RUN'/store/snapshot.*"
finish
