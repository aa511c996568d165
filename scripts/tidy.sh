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
git grep -nE '\b(atoi|atol|strcpy|strcat|sprintf|vsprintf|strtok|gets)\(' \
	-- '*.c' '*.h' &&
	status=1
# One compiler run a file, as many at once as there are CPUs. gcc 12's analyser
# follows no intrusive list and no output parameter: its leak, null and
# uninitialised checks are off (ASan and clang's analyser have them).
each() {
	xargs -n 1 -P "$(nproc)" "$@" 2>/dev/null | grep -E 'warning:|error:'
}
echo "clang-tidy"
# shellcheck disable=SC2086
# The examples are for what is installed: tests/system/install.sh builds them.
git ls-files '*.c' | grep -v -e '^tests/abi/' -e '^examples/' |
	each sh -c 'f=$1; shift; clang-tidy --quiet "$f" -- '"$flags" sh && status=1
echo "gcc -fanalyzer"
# shellcheck disable=SC2086
git ls-files '*.c' | grep -v -e '^tests/' -e '^examples/' |
	each sh -c 'gcc '"$flags"' -O1 -Wall -fanalyzer \
		-Wno-analyzer-malloc-leak -Wno-analyzer-null-dereference \
		-Wno-analyzer-use-of-uninitialized-value \
		-c -o /dev/null "$1" 2>&1' sh && status=1
exit $status
