#!/bin/sh
# SPDX-License-Identifier: MIT
# Install the Debian packages of scripts/packages.txt that are missing.
# Usage: install-deps.sh [--check] [GROUP...]   (no group: all of them)
# Silent and without network when nothing is missing. --check installs nothing:
# one line names what is missing, and the exit status is 1.
set -eu
me=install-deps.sh
list=${0%/*}/packages.txt
check=
if [ "${1:-}" = --check ]; then
	check=1
	shift
fi
for group; do
	case $group in
	-*) echo "usage: $me [--check] [GROUP...]" >&2 && exit 2 ;;
	esac
	grep -q "^$group " "$list" && continue
	echo "$me: no group '$group' in $list; there are:" \
		$(sed -n 's/^\([a-z]*\) .*/\1/p' "$list" | sort -u) >&2
	exit 2
done
if ! command -v dpkg-query >/dev/null; then
	echo "$me: no dpkg-query here: packages are not checked" >&2
	exit 0
fi

wanted=$(awk -v groups="$*" '
	BEGIN { n = split(groups, g, " "); for (i in g) in_group[g[i]] = 1 }
	/^[a-z]/ && (n == 0 || $1 in in_group) { print $2 }' "$list" | sort -u)
# shellcheck disable=SC2086
have=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' $wanted 2>/dev/null |
	sed -n 's/ installed$//p' | sort -u)
missing=
for package in $wanted; do
	case "
$have
" in
	*"
$package
"*) ;;
	*) missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0

if [ -n "$check" ] || [ "$(id -u)" -ne 0 ]; then
	echo "$me: missing packages; as root: apt-get install$missing" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
echo "$me: installing$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# An update that fails in part (one mirror away) may still be enough.
apt-get -qq update >"$log" 2>&1 || true
# shellcheck disable=SC2086
if ! apt-get -qq -y --no-install-recommends install $missing >>"$log" 2>&1; then
	tail -n 20 "$log" >&2
	echo "$me: could not install$missing: apt-get's words are above" >&2
	exit 1
fi
