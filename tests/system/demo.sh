#!/bin/sh
# SPDX-License-Identifier: MIT
# The demo passes, and leaves nothing behind: not when it ends, not when it is
# interrupted at any step, not when it is killed.
# In a network of its own: what the demo leaves there is the demo's.
if [ -z "${DEMO_TEST_NET:-}" ] && [ "$(id -u)" -eq 0 ]; then
	DEMO_TEST_NET=1 exec unshare --net sh "$0"
fi
. "${0%/*}/lib.sh"
requires_root
requires_cmd mkfs.ext4 e2fsprogs
requires_cmd iperf3 iperf3
requires_cmd ip iproute2
requires_cmd curl curl
requires_cmd ping iputils-ping
[ -c /dev/fuse ] || skip_all "needs /dev/fuse"
[ -c /dev/net/tun ] || skip_all "needs /dev/net/tun"

TMPDIR=$TMP/demo
export TMPDIR
mkdir "$TMPDIR"
cleanup_more() {
	[ -z "$demo" ] || kill -9 "$demo" 2>/dev/null
}
demo=

# What the demo could leave outside of its directory. Every process of it has
# the mark in its environment; a namespace is as long as its last process.
traces() {
	grep -lzx "DEMO_MARK=$TMP" /proc/[0-9]*/environ
	grep "$TMPDIR" /proc/self/mountinfo
	losetup -a | grep "$TMPDIR"
	grep "$TMPDIR" /proc/net/unix
	ip -o link | grep -E '^[0-9]+: pv'
	:
} 2>/dev/null
no_traces() {
	[ -z "$(traces)" ] || { traces; return 1; }
}
clean() {
	wait_for 15 no_traces || no_traces
}

# As people start it; of a sanitized build as it is.
case $BUILD in
*/release) start="make -s demo BUILD=$BUILD" ;;
*) start="pvsplit demo" ;;
esac
env DEMO_MARK="$TMP" $start >"$TMP/demo.log" 2>&1
status=$?
[ $status -eq 0 ] || sed 's/^/    /' "$TMP/demo.log"
check "the demo passes" test $status -eq 0
check "it shows a table of at least 8 checks, all passed" sh -c \
	"sed -n '/^WHAT/,\$p' '$TMP/demo.log' >'$TMP/table' &&
	[ \$(grep -c ' ok\$' '$TMP/table') -ge 8 ] && ! grep -q FAILED '$TMP/table'"
check "no trace is left" clean
check "no file is left" rmdir "$TMPDIR"
mkdir "$TMPDIR"

# interrupt SIGNAL PATTERN: when the demo's output has the pattern.
interrupt() {
	rm -f "$TMP/demo.log" # of the one before
	setsid env DEMO_MARK="$TMP" pvsplit demo >"$TMP/demo.log" 2>&1 &
	demo=$!
	wait_for 60 grep -q "$2" "$TMP/demo.log" || return 1
	traces >"$TMP/traces"
	kill "-$1" $demo
	wait $demo
	status=$?
	demo=
	# the check itself is worth something only if it sees a running demo
	[ $status -ne 0 ] && grep -q environ "$TMP/traces"
}

for step in 'pvsplit up' 'domain-create bob' 'mkfs.ext4' 'kill -9' 'curl http' \
	'iperf3 -c'; do
	check "SIGINT at '$step' ends it" interrupt INT "$step"
	check "no trace is left" clean
	check "no file is left" rmdir "$TMPDIR"
	mkdir -p "$TMPDIR"
done
check "SIGTERM during the copy ends it" interrupt TERM 'cp -a'
check "no trace is left" clean
check "no file is left" rmdir "$TMPDIR"
mkdir -p "$TMPDIR"
check "SIGKILL during the copy ends it" interrupt KILL 'cp -a'
check "no trace is left but the files" clean
finish
