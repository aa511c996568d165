/* SPDX-License-Identifier: MIT */
/*
 * done.h - ios that a driver finished inside submit(), kept until poll(): done
 * may not be called from inside submit(). Used by every driver of this folder,
 * on the channel's thread.
 */
#ifndef BLKBACK_STORAGE_DONE_H
#define BLKBACK_STORAGE_DONE_H

#include "blkback/storage.h"

struct done_list {
	struct storage_io *first, **last;
};

static inline void done_list_init(struct done_list *l)
{
	l->first = NULL;
	l->last = &l->first;
}

static inline void done_list_add(struct done_list *l, struct storage_io *io,
				 int result)
{
	io->result = result;
	io->next = NULL;
	*l->last = io;
	l->last = &io->next;
}

/*
 * Call done for what is on the list now; a done may submit more, which is left
 * for the next call. Returns how many.
 */
static inline unsigned done_list_run(struct done_list *l)
{
	struct storage_io *io = l->first, *next;
	unsigned nr = 0;

	done_list_init(l);
	for (; io; io = next, nr++) {
		next = io->next;
		io->done(io);
	}
	return nr;
}

#endif /* BLKBACK_STORAGE_DONE_H */
