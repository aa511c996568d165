#!/bin/sh
# SPDX-License-Identifier: MIT
# Xen's own xenstored and its tools, of the installed libxen-dev's version.
# Usage: BUILD=DIR xen-tools.sh; prints the folder in which they are unpacked,
# beside DIR: one for all builds.
# Not installed: the packages would bring a hypervisor's services with them.
# Exit status 77 with a reason on standard error when they cannot be had.
set -eu
BUILD=${BUILD:-build/release}
mkdir -p "$BUILD"
dir=$(cd "$BUILD/.." && pwd)/xen-tools
exec 9>"$dir.lock" # two tests may ask at once
flock 9
if [ ! -e "$dir/complete" ]; then
	version=$(dpkg-query -W -f='${Version}' libxen-dev 2>/dev/null |
		sed -n 's/^\([0-9]*\.[0-9]*\)\..*/\1/p')
	rm -rf "$dir"
	mkdir -p "$dir"
	if ! (cd "$dir" && apt-get -qq download "xen-utils-$version" \
		"libxenmisc$version" >log 2>&1); then
		cat "$dir/log" >&2
		echo "needs Debian's packages of Xen ${version:-4.x}" >&2
		exit 77
	fi
	for package in "$dir"/*.deb; do
		dpkg -x "$package" "$dir"
	done
	: >"$dir/complete"
fi
echo "$dir"
