#!/bin/sh
# SPDX-License-Identifier: MIT
# The command itself: every wrong input gets one clear line, the right status,
# and leaves nothing half made; attaching and detaching as people do it.
. "${0%/*}/lib.sh"
requires_root
requires_cmd xenstore-ls xenstore-utils
requires_cmd setpriv util-linux
requires_cmd unshare util-linux

PVSPLIT_RUN=$RUN
export PVSPLIT_RUN
IMG=$TMP/disk.img
truncate -s 64M "$IMG"

cleanup_more() {
	pvsplit down
}

# refuses SENTENCE STATUS PATTERN COMMAND...: the status, and on standard error
# exactly one line, of pvsplit, with the pattern in it.
refuses() {
	sentence=$1 expected=$2 pattern=$3
	shift 3
	"$@" >"$TMP/out" 2>"$TMP/err" </dev/null
	status=$?
	if [ "$status" -eq "$expected" ] && [ "$(wc -l <"$TMP/err")" -eq 1 ] &&
		grep -q '^pvsplit: ' "$TMP/err" && grep -q "$pattern" "$TMP/err"; then
		pass "$sentence"
	else
		fail "$sentence (status $status, expected $expected and '$pattern')"
		sed 's/^/    /' "$TMP/err"
	fi
}

# All of the store, with permissions.
store() {
	XENSTORED_PATH=$RUN/0/xenstore xenstore-ls -fp | grep -v '^/libxl = '
}

service_pid() {
	cut -d ' ' -f 1 "$RUN/pid/$1"
}

nobody() {
	setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}

# ---- the command line
refuses "no command" 2 "no command" pvsplit
refuses "an unknown command" 2 "unknown command 'fly'" pvsplit fly
refuses "an unknown global option" 2 "unknown option --fly" pvsplit --fly
refuses "an unknown option of a command" 2 "unknown option --fly" \
	pvsplit domain-list --fly
refuses "an unknown letter" 2 "unknown option -x" pvsplit domain-list -x
refuses "an option without its value" 2 "needs a value" \
	pvsplit domain-create web --uid
refuses "a uid that is no number" 2 "uid 'x'" pvsplit domain-create web --uid x
refuses "something missing" 2 "missing" pvsplit block-attach web
refuses "something too much" 2 "too much" pvsplit domain-create a b
refuses "run without a command" 2 "no command" pvsplit run
refuses "a domain and a name at once" 2 "without --name" \
	pvsplit run --domain web --name b -- true
check "--help works" pvsplit --help
check "--version works" pvsplit --version
for c in $(pvsplit --help | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\).*/\1/p'); do
	check "$c --help has usage, options and an example" sh -c \
		"pvsplit $c --help >'$TMP/help' && grep -q '^Usage: pvsplit $c' '$TMP/help' &&
		grep -q '^Options:' '$TMP/help' && grep -q '^Example:' '$TMP/help'"
done

# ---- no daemon, no privilege, no room
refuses "no run directory" 1 "no such run directory" pvsplit domain-list
mkdir "$RUN"
refuses "a run directory that nobody serves" 1 "no brokerd serves" \
	pvsplit domain-list
rmdir "$RUN"
long=$TMP/$(printf '%0120d' 0)
mkdir "$long"
refuses "a socket path that is too long" 1 "too long" pvsplit --run-dir "$long" up
check "nothing was made there" rmdir "$long"
refuses "the same when connecting" 1 "too long" \
	pvsplit --run-dir "$long" domain-list
refuses "a run directory below one that does not exist" 1 "cannot make" \
	pvsplit --run-dir "$TMP/no/run" up
chmod 755 "$TMP"
refuses "up without privilege" 1 "Permission denied" nobody pvsplit up
check "nothing was made" test ! -e "$RUN"
refuses "run without privilege" 1 "needs root" nobody pvsplit run -- true
refuses "demo without privilege" 1 "needs root" nobody pvsplit demo

# As root of new mounts, with a directory that has no room left.
mkdir "$TMP/full"
cat >"$TMP/on_full" <<'END'
mount -t tmpfs -o size=64k tmpfs "$1/full" || exit 99
dd if=/dev/zero of="$1/full/all" bs=4k >/dev/null 2>&1
shift
"$@"
status=$?
left=$(ls "$PVSPLIT_RUN" 2>/dev/null | grep -v '^lock$')
[ -z "$left" ] || { echo "left: $(ls -R "$PVSPLIT_RUN")" | xargs; exit 98; }
exit $status
END
refuses "up on a full disk" 1 "No space left" \
	env PVSPLIT_RUN="$TMP/full/run" unshare -m sh "$TMP/on_full" "$TMP" pvsplit up
refuses "demo on a full disk" 1 "MiB free" \
	env TMPDIR="$TMP/full" unshare -m sh "$TMP/on_full" "$TMP" pvsplit demo
for dev in /dev/fuse /dev/net/tun; do
	refuses "demo without $dev" 1 "there is no $dev" \
		unshare -m sh -c 'mount --bind /dev/null "$1" && exec pvsplit demo' sh $dev
done
refuses "run with a disk without /dev/fuse" 1 "there is no /dev/fuse" \
	unshare -m sh -c 'mount --bind /dev/null /dev/fuse &&
	exec pvsplit run --disk "$1,raw,xvda,r" -- true' sh "$IMG"
refuses "demo without a tool" 1 "is not installed; 'apt-get install" \
	unshare -m sh -c 'mount --bind /dev/null "$(command -v mkfs.ext4)" && exec pvsplit demo'

# ---- up
check "up starts the store and the driver domains" pvsplit up
check "up again changes nothing" sh -c \
	"pid=\$(cat '$RUN/pid/storage') && pvsplit up && [ \"\$pid\" = \"\$(cat '$RUN/pid/storage')\" ]"
check "status shows them" sh -c "[ \$(pvsplit status | grep -c running) -eq 3 ]"
check_fails "a second daemon on the same directory" \
	timeout 10 brokerd --run-dir "$RUN"
check "it says so in one line" sh -c \
	"[ \$(timeout 10 brokerd --run-dir '$RUN' 2>&1 | wc -l) -eq 1 ]"
refuses "a run directory of somebody else" 1 "permission denied" \
	nobody pvsplit domain-list
refuses "output that cannot be written" 1 "output: cannot write" \
	sh -c 'pvsplit domain-list >/dev/full'

# ---- domains
check "a domain is made" pvsplit domain-create web
refuses "a name used twice" 1 "'web' is in use" pvsplit domain-create web
for name in 12 "a b" "" "a/b" "$(printf '%064d' 0 | tr 0 a)"; do
	refuses "the name '$name'" 1 "no name for a domain" \
		pvsplit domain-create "$name"
done
refuses "destroying what does not exist" 1 "'gone' does not exist" \
	pvsplit domain-destroy gone
refuses "destroying a number that does not exist" 1 "does not exist" \
	pvsplit domain-destroy 77
refuses "destroying domain 0" 1 "toolstack" pvsplit domain-destroy 0
check_output "a domain has a name and a number in JSON" web sh -c \
	"pvsplit domain-list --json | sed -n 's/.*\"name\": \"\\(web\\)\".*/\\1/p'"

# ---- disks: wrong
store >"$TMP/before"
printf x >"$TMP/odd.img"
: >"$TMP/empty.img"
truncate -s 1M "$TMP/ro.img"
chmod 444 "$TMP/ro.img"
refuses "a missing image" 1 "No such file" \
	pvsplit block-attach web "$TMP/none.img,raw,xvda,rw"
refuses "a directory" 1 "neither a file" pvsplit block-attach web "$TMP,raw,xvda,rw"
refuses "an image that is not a multiple of 512 bytes" 1 "multiple of 512" \
	pvsplit block-attach web "$TMP/odd.img,raw,xvda,rw"
refuses "an empty image" 1 "is empty" \
	pvsplit block-attach web "$TMP/empty.img,raw,xvda,rw"
refuses "a read-only image for writing" 1 "read-only" \
	pvsplit block-attach web "$TMP/ro.img,raw,xvda,rw"
refuses "an image on a read-only file system" 1 "Read-only file system" \
	unshare -m sh -c 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" &&
	exec pvsplit block-attach web "$1/disk.img,raw,xvda,rw"' sh "$TMP"
refuses "a format that is not raw" 1 "qemu-img" \
	pvsplit block-attach web "$IMG,qcow2,xvda,rw"
refuses "a partition" 1 "not a whole disk" pvsplit block-attach web "$IMG,raw,xvda1,rw"
refuses "a disk for nobody" 1 "'gone' does not exist" \
	pvsplit block-attach gone "$IMG,raw,xvda,rw"
refuses "a disk from nobody" 1 "'gone' does not exist" \
	pvsplit block-attach web "$IMG,raw,xvda,rw" --backend gone
refuses "disks of nobody" 1 "does not exist" pvsplit block-list gone
refuses "a target that the backend cannot open" 1 "refused" \
	pvsplit block-attach web "nonsense:x,raw,xvda,rw"
refuses "a backend that does not answer" 1 "did not answer" \
	pvsplit block-attach web "$IMG,raw,xvda,rw" --backend web
refuses "a disk that is not there" 1 "has no vbd xvdb" pvsplit block-detach web xvdb
refuses "an interface that is not there" 1 "has no vif 3" pvsplit network-detach web 3
refuses "an interface with a bad address" 1 "not a unicast" \
	pvsplit network-attach web mac=01:00:00:00:00:01
store >"$TMP/after"
check "none of it left a trace in the store" cmp "$TMP/before" "$TMP/after"

# ---- disks: right
check "a disk is attached" pvsplit block-attach web "$IMG,raw,xvda,rw"
refuses "a vdev in use" 1 "has a disk xvda already" \
	pvsplit block-attach web "$TMP/ro.img,raw,xvda,r"
refuses "an image in use for writing" 1 "is in use by domain" \
	pvsplit block-attach web "$IMG,raw,xvdb,r"
check "a read-only image is attached for reading" \
	pvsplit block-attach web "vdev=xvdb,access=r,target=$TMP/ro.img"
check "both are listed" sh -c "[ \$(pvsplit block-list web | grep -c InitWait) -eq 2 ]"

web=$(pvsplit domain-list | awk '$2 == "web" { print $1 }')
storage=$(pvsplit domain-list | awk '$2 == "storage" { print $1 }')
perms() {
	store | sed -n "s,^$1 = .*  *\((.*)\)\$,\1,p"
}
check_output "the frontend's directory is its own, its backend reads" \
	"(n$web,r$storage)" perms "/local/domain/$web/device/vbd/51712"
check_output "so are the nodes in it" "(n$web,r$storage)" \
	perms "/local/domain/$web/device/vbd/51712/state"
check_output "the backend's directory is its own, its frontend reads" \
	"(n$storage,r$web)" perms "/local/domain/$storage/backend/vbd/$web/51712"
check_output "so are the nodes in it" "(n$storage,r$web)" \
	perms "/local/domain/$storage/backend/vbd/$web/51712/params"
check_output "the toolstack's copy is domain 0's, the backend reads" \
	"(n0,r$storage)" perms "/libxl/$web/device/vbd/51712/params"
check_output "the number is Xen's" 51728 sh -c \
	"XENSTORED_PATH='$RUN/0/xenstore' xenstore-read /local/domain/$web/device/vbd/51728/virtual-device"

refuses "destroying a domain that serves others" 1 "is the backend of" \
	pvsplit domain-destroy storage
check "a disk is detached" pvsplit block-detach web xvda
refuses "and is gone" 1 "has no vbd" pvsplit block-detach web xvda
check "a disk is detached by number" pvsplit block-detach web 51728
store >"$TMP/after"
check "nothing of the disks is left" sh -c \
	"! grep -E '/vbd/[0-9]' '$TMP/after'"

odd=$TMP/$(printf 'odd\377\n').img
truncate -s 1M "$odd"
check "a path of any bytes is attached" \
	pvsplit block-attach web "vdev=xvdc,target=$odd"
check "and listed as JSON" sh -c \
	"pvsplit block-list --json | grep -q 'odd?.img'"
check "and detached" pvsplit block-detach web xvdc

# ---- interfaces
check "an interface is attached" pvsplit network-attach web vif=2
check "the next one gets a free index" sh -c \
	"pvsplit network-attach web && pvsplit network-list web | awk '\$2 == 0' | grep -q 00:16:3e"
refuses "an index in use" 1 "has a vif 2 already" pvsplit network-attach web vif=2
check "an interface is detached" pvsplit network-detach web 2
check "domain-destroy detaches what is left" pvsplit domain-destroy web

# ---- run
check "run passes the command's status on" sh -c "pvsplit run -- sh -c 'exit 7'; [ \$? -eq 7 ]"
check "and a signal as a shell does" sh -c "pvsplit run -- sh -c 'kill -9 \$\$'; [ \$? -eq 137 ]"
refuses "run of a program that is not there" 1 "cannot run" pvsplit run -- no-such-program
refuses "run in a domain that is not there" 1 "does not exist" \
	pvsplit run --domain gone -- true
check_output "a guest has its own network" "eth0 lo" sh -c \
	"pvsplit run --vif ip=10.1.1.1/24 -- sh -c 'ls /sys/class/net' | xargs"
mkfs.ext4 -q "$IMG"
mkdir "$TMP/mnt"
check "a guest writes its disk" pvsplit run --disk "$IMG,raw,xvda,rw,mount=$TMP/mnt" -- \
	sh -c "echo hello >'$TMP/mnt/file'"
check_output "and reads it again" hello pvsplit run \
	--disk "vdev=xvda,access=r,target=$IMG,mount=$TMP/mnt" -- cat "$TMP/mnt/file"
check "the file system is clean" fsck.ext4 -fn "$IMG"
check_output "without mount= the device is in the environment" 67108864 \
	pvsplit run --disk "$IMG,raw,xvdc,r" -- \
	sh -c 'blockdev --getsize64 "$PVSPLIT_DISK_XVDC"'
check_fails "a read-only disk cannot be written" \
	pvsplit run --disk "$IMG,raw,xvda,r" -- \
	sh -c 'dd if=/dev/zero of=$PVSPLIT_DISK_XVDA bs=4k count=1'
refuses "a mount point that is not there" 1 "cannot be mounted" \
	pvsplit run --disk "$IMG,raw,xvda,r,mount=$TMP/none" -- true
check "an attached disk is used with --domain" sh -c \
	"pvsplit domain-create keep && pvsplit block-attach keep '$IMG,raw,xvda,rw' &&
	pvsplit run --domain keep -- sh -c 'test -b \$PVSPLIT_DISK_XVDA' &&
	pvsplit run --domain keep -- sh -c 'test -b \$PVSPLIT_DISK_XVDA' &&
	pvsplit domain-destroy keep"

only_drivers() {
	[ "$(pvsplit domain-list | wc -l)" -eq 4 ] &&
		! store | grep -qE '/(vbd|vif)/[0-9]'
}
nothing_runs() {
	! pgrep -f "$RUN" -a | grep -vE 'brokerd|xenstored-lite|blkbackd|netbackd|pgrep|pvsplit.sh'
}
check "nothing of the guests is left in the store" wait_for 5 only_drivers
check "no process of theirs" wait_for 5 nothing_runs
# begin_victim: a guest whose command runs, in $victim.
begin_victim() {
	rm -f "$TMP/began"
	pvsplit run --name victim --disk "$IMG,raw,xvda,rw" --vif vif=0 -- \
		sh -c 'touch "$1" && exec sleep 1000' sh "$TMP/began" &
	victim=$!
	wait_for 20 test -e "$TMP/began"
}
begin_victim
kill -TERM $victim
wait $victim
check "a run ends with SIGTERM" test $? -eq 143
check "and nothing is left" only_drivers
begin_victim
kill -KILL $victim
wait $victim 2>/dev/null
check "a run that was killed leaves no domain" wait_for 10 only_drivers
check "no process" wait_for 10 nothing_runs
no_loops() {
	! losetup -a 2>/dev/null | grep -q "$RUN"
}
check "no loop device" wait_for 10 no_loops

# ---- the end
kill -KILL "$(service_pid brokerd)"
wait_for 5 sh -c "! pvsplit domain-list"
refuses "a stale run directory" 1 "is dead" pvsplit domain-list
check "up starts it again" pvsplit up
check "and it serves" pvsplit domain-create again
cp "$RUN/pid/storage" "$TMP/pid"
check "down ends it all" pvsplit down
check "down again is fine" pvsplit down
check "nothing runs" nothing_runs
mkdir -p "$RUN/pid"
sleep 1000 &
echo "$! 1 $(cat /proc/sys/kernel/random/boot_id)" >"$RUN/pid/storage"
pvsplit down
check "a process of another start time is left alone" kill $!
finish
