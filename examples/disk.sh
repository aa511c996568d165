#!/bin/sh
# SPDX-License-Identifier: MIT
# A guest formats and fills an image through blkfront; the host reads it.
set -e
. "${0%/*}/common.sh"

truncate -s 256M "$tmp/disk.img"
pvsplit up --storage 1
pvsplit run --disk "$tmp/disk.img,raw,xvda,rw" -- sh -ec '
	mkfs.ext4 -q "$PVSPLIT_DISK_XVDA"
	mount "$PVSPLIT_DISK_XVDA" /mnt
	cp -a /etc/. /mnt/
	df -h /mnt
	umount /mnt'
fsck.ext4 -fn "$tmp/disk.img"
