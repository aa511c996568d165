#!/bin/sh
# SPDX-License-Identifier: MIT
# What `make install` puts somewhere is whole: programs start from there, and a
# programs that are not ours are built against the libraries with pkg-config and
# read a disk and meet on a network through them.
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
check "the manuals are there" test -e "$DIR/share/man/man3/blkfront.3" -a \
	-e "$DIR/share/man/man3/netfront.3"

# As on a machine that has only what is installed.
PKG_CONFIG_PATH=$DIR/lib/pkgconfig
PKG_CONFIG_SYSROOT_DIR=$ROOT
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
for lib in blkfront netfront; do
	cp "examples/$lib-hello.c" "$TMP"
	check "the header of $lib stands alone" sh -c "cd '$TMP' &&
		echo '#include <pvsplit/$lib.h>' >alone.c &&
		cc -std=c99 -Wall -Wextra -Wpedantic -Werror -c alone.c \
			\$(pkg-config --cflags pvsplit-$lib)"
	check "the example of $lib builds" sh -c "cd '$TMP' &&
		cc -std=c11 -Wall -Wextra -Werror -D_GNU_SOURCE \
			-o $lib-hello $lib-hello.c \
			\$(pkg-config --cflags --libs pvsplit-$lib)"
	check "the library $lib shows nothing but its own names" sh -c "
		! nm --defined-only --extern-only \
			'$DIR/lib/libpvsplit-$lib.a' |
			grep ' [A-Z] ' | grep -v ' ${lib}_'"
done
check "a program may have both" sh -c "cd '$TMP' &&
	printf '%s\n' '#include <pvsplit/blkfront.h>' \
		'#include <pvsplit/netfront.h>' 'int main(void) {' \
		'blkfront_close(0); netfront_close(0); return 0; }' >both.c &&
	cc -o both both.c \
		\$(pkg-config --cflags --libs pvsplit-blkfront pvsplit-netfront) &&
	./both"

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
block 7: empty" "$TMP/blkfront-hello" 2 51712
	check_fails "and says when there is none" "$TMP/blkfront-hello" 2 51728

	pvsplit domain-create h >"$TMP/log"
	pvsplit domain-create network >"$TMP/log"
	start_daemon netbackd --run-dir "$RUN" --domain 4 || finish
	check "a vif" pvsplit network-attach g mac=00:16:3e:00:00:02
	check "another" pvsplit network-attach h mac=00:16:3e:00:00:03
	"$TMP/netfront-hello" 2 4 >"$TMP/heard" &
	hello=$!
	"$TMP/netfront-hello" 3 6 | head -1 >"$TMP/heard.first"
	check_output "the example hears the other" \
		"hello from 00:16:3e:00:00:02" cat "$TMP/heard.first"
	check "and ends" wait "$hello"
	check "and was heard" grep -q "hello from 00:16:3e:00:00:03" \
		"$TMP/heard"
else
	skip "a disk and a network through the libraries: needs root"
fi

unset PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
check "make uninstall" \
	make -s uninstall BUILD="$BUILD" DESTDIR="$ROOT" PREFIX=/opt/pvsplit
check_output "takes it all away" "" find "$ROOT" -type f
finish
