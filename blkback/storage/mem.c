/* SPDX-License-Identifier: MIT */
/*
 * mem.c - `mem:SIZE`: a disk in memory. The monitor makes the memfd, so the
 * data outlives every worker and ends when the disk is detached. All copies
 * happen inside poll(): when a worker is dead, nothing of it is under way.
 * Thread: see storage.h.
 */
#include "blkback/storage/drivers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blkback/storage/done.h"
#include "util/iov.h"
#include "util/num.h"

#define PREFIX	    "mem:"
#define PAGE_BYTES  4096u
#define LINE_BYTES  64u
#define AHEAD_BYTES 512u /* from then on the processor foresees it itself */

struct mem_storage {
	struct storage storage;
	unsigned char *base;
};

struct mem_channel {
	struct storage_channel channel;
	struct done_list todo, done;
};

static struct mem_channel *channel_of(struct storage_channel *ch)
{
	return (struct mem_channel *)ch;
}

static bool mem_claims(const char *target)
{
	return strncmp(target, PREFIX, strlen(PREFIX)) == 0;
}

static int make_memory(uint64_t size_bytes)
{
	int fd = memfd_create("pvsplit-mem", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int err;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size_bytes) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int mem_acquire(const char *target, uint32_t flags,
		       struct storage_desc *desc, int fds[STORAGE_FDS_MAX],
		       char *why, size_t why_size)
{
	uint64_t size_bytes;
	int fd;

	if (num_parse_size(target + strlen(PREFIX), &size_bytes) ||
	    !size_bytes || size_bytes % 512 || size_bytes > INT64_MAX) {
		snprintf(why, why_size,
			 "%s: the size is not a positive multiple of 512: "
			 "write it as mem:64M",
			 target);
		return -EINVAL;
	}
	fd = make_memory(size_bytes);
	if (fd < 0) {
		snprintf(why, why_size, "%s: cannot get the memory: %s", target,
			 strerrordesc_np(-fd));
		return fd;
	}
	*desc = (struct storage_desc){
		.driver = "mem",
		.size_bytes = size_bytes,
		.sector_bytes = 512,
		.physical_bytes = 512,
		.flags = flags & STORAGE_READONLY
				 ? STORAGE_READONLY
				 : STORAGE_CAN_DISCARD |
					   STORAGE_CAN_DISCARD_SECURE,
		.align_bytes = 1,
		.discard_granularity_bytes = PAGE_BYTES,
		.nr_fds = 1,
		.how = "memory",
	};
	snprintf(desc->target, sizeof(desc->target), "%s", target);
	fds[0] = fd;
	return 0;
}

static int mem_open(const struct storage_desc *desc, const int *fds,
		    struct storage **ret)
{
	bool readonly = desc->flags & STORAGE_READONLY;
	struct mem_storage *m;
	void *base;

	if (desc->nr_fds != 1)
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	base = mmap(NULL, desc->size_bytes,
		    PROT_READ | (readonly ? 0 : PROT_WRITE), MAP_SHARED, fds[0],
		    0);
	if (base == MAP_FAILED) {
		int err = -errno;

		free(m);
		return err;
	}
	close(fds[0]);
	storage_init(&m->storage, &storage_mem, desc);
	m->base = base;
	*ret = &m->storage;
	return 0;
}

static void mem_close(struct storage *st)
{
	struct mem_storage *m = (struct mem_storage *)st;

	if (!m)
		return;
	munmap(m->base, st->desc.size_bytes);
	free(m);
}

static int mem_channel_open(struct storage *st, unsigned depth,
			    struct storage_channel **ret)
{
	struct mem_channel *c = calloc(1, sizeof(*c));

	(void)depth;
	if (!c)
		return -ENOMEM;
	c->channel.st = st;
	done_list_init(&c->todo);
	done_list_init(&c->done);
	*ret = &c->channel;
	return 0;
}

static void mem_channel_close(struct storage_channel *ch)
{
	free(ch);
}

static void copy(unsigned char *at, const struct storage_io *io)
{
	if (io->op == STORAGE_READ)
		iov_scatter(at, io->iov, io->nr_iov);
	else
		iov_gather(at, io->iov, io->nr_iov);
}

/* Zeros; whole pages are given back to the system, and read as zeros too. */
static int discard(unsigned char *at, uint64_t size_bytes)
{
	uint64_t head = -(uintptr_t)at % PAGE_BYTES;
	uint64_t whole;

	if (head > size_bytes)
		head = size_bytes;
	memset(at, 0, head);
	whole = (size_bytes - head) / PAGE_BYTES * PAGE_BYTES;
	if (whole && madvise(at + head, whole, MADV_REMOVE))
		return -errno;
	memset(at + head + whole, 0, size_bytes - head - whole);
	return 0;
}

/*
 * Where the disk is larger than the caches, a copy begins with misses that
 * nothing hides: the lines that the next one begins with are asked for early.
 */
static void prefetch(const unsigned char *at, const struct storage_io *io)
{
	for (unsigned i = 0; i < AHEAD_BYTES && i < io->size_bytes;
	     i += LINE_BYTES)
		if (io->op == STORAGE_WRITE)
			__builtin_prefetch(at + i, 1);
		else
			__builtin_prefetch(at + i, 0);
}

static int mem_submit(struct storage_channel *ch, struct storage_io *io)
{
	struct mem_storage *m = (struct mem_storage *)ch->st;

	if (!storage_fits(&m->storage, io))
		return -EINVAL;
	done_list_add(&channel_of(ch)->todo, io, 0);
	return 0;
}

static int carry_out(struct mem_storage *m, const struct storage_io *io)
{
	unsigned char *at = m->base + io->offset_bytes;

	if (io->op == STORAGE_DISCARD)
		return discard(at, io->size_bytes);
	if (io->op != STORAGE_FLUSH)
		copy(at, io);
	return 0;
}

static bool mem_flush(struct storage_channel *ch)
{
	(void)ch;
	return true;
}

static unsigned mem_poll(struct storage_channel *ch)
{
	struct mem_storage *m = (struct mem_storage *)ch->st;
	struct mem_channel *c = channel_of(ch);
	struct storage_io *io = c->todo.first, *next;

	done_list_init(&c->todo);
	for (; io; io = next) {
		next = io->next;
		if (next)
			prefetch(m->base + next->offset_bytes, next);
		done_list_add(&c->done, io, carry_out(m, io));
	}
	return done_list_run(&c->done);
}

static int mem_no_fd(struct storage_channel *ch)
{
	(void)ch;
	return -1;
}

const struct storage_ops storage_mem = {
	.name = "mem",
	.help = "mem:SIZE\tmemory, kept until the disk is detached (64M, 1G)",
	.claims = mem_claims,
	.acquire = mem_acquire,
	.open = mem_open,
	.close = mem_close,
	.channel_open = mem_channel_open,
	.channel_close = mem_channel_close,
	.submit = mem_submit,
	.flush = mem_flush,
	.poll = mem_poll,
	.wait_fd = mem_no_fd,
	.fence_fd = mem_no_fd,
};
