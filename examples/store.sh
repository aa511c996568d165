#!/bin/sh
# SPDX-License-Identifier: MIT
# The store as Xen's own tools show it (package xenstore-utils) while a guest
# uses its disk; and the same as JSON from pvsplit.
set -e
. "${0%/*}/common.sh"

truncate -s 64M "$tmp/disk.img"
pvsplit up --storage 1
pvsplit run --name web --disk "$tmp/disk.img,raw,xvda,rw" -- sleep 1000 &
web=$!
until pvsplit block-list | grep -q 'Connected *Connected'; do
	sleep 0.1
done
XENSTORED_PATH=$PVSPLIT_RUN/0/xenstore xenstore-ls -fp | grep vbd
pvsplit block-list --json
kill $web
wait $web || true
