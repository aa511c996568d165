#!/bin/sh
# SPDX-License-Identifier: MIT
# pvsplit store-stats: what the store says of itself, as an operator reads it.
set -u
. "${0%/*}/lib.sh"
requires_root
requires_cmd xenstore-read xenstore-utils
requires_cmd python3 python3
requires_cmd brokerd "make all"

PVSPLIT_RUN=$RUN
export PVSPLIT_RUN

# as DOMID COMMAND...: as that domain.
as() {
	domid=$1
	shift
	XENSTORED_PATH=$RUN/$domid/xenstore timeout 20 "$@"
}

# A client that starts a transaction, touches three nodes in it and stays.
cat >"$TMP/hold.py" <<'PY'
import socket, struct, sys, time

s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])

def ask(kind, tx, payload):
    s.sendall(struct.pack("<IIII", kind, 0, tx, len(payload)) + payload)
    head = s.recv(16, socket.MSG_WAITALL)
    kind, _, _, n = struct.unpack("<IIII", head)
    body = s.recv(n, socket.MSG_WAITALL)
    if kind == 16:
        sys.exit(body)
    return body

tx = int(ask(6, 0, b"\0")[:-1])
ask(11, tx, b"data/held\0" + b"1")
ask(2, tx, b"name\0")
print("ready", flush=True)
time.sleep(600)
PY

# shows PATTERN COMMAND...: succeeds, silent on standard error, PATTERN in a line.
shows() {
	pattern=$1
	shift
	timeout 20 "$@" >"$TMP/shown" 2>"$TMP/shown.err"
	status=$?
	cat "$TMP/shown" "$TMP/shown.err"
	[ "$status" -eq 0 ] && [ ! -s "$TMP/shown.err" ] &&
		grep -Eq -- "$pattern" "$TMP/shown"
}

# shows_not PATTERN COMMAND...: the same, but no line has it.
shows_not() {
	unwanted=$1
	shift
	shows "" "$@" && ! grep -Eq -- "$unwanted" "$TMP/shown"
}

# json EXPRESSION ARGS...: true of the object "s" that store-stats prints.
json() {
	expression=$1
	shift
	pvsplit store-stats --json "$@" >"$TMP/json" || return 1
	python3 -c 'import json, sys
s = json.load(open(sys.argv[1]))
sys.exit(0 if eval("(" + sys.argv[2] + ")") else 1)' "$TMP/json" "$expression" && return
	head -c 2000 "$TMP/json"
	return 1
}

check_fails "needs a store" pvsplit store-stats
check "a store starts" start_daemon brokerd --run-dir "$RUN"
[ "$nr_failed" -eq 0 ] || finish
daemon=$PID
pvsplit domain-create web >/dev/null
pvsplit domain-create db >/dev/null

# ---- operations and errors -------------------------------------------------
as 1 xenstore-write data/a 1
as 1 xenstore-write data/b 1
as 1 xenstore-read data/nothing 2>/dev/null
check "counts operations" shows '^WRITE +2 +0 +[0-9]' pvsplit store-stats
check "and errors" shows '^READ +[0-9]+ +1 +[0-9]' pvsplit store-stats --operations
check "by their name" shows '^ENOENT +1$' pvsplit store-stats --operations
check "says for how long" \
	shows '^Up [0-9.]+ (ms|s): 3 domains, ' pvsplit store-stats
check "as JSON" json 's["operations"][0]["count"] >= 2 and
	s["errors"]["ENOENT"] == 1 and s["totals"]["domains"] == 3 and
	all(o["p50-ns"] <= o["p99-ns"] <= o["max-ns"] for o in s["operations"])'
check "one part only" json 'sorted(s) == ["errors", "operations"]' --operations

check "shows whole histograms" json '
	sum(b["count"] for b in s["histograms"] if b["name"] == "WRITE") == 2
	and all(b["from-ns"] <= b["to-ns"] for b in s["histograms"])' --histograms

# ---- domains ---------------------------------------------------------------
check "shows what a domain does" shows \
	'^web +3 +1 +[0-9.]+ (ns|us|ms) +0 +0 +0 ns +no$' \
	pvsplit store-stats --domains
check "and who does most" json 's["domains"][0]["spent-ns"] >=
	s["domains"][1]["spent-ns"] > 0' --domains

# ---- transactions ----------------------------------------------------------
check "no transaction is open" shows '^Open transactions.*: none$' \
	pvsplit store-stats --transactions
python3 "$TMP/hold.py" "$RUN/1/xenstore" >"$TMP/holder" 2>&1 &
holder=$!
wait_for 10 grep -qx ready "$TMP/holder"
sleep 0.2
check "says who holds a transaction, since when" \
	shows "^web +[0-9]+ +pid:$holder +1 +[0-9.]+ (ms|s) +3 +1\$" \
	pvsplit store-stats --transactions
check "as JSON" json 's["transactions"][0]["domain"] == "web" and
	s["transactions"][0]["domid"] == 1 and
	s["transactions"][0]["age-ns"] > 10**8' --transactions
check "of one domain" shows '^web ' pvsplit store-stats --domain web
check "and of no other" shows_not '^web ' pvsplit store-stats --domain db
check "by its number" shows '^web ' pvsplit store-stats --domain 1
kill "$holder"
wait "$holder" 2>/dev/null
check "until its client ends" wait_for 10 sh -c \
	"pvsplit store-stats --transactions | grep -q 'none$'"
check "which is an abort" json 's["totals"]["transactions-aborted"] == 1'

# ---- quotas ----------------------------------------------------------------
as 0 xenstore-chmod /local/domain/1/data n1
i=0
set --
while [ "$i" -lt 500 ]; do
	set -- "$@" "data/n$i" ''
	i=$((i + 1))
done
as 1 xenstore-write "$@"
check "shows the fullest quota first" json '
	s["quotas"][0]["domain"] == "web" and s["quotas"][0]["name"] == "nodes"
	and s["quotas"][0]["now"] > 500 and s["quotas"][0]["limit"] == 1000'
check "and how full it is" shows '^web +nodes +5[0-9][0-9] +5[0-9][0-9] +1000 +50 %$' \
	pvsplit store-stats --quotas
as 1 xenstore-rm data
check "what it had at most stays" json '
	[q for q in s["quotas"] if q["domid"] == 1 and q["name"] == "nodes"]
	[0]["max"] > 500' --quotas

# ---- many domains: pages -----------------------------------------------------
i=0
while [ "$i" -lt 120 ]; do
	pvsplit domain-create "many$i" >/dev/null
	i=$((i + 1))
done
check "reads page after page" json '
	len({q["domid"] for q in s["quotas"] if q["name"] == "nodes"}) == 123'
check "shows ten of them, and how many more there are" \
	shows '^... and [0-9]+ more; --all shows them$' \
	pvsplit store-stats --quotas
check "or all" shows_not '^... and' pvsplit store-stats --quotas --all
check "and one of them" json '
	{q["domain"] for q in s["quotas"]} == {"many77"}' --domain many77

# ---- the journal -------------------------------------------------------------
check "says that the journal writes" shows '^state +writing$' \
	pvsplit store-stats --journal
check "and how long that takes" shows '^flush-max +[0-9.]+ (ns|us|ms|s)$' \
	pvsplit store-stats --journal
check "as JSON" json 's["journal"]["records"] > 100 and
	s["journal"]["file-bytes"] > 0 and s["journal"]["last-error"] == "none"'

# ---- the store dies ----------------------------------------------------------
before=$(pgrep -P "$daemon" xenstored-lite)
kill -9 "$before"
another_store() {
	after=$(pgrep -P "$daemon" xenstored-lite) && [ "$after" != "$before" ]
}
check "another store comes" wait_for 10 another_store
check "knows the domains" wait_for 10 json 's["totals"]["domains"] == 123'
check "and begins to count anew" json '
	s["totals"]["connections-ever"] < 10 and not s["transactions"]'

# ---- what is wrong -----------------------------------------------------------
check_fails "refuses a domain that does not exist" \
	pvsplit store-stats --domain nobody
check_fails "refuses a word" pvsplit store-stats web
stop_daemon "$daemon"

finish
