#!/bin/sh
# SPDX-License-Identifier: MIT
# Two guests talk through netback's switch; no bridge, nothing of the host's.
set -e
. "${0%/*}/common.sh"

pvsplit up --network
pvsplit run --name alice --vif ip=10.9.0.1/24 -- sleep 1000 &
alice=$!
until pvsplit network-list | grep -q 'alice.*Connected *Connected'; do
	sleep 0.1
done
pvsplit run --name bob --vif ip=10.9.0.2/24 -- ping -c 3 10.9.0.1
kill $alice
wait $alice || true
