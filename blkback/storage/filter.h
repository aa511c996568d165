/* SPDX-License-Identifier: MIT */
/*
 * filter.h - storages that stand before another storage: what all of them
 * share. A filter is named before the target it stands before, as
 * NAME:ARGUMENTS,TARGET or, without arguments, NAME:TARGET; filters nest.
 *
 * Monitor and worker both read the filters off the target's text; their
 * descriptors follow those of the storage that they stand before. Thread: see
 * storage.h. Neighbours: filter.c, verify.c, fault.c.
 */
#ifndef BLKBACK_STORAGE_FILTER_H
#define BLKBACK_STORAGE_FILTER_H

#include "blkback/storage.h"

#define FILTER_ARGS_MAX 200u

struct filter_storage {
	struct storage storage;
	struct storage *inner;
};

struct filter_channel {
	struct storage_channel channel;
	struct storage_channel *inner;
};

struct storage_filter {
	const char *name;
	const char *help; /* "NAME\tHOW IT IS WRITTEN\tWHAT IT DOES" */
	/* Arguments begin with this, or there are none. "": always there. */
	const char *args_prefix;
	unsigned nr_fds; /* 0 or 1 */
	/*
	 * Monitor: check args, with one sentence in why on failure; with nr_fds
	 * open *fd. desc: of what it stands before.
	 */
	int (*acquire)(const char *args, const struct storage_desc *desc,
		       int *fd, char *why, size_t why_size);
	/* Worker: inner is set by the caller; fd stays the caller's. */
	int (*open)(const char *args, const struct storage_desc *desc, int fd,
		    struct filter_storage **ret);
	void (*destroy)(struct filter_storage *f); /* not inner; NULL is fine */
};

extern const struct storage_filter filter_verify;
extern const struct storage_filter filter_fault;

/* The seam's size for every filter. */
int filter_size(struct storage *st, uint64_t *ret_bytes);

/* The seam's calls for a filter that only passes them on. */
bool filter_flush(struct storage_channel *ch);
unsigned filter_poll(struct storage_channel *ch);
int filter_wait_fd(struct storage_channel *ch);
int filter_fence_fd(struct storage_channel *ch);
void filter_give_up(struct storage_channel *ch);

static inline struct filter_storage *filter_of(struct storage *st)
{
	return (struct filter_storage *)st;
}

/* The channel behind a filter's, and its driver. */
static inline struct storage_channel *filter_inner(struct storage_channel *ch)
{
	return ((struct filter_channel *)ch)->inner;
}

static inline const struct storage_ops *filter_ops(struct storage_channel *ch)
{
	return filter_inner(ch)->st->ops;
}

#endif /* BLKBACK_STORAGE_FILTER_H */
