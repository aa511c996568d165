#!/bin/sh
# SPDX-License-Identifier: MIT
# Formatting (clang-format), clang-tidy and gcc's analyser over the C files.
# Changes nothing; the exit status says whether anything was found.
set -u
files=$(git ls-files '*.c' '*.h')
status=0
flags="-std=gnu11 -I. -D_GNU_SOURCE $(pkg-config --cflags liburing \
	libnl-route-3.0 jansson fuse3)"

echo "clang-format"
clang-format --dry-run -Werror $files || status=1
echo "forbidden functions"
git grep -nwE 'atoi|atol|strcpy|strcat|sprintf|vsprintf|strtok|gets' -- '*.c' '*.h' &&
	status=1
sources=$(git ls-files '*.c' | grep -v '^tests/abi/')
echo "clang-tidy"
# shellcheck disable=SC2086
for f in $sources; do
	clang-tidy --quiet "$f" -- $flags 2>/dev/null | grep -E 'warning:|error:' &&
		status=1
done
echo "gcc -fanalyzer"
# shellcheck disable=SC2086
for f in $(git ls-files '*.c' | grep -v '^tests/'); do
	gcc $flags -O1 -Wall -fanalyzer -c -o /dev/null "$f" 2>&1 |
		grep -E 'warning:|error:' && status=1
done
exit $status
