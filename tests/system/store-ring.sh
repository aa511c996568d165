#!/bin/sh
# SPDX-License-Identifier: MIT
# store-ring.sh - a guest that speaks to the real store over a shared page:
# requests, transactions, watches, the store killed again and again, the guest
# killed, the domain ended.
set -u
. "${0%/*}/lib.sh"
requires_root
requires_cmd xenstore-read xenstore-utils
requires_cmd pvsplit "make all"
requires_cmd python3 python3
PVSPLIT_RUN=$RUN
export PVSPLIT_RUN

# root COMMAND...: as domain 0, over its socket.
root() {
	XENSTORED_PATH=$RUN/0/xenstore timeout 20 "$@"
}

# control WORD...: XS_CONTROL as domain 0; the answer must be OK.
control() {
	timeout 30 python3 - "$RUN/0/xenstore" "$@" <<-'PY'
	import socket, struct, sys
	s = socket.socket(socket.AF_UNIX)
	s.connect(sys.argv[1])
	words = b"".join(w.encode() + b"\0" for w in sys.argv[2:])
	s.sendall(struct.pack("<IIII", 0, 1, 0, len(words)) + words)
	head = s.recv(16, socket.MSG_WAITALL)
	answer = s.recv(struct.unpack("<IIII", head)[3], socket.MSG_WAITALL)
	print(answer)
	sys.exit(answer != b"OK\0")
	PY
}

store_pid() {
	pgrep -P "$broker" -x xenstored-lite
}

new_store() {
	now=$(store_pid) && [ "$now" != "$1" ]
}

kill_store() {
	store=$(store_pid) && kill -KILL "$store" &&
		wait_for 20 new_store "$store"
}

# guest_start DOMAIN: its requests go to descriptor 3, its answers to $out.
guest_start() {
	rm -f "$TMP/requests"
	mkfifo "$TMP/requests"
	out=$(mktemp "$TMP/answers.XXXXXX")
	pvsplit store-ring "$1" <"$TMP/requests" >"$out" 2>"$out.err" &
	guest=$!
	exec 3>"$TMP/requests"
}

guest_end() {
	exec 3>&-
	wait "$guest"
}

nr_answers() {
	grep -vc '^event ' "$out"
}

has_answers() {
	[ "$(nr_answers)" -ge "$1" ]
}

# ask REQUEST: prints its answer.
ask() {
	due=$(($(nr_answers) + 1))
	echo "$1" >&3
	wait_for 40 has_answers "$due" || return 1
	grep -v '^event ' "$out" | sed -n "${due}p"
}

# nr_events PATH: that fired so far.
nr_events() {
	grep -cx "event $1" "$out"
}

fired() {
	[ "$(nr_events "$1")" -ge "$2" ]
}

cleanup_more() {
	exec 3>&-
	[ -z "${guest-}" ] || kill "$guest" 2>/dev/null
}

# ---- one guest ---------------------------------------------------------------
guest=
check "starts" start_daemon brokerd --run-dir "$RUN"
[ "$nr_failed" -eq 0 ] || finish
broker=$PID
log=$daemon_out.err
pvsplit domain-create web >/dev/null
home=/local/domain/1
guest_start web
check_output "reads" web ask "read name"
check_output "writes" ok ask "write data/x hello"
check_output "what domain 0 reads" hello root xenstore-read $home/data/x
check_output "may not write elsewhere" "error: Permission denied" \
	ask "write /x 1"
check_output "and hears of what is not there" \
	"error: No such file or directory" ask "read data/none"
check_output "lists" "x" ask "list data"
big=$(printf 'v%.0s' $(seq 2000))
check_output "writes more than the ring holds" ok ask "write data/big $big"
check_output "and reads it" "$big" ask "read data/big"
check_output "removes" ok ask "rm data/big"

check_output "watches" ok ask "watch data/w"
check "a watch fires at once" wait_for 10 fired data/w 1
root xenstore-write $home/data/w/deep 1
check "and when domain 0 writes" wait_for 10 fired data/w/deep 1

check_output "begins a transaction" ok ask "begin"
check_output "writes in it" ok ask "write data/t 1"
check_fails "which nobody sees" root xenstore-exists $home/data/t
check_output "commits" ok ask "commit"
check_output "which everybody sees" 1 root xenstore-read $home/data/t

# ---- the store becomes another program -------------------------------------------
same_store=$(store_pid)
fired_before=$(nr_events data/w)
check_output "a transaction is open" ok ask "begin"
check_output "and used" ok ask "write data/over 1"
check "the store is updated" \
	control live-update -s -t 60 -F
check "and again" control live-update -s -t 60 -F
check_output "the transaction goes on" ok ask "write data/over 2"
check_output "commits" ok ask "commit"
check_output "as if nothing had been" 2 root xenstore-read $home/data/over
root xenstore-write $home/data/w/updated 1
check "the watch is still there" wait_for 10 fired data/w/updated 1
check_output "and has not had to come back" "$fired_before" nr_events data/w
check_output "in the same process" "$same_store" store_pid

# ---- the store dies --------------------------------------------------------------
check "the store is killed" kill_store
check_output "what was written is there" hello ask "read data/x"
check "the watch came back" wait_for 10 fired data/w 2
before=$(nr_events data/w/more)
root xenstore-write $home/data/w/more 1
check "and fires" wait_for 10 fired data/w/more $((before + 1))

check_output "a transaction is open" ok ask "begin"
check_output "and used" ok ask "write data/lost 1"
check "the store is killed again" kill_store
check_output "the transaction is lost, and says so" \
	"error: Resource temporarily unavailable" ask "commit"
check_fails "with what was written in it" root xenstore-exists $home/data/lost

i=0 lost=0
while [ "$i" -lt 15 ]; do
	i=$((i + 1))
	[ "$(ask "write data/n $i")" = ok ] || lost=$((lost + 1))
	kill -KILL "$(store_pid)" 2>/dev/null
	[ "$(ask "read data/n")" = "$i" ] || lost=$((lost + 1))
done
check_output "of 15 writes, the store killed after each, none is lost" 0 \
	echo "$lost"
check "the store serves" wait_for 20 root xenstore-exists $home/data/n
check "its log says no more than it must" \
	sh -c "! grep -E 'not found again|index that cannot|message that cannot' '$log'"

# ---- the guest dies -----------------------------------------------------------------
kill -KILL "$guest"
wait "$guest" 2>/dev/null
exec 3>&-
guest_start web
check_output "its next process has a ring of its own" 15 ask "read data/n"
check "and ends with its input" guest_end
guest_start web
check_output "and so has the one after it" hello ask "read data/x"

root xenstore-watch -n 3 @releaseDomain >"$TMP/released" 2>&1 &
watcher=$!
wait_for 10 grep -q . "$TMP/released"
check "the domain ends" pvsplit domain-destroy web
check "its end is told" wait_for 10 sh -c \
	"[ \$(wc -l <'$TMP/released') -ge 2 ]"
pvsplit domain-create other >/dev/null
check_output "once" 2 sh -c "wc -l <'$TMP/released'"
kill "$watcher"
kill "$guest"
guest=
check "nobody is hurt" root xenstore-write /alive 1

check_fails "a domain that is not there has no ring" \
	pvsplit store-ring nobody </dev/null
check_fails "nor has domain 0" pvsplit store-ring 0 </dev/null
check "ends cleanly" stop_daemon "$broker"
check "with nothing wrong said" \
	sh -c "! grep -E 'ERROR|Sanitizer|runtime error' '$log'"
finish
