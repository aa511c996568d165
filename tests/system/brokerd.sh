#!/bin/sh
# SPDX-License-Identifier: MIT
# brokerd.sh - brokerd and the store that it keeps running: the store is killed,
# does not start, dies again and again; brokerd itself is killed.
set -u
. "${0%/*}/lib.sh"
requires_root
requires_cmd xenstore-read xenstore-utils
requires_cmd pvsplit "make all"
PVSPLIT_RUN=$RUN
export PVSPLIT_RUN

# as DOMID COMMAND...: as that domain.
as() {
	domid=$1
	shift
	XENSTORED_PATH=$RUN/$domid/xenstore timeout 20 "$@"
}

# store_of PID: the pid of that brokerd's store.
store_of() {
	pgrep -P "$1" -x xenstored-lite
}

# kill_store: SIGKILL, wait until it is gone.
kill_store() {
	store=$(store_of "$broker") && kill -KILL "$store" &&
		wait_for 5 process_gone "$store"
}

new_store() {
	now=$(store_of "$broker") && [ "$now" != "$1" ]
}

# count TEXT: how many lines of brokerd's log have it.
count() {
	grep -c -- "$1" "$daemon_out.err"
}

# with_bin NAME: a folder with our programs, but another store: standard input.
with_bin() {
	mkdir "$TMP/$1"
	cp "$BUILD/bin/brokerd" "$BUILD/bin/pvsplit" "$TMP/$1/"
	cat >"$TMP/$1/xenstored-lite"
	chmod +x "$TMP/$1/xenstored-lite"
}

# says STATUS LINES TEXT COMMAND...: ends so, and has that in what it says, which
# is so many lines (-: any).
says() {
	expected=$1 lines=$2 text=$3
	shift 3
	timeout 20 "$@" >"$TMP/said" 2>&1 </dev/null
	status=$?
	cat "$TMP/said"
	[ "$lines" != - ] || lines=$(wc -l <"$TMP/said")
	[ "$status" -eq "$expected" ] &&
		[ "$(wc -l <"$TMP/said")" -eq "$lines" ] &&
		grep -q -- "$text" "$TMP/said"
}

# ---- by hand -----------------------------------------------------------------
check "a store without a broker says what to start" \
	says 2 1 "start brokerd" xenstored-lite --run-dir "$RUN"
check "also when it is given some other descriptor" \
	says 2 1 "start brokerd" sh -c 'exec xenstored-lite 3</dev/null'

# ---- the store is killed -----------------------------------------------------
check "starts and says ready" start_daemon brokerd --run-dir "$RUN"
[ "$nr_failed" -eq 0 ] || finish
broker=$PID
check "the store is its child" store_of "$broker"
check "a domain" pvsplit domain-create one
sockets() {
	stat -c '%n %i' "$RUN/0/xenstore" "$RUN/1/xenstore" "$RUN/1/broker"
}
before=$(sockets)
for i in 1 2 3 4; do
	check "kill $i: the store is killed" kill_store
	check_output "a client waits for the next one" one \
		as 1 timeout 1 xenstore-read name
done
check_output "the sockets are the same" "$before" sockets
check_output "each death is one line" 4 \
	count "was killed by signal 9 (SIGKILL): starting it again in"
check_output "each return too" 4 count "the store serves again"
check "a domain is made while there is no store" \
	sh -c "kill -KILL $(store_of "$broker") && pvsplit domain-create two"
check_output "and its nodes are there" two as 2 xenstore-read name
check "one is ended while there is no store" \
	sh -c "kill -KILL $(store_of "$broker") && pvsplit domain-destroy two"
check_fails "and its nodes are gone" as 0 xenstore-exists /local/domain/2
check "nor has it a directory" test ! -e "$RUN/2"
store=$(store_of "$broker")
kill -TERM "$store"
check "a store that is ended by hand comes again" \
	wait_for 10 new_store "$store"
check_output "and serves" one as 1 xenstore-read name

# ---- the end -----------------------------------------------------------------
store=$(store_of "$broker")
kill -KILL "$broker"
check "brokerd's death ends the store" wait_for 5 process_gone "$store"
stop_daemon "$broker"
check "the next one begins anew" start_daemon brokerd --run-dir "$RUN"
broker=$PID
check_output "and serves" Domain-0 as 0 xenstore-read name
check "it ends in order" stop_daemon "$broker"
check "and its store with it" test -z "$(store_of "$broker")"
check "nothing is left" test ! -e "$RUN/0"

start_daemon brokerd --run-dir "$RUN"
broker=$PID
store=$(store_of "$broker")
kill -STOP "$store"
check "it ends although its store does not" stop_daemon "$broker"
check "and kills that" process_gone "$store"

# ---- a store that does not start ---------------------------------------------
with_bin damaged <<'END'
#!/bin/sh
echo "xenstored-lite: the journal is damaged: mend it" >&2
exit 1
END
check "brokerd ends, and leaves the word to its store" \
	says 1 1 "the journal is damaged: mend it" \
	"$TMP/damaged/brokerd" --run-dir "$RUN"
check "up says why in its one line" \
	says 1 1 "brokerd did not start: xenstored-lite: the journal is damaged" \
	"$TMP/damaged/pvsplit" up
with_bin strange <<'END'
#!/bin/sh
exit 3
END
check "brokerd says how its store ended without a word" \
	says 1 1 "ended with exit status 3 before it served" \
	"$TMP/strange/brokerd" --run-dir "$RUN"
with_bin killed <<'END'
#!/bin/sh
kill -KILL $$
END
check "or was killed" says 1 1 "was killed by signal 9 (SIGKILL) before it" \
	"$TMP/killed/brokerd" --run-dir "$RUN"
with_bin missing <<'END'
END
rm "$TMP/missing/xenstored-lite"
check "or is missing" says 1 1 "no xenstored-lite in" \
	"$TMP/missing/brokerd" --run-dir "$RUN"
check "nothing is left of all that" test ! -e "$RUN/0"

# ---- options -----------------------------------------------------------------
with_bin words <<'END'
#!/bin/sh
echo "words: $*" >&2
exit 1
END
check "the store gets what is its own" \
	says 1 3 "words: --run-dir $RUN -v --some thing" \
	"$TMP/words/brokerd" -v --run-dir "$RUN" -- --some thing
check "an option that it does not know ends both" \
	says 1 - "exit status 2 before it served" \
	brokerd --run-dir "$RUN" -- --nonsense
check_fails "refuses an unknown option" brokerd --nonsense
check_fails "refuses an argument" brokerd nonsense
check "has a version" brokerd --version
check "has help" brokerd --help

# ---- a store that dies again and again ---------------------------------------
# Its first life is a good one.
with_bin mortal <<END
#!/bin/sh
echo >>"$TMP/lives"
[ "\$(wc -l <"$TMP/lives")" -gt 1 ] || exec "$BUILD/bin/xenstored-lite" "\$@"
exit 5
END
check "starts with a mortal store" \
	start_daemon "$TMP/mortal/brokerd" --run-dir "$RUN"
broker=$PID
as 0 xenstore-read name >"$TMP/log"
kill_store
sleep 3
# 1 at once, then after 100, 200, 400, 800 and 1600 ms
lives=$(wc -l <"$TMP/lives")
check "starts it again, ever more slowly ($lives lives in 3 s)" \
	test "$lives" -ge 4 -a "$lives" -le 7
check "says so" test "$(count "ended with exit status 5: starting it")" -ge 2
check "the last pause is a second at least" \
	grep -qE "again in (1600|3200) ms" "$daemon_out.err"
cp "$BUILD/bin/xenstored-lite" "$TMP/mortal/new"
mv "$TMP/mortal/new" "$TMP/mortal/xenstored-lite"
check_output "serves when it has a good one again" Domain-0 \
	as 0 xenstore-read name
stop_daemon "$broker"
finish
