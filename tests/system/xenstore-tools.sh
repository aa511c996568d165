#!/bin/sh
# SPDX-License-Identifier: MIT
# xenstore-tools.sh - the real daemon and Xen's own tools (xenstore-utils),
# which find the socket through XENSTORED_PATH; and the daemon's life.
set -u
. "${0%/*}/lib.sh"
requires_root
requires_cmd xenstore-read xenstore-utils
requires_cmd brokerd "make all"

# as DOMID COMMAND...: as that domain.
as() {
	domid=$1
	shift
	XENSTORED_PATH=$RUN/$domid/xenstore timeout 20 "$@"
}

# as_uid UID DOMID COMMAND...: a process of that uid at that domain's socket.
as_uid() {
	uid=$1
	domid=$2
	shift 2
	XENSTORED_PATH=$RUN/$domid/xenstore timeout 20 \
		setpriv --reuid "$uid" --regid "$uid" --clear-groups "$@"
}

no_sockets() {
	[ -z "$(find "$RUN" -type s)" ] && [ ! -e "$RUN/0" ]
}

# says TEXT COMMAND...: fails with status 1 and one line that has TEXT.
says() {
	text=$1
	shift
	timeout 20 "$@" >"$TMP/said" 2>&1
	status=$?
	cat "$TMP/said"
	[ "$status" -eq 1 ] && [ "$(wc -l <"$TMP/said")" -eq 1 ] &&
		grep -q -- "$text" "$TMP/said"
}

# ---- one domain ------------------------------------------------------------
chmod 711 "$TMP"
check "starts and says ready" start_daemon brokerd --run-dir "$RUN"
[ "$nr_failed" -eq 0 ] || finish
daemon=$PID

check_output "finds domain 0's name" Domain-0 \
	as 0 xenstore-read /local/domain/0/name
check "writes" as 0 xenstore-write /t/a/b hello /t/c "two words"
check_output "reads" hello as 0 xenstore-read /t/a/b
check_output "reads several" "hello
two words" as 0 xenstore-read /t/a/b /t/c
check_output "lists" "a
c" as 0 xenstore-list /t
check_output "shows a tree" 'a = ""
 b = "hello"
c = "two words"' as 0 xenstore-ls /t
check_output "shows rights" '/t/a = ""   (n0)
/t/a/b = "hello"   (n0)
/t/c = "two words"   (n0)' as 0 xenstore-ls -f -p /t
check "finds what exists" as 0 xenstore-exists /t/a/b
check_fails "does not find what does not" as 0 xenstore-exists /t/x
check_fails "cannot read what does not exist" as 0 xenstore-read /t/x
check "removes" as 0 xenstore-rm /t/a
check_output "and all below" c as 0 xenstore-list /t
check_fails "refuses a bad path" as 0 xenstore-write "/t/a b" x
check_output "relative paths are at home" Domain-0 as 0 xenstore-read name

as 0 xenstore-watch -n 3 /t >"$TMP/watched" 2>&1 &
watcher=$!
check "a watch fires at once" wait_for 10 grep -qx /t "$TMP/watched"
as 0 xenstore-write /t/w 1
check "for a new node" wait_for 10 grep -qx /t/w "$TMP/watched"
as 0 xenstore-rm /t/c
check "for a removed node" wait_for 10 grep -qx /t/c "$TMP/watched"
check "and the tool ends" wait "$watcher"

i=0
while [ "$i" -lt 40 ]; do
	set --
	for j in 0 1 2 3 4 5 6 7 8 9; do
		set -- "$@" "/big/a-rather-long-name-of-a-node-$i-$j" "$i"
	done
	as 0 xenstore-write "$@"
	i=$((i + 1))
done
check_output "lists what fits no message" 400 \
	sh -c "XENSTORED_PATH=$RUN/0/xenstore xenstore-list /big | wc -l"

# ---- control ---------------------------------------------------------------
# Debian's xenstore-utils has only a link to it; it is in xen-utils-VERSION.
control=
if xen=$("${0%/*}/../../scripts/xen-tools.sh" 2>"$TMP/xen-tools"); then
	program=$(find "$xen" -name xenstore-control -type f)
	library=$(find "$xen" -name 'libxenctrl.so.*' | head -n 1)
	control=$TMP/xenstore-control
	printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' \
		"${library%/*}" "$program" >"$control"
	chmod +x "$control"
fi
if [ "$control" ]; then
	check_output "the store finds no fault with itself" OK \
		as 0 "$control" check
	check "has help" sh -c "XENSTORED_PATH=$RUN/0/xenstore '$control' help |
		grep -q '^quota-soft '"
	check_output "sets a quota" OK as 0 "$control" quota set watches 99
	check "and shows it" sh -c "XENSTORED_PATH=$RUN/0/xenstore '$control' \
		quota | grep -q '^watches  *:  *99 '"
	check_output "puts it back" OK as 0 "$control" quota set watches 128
	check "shows what a domain uses" sh -c \
		"XENSTORED_PATH=$RUN/0/xenstore '$control' quota 0 |
		grep -q '^nodes  *: .* (max '"
	check_output "logs requests" OK as 0 "$control" log on
	as 0 xenstore-read /t/w >/dev/null
	check_output "until it is told to stop" OK as 0 "$control" log off
	check "and did" grep -q ': READ /t/w tx 0: OK' "$daemon_out.err"
	check_output "writes into the log" OK as 0 "$control" print "hello there"
	check "which has it" grep -q 'control: hello there$' "$daemon_out.err"
	check "counts its work" sh -c "XENSTORED_PATH=$RUN/0/xenstore \
		'$control' stats ops | grep -q '^op name=READ count=[1-9]'"
	check_fails "knows no other command" as 0 "$control" nonsense

	as 0 xenstore-watch -n 2 /t/live >"$TMP/watched" 2>&1 &
	watcher=$!
	wait_for 10 grep -qx /t/live "$TMP/watched"
	check "goes on as another program" as 0 "$control" live-update \
		"$BUILD/bin/xenstored-lite"
	check "and says so" wait_for 10 grep -q "live update: done" \
		"$daemon_out.err"
	as 0 xenstore-write /t/live 1
	check "with every watch" wait "$watcher"
	check "and its figures" sh -c "XENSTORED_PATH=$RUN/0/xenstore \
		'$control' stats ops | grep -q '^op name=RM count=[1-9]'"
	check_fails "but not as what is no program" \
		as 0 "$control" live-update /etc/passwd
	check "and goes on then" as 0 xenstore-read /t/live
else
	skip "control: $(tail -n 1 "$TMP/xen-tools")"
fi

# ---- guests ----------------------------------------------------------------
if command -v pvsplit >/dev/null 2>&1 &&
	pvsplit domain-create --run-dir "$RUN" --uid 12345 one >/dev/null &&
	pvsplit domain-create --run-dir "$RUN" --uid 12346 two >/dev/null; then
	check_output "a guest reads its name" one as 1 xenstore-read name
	check "a guest writes its own" as 1 xenstore-write data/x 1
	check_fails "a guest cannot read another's" \
		as 2 xenstore-read /local/domain/1/data/x
	check_fails "nor the root" as 1 xenstore-ls /
	check_fails "nor write to it" as 1 xenstore-write /x 1
	check "domain 0 gives a right" \
		as 0 xenstore-chmod /local/domain/1/data/x n1 r2
	check_output "which shows" '/local/domain/1/data/x = "1"   (n1,r2)' \
		as 0 xenstore-ls -f -p /local/domain/1/data
	check_output "and holds" 1 as 2 xenstore-read /local/domain/1/data/x
	check_output "its uid is the domain" one as_uid 12345 1 xenstore-read name
	check_fails "another uid cannot reach the socket" \
		as_uid 12346 1 xenstore-read name
	chmod 755 "$RUN/1" && chmod 666 "$RUN/1/xenstore"
	check_fails "and is refused when it can" \
		as_uid 12346 1 xenstore-read name
	as 0 xenstore-watch -n 3 @releaseDomain /local/domain/1 \
		>"$TMP/released" 2>&1 &
	watcher=$!
	wait_for 10 grep -qx @releaseDomain "$TMP/released"
	check "a domain ends" pvsplit domain-destroy --run-dir "$RUN" one
	check "and domain 0 hears of it" wait "$watcher"
	check_fails "its nodes are gone" as 0 xenstore-exists /local/domain/1
	check "its socket is gone" test ! -e "$RUN/1"
else
	skip "guests: needs pvsplit"
fi

# ---- the daemon's life -------------------------------------------------------
check "a second daemon is told so" \
	says "another brokerd" brokerd --run-dir "$RUN"
check_output "and does not disturb the first" Domain-0 \
	as 0 xenstore-read /local/domain/0/name
check "ends cleanly on SIGTERM" stop_daemon "$daemon"
check "leaves no socket" no_sockets

start_daemon brokerd --run-dir "$RUN"
dead=$PID
kill -9 "$dead"
stop_daemon "$dead"
check "the killed one left its socket" test -S "$RUN/0/xenstore"
check "starts over a dead daemon's directory" \
	start_daemon brokerd --run-dir "$RUN"
check "and says so" grep -q "an earlier daemon died" "$daemon_out.err"
check_output "and serves" Domain-0 as 0 xenstore-read name
stop_daemon "$PID"

mkdir -p "$RUN/5/precious"
check "does not remove what is not a daemon's" \
	says "is in the way" brokerd --run-dir "$RUN"
check "which is still there" test -d "$RUN/5/precious"
rm -rf "$RUN/5"

long=$TMP/$(printf 'x%.0s' $(seq 100))
check "refuses a path that is too long" \
	says "too long" brokerd --run-dir "$long"
check "and makes nothing" test ! -e "$long"
check "refuses a directory below nothing" \
	says "cannot make it" brokerd --run-dir "$TMP/no/where"
mkdir -m 777 "$TMP/open"
chmod 777 "$TMP/open"
check "refuses a directory that others may write" \
	says "writable by nobody else" brokerd --run-dir "$TMP/open"
ln -s "$RUN" "$TMP/link"
check "refuses a symbolic link" \
	says "cannot open it" brokerd --run-dir "$TMP/link"
check_fails "refuses an unknown option" brokerd --nonsense
check "has a version" brokerd --version
check "has help" brokerd --help

finish
