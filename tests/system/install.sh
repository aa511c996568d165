#!/bin/sh
# SPDX-License-Identifier: MIT
# What `make install` puts somewhere is whole: programs start from there, and a
# program that is not ours is built against the library with pkg-config and
# reads a disk through it.
. "${0%/*}/lib.sh"
requires_cmd make make
requires_cmd pkg-config pkg-config
requires_cmd cc gcc
ROOT=$TMP/root
DIR=$ROOT/opt/pvsplit
case $BUILD in
*/release) ;;
*) skip_all "the library of a sanitized build needs its sanitizer" ;;
esac

check "make install into a directory" \
	make -s install BUILD="$BUILD" DESTDIR="$ROOT" PREFIX=/opt/pvsplit
check_output "pvsplit starts from there" "pvsplit 0.1" \
	"$DIR/bin/pvsplit" --version
check "the manuals are there" test -e "$DIR/share/man/man3/blkfront.3"

# As on a machine that has only what is installed.
PKG_CONFIG_PATH=$DIR/lib/pkgconfig
PKG_CONFIG_SYSROOT_DIR=$ROOT
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
cp examples/blkfront-hello.c "$TMP"
check "the header stands alone" sh -c "cd '$TMP' &&
	echo '#include <pvsplit/blkfront.h>' >alone.c &&
	cc -std=c99 -Wall -Wextra -Wpedantic -Werror -c alone.c \
		\$(pkg-config --cflags pvsplit-blkfront)"
check "the example builds" sh -c "cd '$TMP' &&
	cc -std=c11 -Wall -Wextra -Werror -D_GNU_SOURCE -o hello \
		blkfront-hello.c \
		\$(pkg-config --cflags --libs pvsplit-blkfront)"
check "the library shows nothing but its own names" sh -c "
	! nm --defined-only --extern-only '$DIR/lib/libpvsplit-blkfront.a' |
		grep ' [A-Z] ' | grep -v ' blkfront_'"

if [ "$(id -u)" -eq 0 ]; then
	PATH=$DIR/bin:$DIR/libexec/pvsplit:$PATH
	PVSPLIT_RUN=$RUN
	export PVSPLIT_RUN
	truncate -s 1M "$TMP/disk.img"
	echo hello | dd of="$TMP/disk.img" bs=4096 seek=2 conv=notrunc status=none
	start_daemon brokerd --run-dir "$RUN" || finish
	pvsplit domain-create storage >"$TMP/log"
	pvsplit domain-create g >"$TMP/log"
	start_daemon blkbackd --run-dir "$RUN" --domain 1 || finish
	check "a disk" pvsplit block-attach g "$TMP/disk.img,raw,xvda,r"
	check_output "the example reads it" "1048576 bytes, read-only
block 0: empty
block 1: empty
block 2: holds data
block 3: empty
block 4: empty
block 5: empty
block 6: empty
block 7: empty" "$TMP/hello" 2 51712
	check_fails "and says when there is none" "$TMP/hello" 2 51728
else
	skip "a disk through the library: needs root"
fi

unset PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
check "make uninstall" \
	make -s uninstall BUILD="$BUILD" DESTDIR="$ROOT" PREFIX=/opt/pvsplit
check_output "takes it all away" "" find "$ROOT" -type f
finish
