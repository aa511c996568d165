#!/bin/sh
# SPDX-License-Identifier: MIT
# store-live-update.sh - the store becomes another program, again and again,
# under load: no connection ends, no event is lost, open transactions stay open,
# and a program that cannot take over does not.
set -u
. "${0%/*}/lib.sh"
requires_root
requires_cmd xenstore-read xenstore-utils
requires_cmd python3 python3
requires_cmd pvsplit "make all"
PVSPLIT_RUN=$RUN
export PVSPLIT_RUN

cat >"$TMP/client.py" <<'PY'
import socket, struct, sys, threading, time

CONTROL, READ, WATCH, START, END, WRITE, EVENT, ERROR = 0, 2, 4, 6, 7, 11, 15, 16

class Client:
    def __init__(self, run, domid=0):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(30)
        self.s.connect("%s/%d/xenstore" % (run, domid))
        self.events = []

    def send(self, kind, payload, tx=0):
        self.s.sendall(struct.pack("<IIII", kind, 1, tx, len(payload)) + payload)

    def take(self, n):
        data = b""
        while len(data) < n:
            more = self.s.recv(n - len(data))
            if not more:
                raise SystemExit("the connection ended")
            data += more
        return data

    def one(self):
        kind, _, _, n = struct.unpack("<IIII", self.take(16))
        return kind, self.take(n)

    def answer(self):
        while True:
            kind, data = self.one()
            if kind != EVENT:
                return kind, data
            self.events.append(data.split(b"\0")[0])

    def ask(self, kind, payload, tx=0):
        self.send(kind, payload, tx)
        kind, data = self.answer()
        if kind == ERROR:
            raise RuntimeError(data[:-1].decode())
        return data

PY
cat >"$TMP/load.py" <<'PY'
import sys, threading, time
sys.path.insert(0, sys.argv[1])
from client import *

run, nr_updates, program = sys.argv[2], int(sys.argv[3]), sys.argv[4:]
stop = threading.Event()
failed = []
written = [0] * 4
DEPTH = 16

def write(who):
    try:
        c = Client(run)
        under_way = 0
        while not stop.is_set() or under_way:
            while under_way < DEPTH and not stop.is_set():
                c.send(WRITE, b"/load/%d/%d\0x" % (who, written[who]))
                written[who] += 1
                under_way += 1
            kind, data = c.answer()
            if kind != WRITE:
                raise RuntimeError(data)
            under_way -= 1
    except BaseException as e:
        failed.append("writer %d: %r" % (who, e))

def watch(heard):
    try:
        c = Client(run)
        c.ask(WATCH, b"/load\0token\0")
        ready.set()
        c.s.settimeout(1)
        idle = 0
        while idle < 2 or not stop.is_set():
            try:
                kind, data = c.one()
                heard.add(data.split(b"\0")[0])
                idle = 0
            except TimeoutError:
                idle += 1
    except BaseException as e:
        failed.append("watcher: %r" % e)
        ready.set()

ready = threading.Event()
heard = set()
threads = [threading.Thread(target=watch, args=(heard,))]
threads[0].start()
ready.wait()
threads += [threading.Thread(target=write, args=(i,)) for i in range(4)]
for t in threads[1:]:
    t.start()

holder = Client(run)
tx = int(holder.ask(START, b"\0")[:-1])
holder.ask(WRITE, b"/held\0by a transaction", tx)
half = Client(run)
request = struct.pack("<IIII", WRITE, 1, 0, 11) + b"/half\0whole"
half.s.sendall(request[:20])

admin = Client(run)
longest = 0
for _ in range(nr_updates):
    time.sleep(0.1)
    if program:
        admin.ask(CONTROL, b"live-update\0-f\0" + program[0].encode() + b"\0")
    start = time.monotonic()
    admin.ask(CONTROL, b"live-update\0-s\0-t\00060\0-F\0")
    longest = max(longest, time.monotonic() - start)

half.s.sendall(request[20:])
assert half.answer()[0] == WRITE
assert holder.ask(READ, b"/held\0", tx) == b"by a transaction"
holder.ask(END, b"T\0", tx)
assert admin.ask(READ, b"/held\0") == b"by a transaction"
assert admin.ask(READ, b"/half\0") == b"whole"
time.sleep(0.1)
stop.set()
for t in threads:
    t.join()
for i in range(4):
    for k in range(written[i]):
        if b"/load/%d/%d" % (i, k) not in heard:
            failed.append("no event for /load/%d/%d" % (i, k))
            break
assert admin.ask(CONTROL, b"check\0") == b"OK\0"
print("%d updates, %d writes, %d events, longest %.0f ms" %
      (nr_updates, sum(written), len(heard), longest * 1000))
sys.exit("\n".join(failed) if failed else 0 if sum(written) else "no load")
PY
cat >"$TMP/refused.py" <<'PY'
import sys
sys.path.insert(0, sys.argv[1])
from client import *

c = Client(sys.argv[2])
try:
    for command in sys.argv[3:]:
        c.ask(CONTROL, b"live-update\0" + command.encode().replace(b" ", b"\0") + b"\0")
except RuntimeError as e:
    print(e)
PY

# refused WHY COMMAND...: the last command has that error.
refused() {
	why=$1
	shift
	check_output "$* is refused: $why" "$why" \
		timeout 30 python3 "$TMP/refused.py" "$TMP" "$RUN" "$@"
}

start_daemon brokerd --run-dir "$RUN" || exit 1
broker=$PID
store=$(pgrep -P "$broker" -x xenstored-lite)
check "ten updates under load: nothing drops, nothing is lost" \
	timeout 120 python3 "$TMP/load.py" "$TMP" "$RUN" 10
cat "$TMP/check.log"
check_output "it is the same process" "$store" \
	pgrep -P "$broker" -x xenstored-lite
cp "$BUILD/bin/xenstored-lite" "$TMP/xenstored-lite"
check "to a program at another place" \
	timeout 120 python3 "$TMP/load.py" "$TMP" "$RUN" 2 "$TMP/xenstored-lite"
check_output "which it is now" "$TMP/xenstored-lite" \
	readlink "/proc/$store/exe"
cp "$BUILD/bin/xenstored-lite" "$TMP/next"
mv "$TMP/next" "$TMP/xenstored-lite"
check "to the file that has its name now" \
	timeout 120 python3 "$TMP/load.py" "$TMP" "$RUN" 1
check_output "which it is then" "$TMP/xenstored-lite" \
	readlink "/proc/$store/exe"

refused ENOENT "-f /nonexistent"
refused EINVAL "-f relative"
refused EINVAL "-f /bin/true" -s
refused EINVAL "-f /bin/false" "-s -F"
printf '#!/bin/sh\nkill -SEGV $$\n' >"$TMP/crash"
chmod +x "$TMP/crash"
refused EINVAL "-f $TMP/crash" -s
refused EINVAL "-s -t"
refused EINVAL "-x"
check "and then it still works" \
	timeout 120 python3 "$TMP/load.py" "$TMP" "$RUN" 1

# What was saved and restored is still what the journal says.
kill -KILL "$store"
wait_for 10 process_gone "$store"
check_output "killed after updates: all is remembered" "by a transaction" \
	env XENSTORED_PATH="$RUN/0/xenstore" timeout 20 xenstore-read /held
finish
