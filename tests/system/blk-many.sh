# SPDX-License-Identifier: MIT
# blk-many.sh - hundreds of disks of one driver domain: attached by one command,
# and when they go nothing of them stays.
. "${0%/*}/lib.sh"
requires_root
nr=200
PVSPLIT_RUN=$RUN
export PVSPLIT_RUN

# specs NR FORMAT: a line each for xvda ... xvdz, xvdaa ..., which is its %s
specs() {
	awk -v nr="$1" -v format="$2\n" 'BEGIN {
		letters = "abcdefghijklmnopqrstuvwxyz"
		for (v = 0; v < nr; v++) {
			name = v < 26 ? "" : substr(letters, int(v / 26), 1)
			name = "xvd" name substr(letters, v % 26 + 1, 1)
			printf format, name
		}
	}'
}

is_as_before() {
	backend_holds "$monitor" 1 >"$TMP/now"
	diff "$TMP/before" "$TMP/now"
}

attached() {
	pvsplit block-list --json | grep -o '"backend-state": *"InitWait"' |
		wc -l
}

requires_cmd xenstore-ls xenstore-utils
start_daemon brokerd --run-dir "$RUN" || exit 1
check "a driver domain with room for many" \
	pvsplit domain-create storage --devices "$nr"
check "a guest with room for many" pvsplit domain-create web --devices "$nr"
start_daemon blkbackd --run-dir "$RUN" --domain 1 || exit 1
monitor=$PID
check "one disk comes" pvsplit block-attach web null:1M,raw,xvda,rw
check "and goes" pvsplit block-detach web xvda
backend_holds "$monitor" 1 >"$TMP/before"

truncate -s 1M "$TMP/image"
{
	echo "# every line is a disk"
	echo
	specs "$nr" 'null:1M,raw,%s,rw'
} >"$TMP/specs"
check "many are attached by one command" \
	pvsplit block-attach web --from "$TMP/specs"
check_output "and all are taken" "$nr" attached
check_fails "a name that is in use is refused" \
	pvsplit block-attach web null:1M,raw,xvdzz,rw null:1M,raw,xvda,rw
check_output "what came before it stays" $((nr + 1)) attached
check_fails "an image that one command gives twice is refused" \
	pvsplit block-attach web "$TMP/image,raw,xvdzx,rw" \
	"$TMP/image,raw,xvdzy,rw"
check "the first of them is taken away" pvsplit block-detach web xvdzx
check "readers may share it, and standard input may say so" sh -c "printf \\
	'%s\\n' '$TMP/image,raw,xvdzx,r' '$TMP/image,raw,xvdzy,r' |
	pvsplit block-attach web --from -"
check_fails "a line that is wrong is refused before anything is attached" \
	sh -c "printf 'null:1M,raw,xvdyy,rw\\nnonsense\\n' |
		pvsplit block-attach web --from -"
check_output "so nothing more is there" $((nr + 3)) attached
check_fails "a disk has to be named" pvsplit block-attach web
check_fails "a file that is not there is refused" \
	pvsplit block-attach web --from "$TMP/none"

check "all go with their guest" pvsplit domain-destroy web
check_output "none is left" 0 attached
check "descriptors, threads and nodes are as many as before" \
	wait_for 10 is_as_before

# Without room: refused with a reason, and the driver domain goes on.
check "a driver domain like any other" pvsplit domain-create small
check "and a guest" pvsplit domain-create web
start_daemon blkbackd --run-dir "$RUN" --domain 3 || exit 1
check_fails "has no room for as many" \
	pvsplit block-attach web --backend small --from "$TMP/specs"
check "the guest goes with those that were attached" pvsplit domain-destroy web
check "another guest comes" pvsplit domain-create web
check "and is served" \
	pvsplit block-attach web null:1M,raw,xvda,rw --backend small
finish
