/* SPDX-License-Identifier: MIT */
/*
 * window.h - a file in memory (tmpfs) as memory: copies instead of system
 * calls.
 *
 * Two things can go wrong with a mapping that a system call answers with an
 * error. A page that cannot be had (the file was cut, the file system is full)
 * raises SIGBUS: that ends the copy, not the process, and the caller's system
 * call then says what is the matter. And a look at a hole fills it: so only
 * pages are looked at that are known to be there, from a write or from the file
 * system's own word.
 *
 * Thread: open and close the control thread, the rest any data thread, which
 * must not have SIGBUS blocked.
 */
#ifndef BLKBACK_STORAGE_WINDOW_H
#define BLKBACK_STORAGE_WINDOW_H

#include "blkback/storage.h"

struct window;

/* Of the first size_bytes of fd, which stays the caller's. */
int window_open(int fd, uint64_t size_bytes, bool readonly,
		struct window **ret) PV_MUST_CHECK;
void window_close(struct window *w); /* NULL is fine */

/*
 * A read or a write, whole. True: done. False: not here, or not all of it;
 * another way has to do it all, and says so by window_wrote().
 */
bool window_copy(struct window *w, const struct storage_io *io);
/* The file has data there now. */
void window_wrote(struct window *w, uint64_t offset_bytes, uint64_t size_bytes);
/* Before a hole is made there: looked at again before the next read. */
void window_punch(struct window *w, uint64_t offset_bytes, uint64_t size_bytes);

#endif /* BLKBACK_STORAGE_WINDOW_H */
