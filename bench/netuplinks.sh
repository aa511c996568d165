#!/bin/sh
# SPDX-License-Identifier: MIT
# netuplinks.sh - nettcp.sh once more, with each driver for existing interfaces
# as the uplink.
# Usage: netuplinks.sh [short|full]
. "${0%/*}/../tests/system/lib.sh"
for driver in af_packet af_xdp; do
	if ! netbackd --list-drivers | grep -q "^$driver "; then
		echo "net-$driver: not in this build"
		continue
	fi
	sh "${0%/*}/nettcp.sh" "${1:-short}" $driver || exit 1
done
