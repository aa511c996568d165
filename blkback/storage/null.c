/* SPDX-License-Identifier: MIT */
/*
 * null.c - `null:SIZE`: reads are zeros, writes and discards are forgotten. It
 * shows what the framework itself costs. Thread: see storage.h.
 */
#include "blkback/storage/drivers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blkback/storage/done.h"
#include "util/num.h"

#define PREFIX "null:"

struct null_channel {
	struct storage_channel channel;
	struct done_list done;
};

static struct null_channel *channel_of(struct storage_channel *ch)
{
	return (struct null_channel *)ch;
}

static bool null_claims(const char *target)
{
	return strncmp(target, PREFIX, strlen(PREFIX)) == 0;
}

static int null_acquire(const char *target, uint32_t flags,
			struct storage_desc *desc, int fds[STORAGE_FDS_MAX],
			char *why, size_t why_size)
{
	uint64_t size_bytes;

	(void)fds;
	if (num_parse_size(target + strlen(PREFIX), &size_bytes) ||
	    !size_bytes || size_bytes % 512 || size_bytes > INT64_MAX) {
		snprintf(why, why_size,
			 "%s: the size is not a positive multiple of 512: "
			 "write it as null:64M",
			 target);
		return -EINVAL;
	}
	*desc = (struct storage_desc){
		.driver = "null",
		.size_bytes = size_bytes,
		.sector_bytes = 512,
		.physical_bytes = 512,
		.flags = flags & STORAGE_READONLY
				 ? STORAGE_READONLY
				 : STORAGE_CAN_DISCARD |
					   STORAGE_CAN_DISCARD_SECURE,
		.align_bytes = 1,
		.discard_granularity_bytes = 512,
		.how = "nothing behind it",
	};
	snprintf(desc->target, sizeof(desc->target), "%s", target);
	return 0;
}

static int null_open(const struct storage_desc *desc, const int *fds,
		     struct storage **ret)
{
	struct storage *st = calloc(1, sizeof(*st));

	(void)fds;
	if (!st)
		return -ENOMEM;
	storage_init(st, &storage_null, desc);
	*ret = st;
	return 0;
}

static void null_close(struct storage *st)
{
	free(st);
}

static int null_channel_open(struct storage *st, unsigned depth,
			     struct storage_channel **ret)
{
	struct null_channel *c = calloc(1, sizeof(*c));

	(void)depth;
	if (!c)
		return -ENOMEM;
	c->channel.st = st;
	done_list_init(&c->done);
	*ret = &c->channel;
	return 0;
}

static void null_channel_close(struct storage_channel *ch)
{
	free(ch);
}

static int null_submit(struct storage_channel *ch, struct storage_io *io)
{
	if (!storage_fits(ch->st, io))
		return -EINVAL;
	if (io->op == STORAGE_READ)
		for (unsigned i = 0; i < io->nr_iov; i++)
			memset(io->iov[i].iov_base, 0, io->iov[i].iov_len);
	done_list_add(&channel_of(ch)->done, io, 0);
	return 0;
}

static bool null_flush(struct storage_channel *ch)
{
	(void)ch;
	return true;
}

static unsigned null_poll(struct storage_channel *ch)
{
	return done_list_run(&channel_of(ch)->done);
}

static int null_no_fd(struct storage_channel *ch)
{
	(void)ch;
	return -1;
}

const struct storage_ops storage_null = {
	.name = "null",
	.help = "null:SIZE\tzeros to read, writes are forgotten (64M, 1G)",
	.claims = null_claims,
	.acquire = null_acquire,
	.open = null_open,
	.close = null_close,
	.channel_open = null_channel_open,
	.channel_close = null_channel_close,
	.submit = null_submit,
	.flush = null_flush,
	.poll = null_poll,
	.wait_fd = null_no_fd,
	.fence_fd = null_no_fd,
};
