/* SPDX-License-Identifier: MIT */
/*
 * blkfront-hello.c - a program with a split disk: reads its first blocks, all
 * at once, and says which hold anything. See blkfront(3).
 *
 *	cc blkfront-hello.c -o blkfront-hello \
 *		$(pkg-config --cflags --libs pvsplit-blkfront)
 *	./blkfront-hello 3 51712
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pvsplit/blkfront.h>

#define NR_BLOCKS   8
#define BLOCK_BYTES 4096

struct block {
	struct blkfront_io io; /* first: a block is found by its io */
	unsigned *nr_left;
};

static void block_done(struct blkfront_io *io)
{
	struct block *block = (struct block *)io;

	(*block->nr_left)--;
}

static int is_empty(const unsigned char *data)
{
	return !data[0] && !memcmp(data, data + 1, BLOCK_BYTES - 1);
}

/* Show the requests to the backend, and sleep until all are answered. */
static int wait_for_all(struct blkfront *bf, const unsigned *nr_left)
{
	struct pollfd pfd = { .fd = blkfront_fd(bf), .events = POLLIN };

	blkfront_kick(bf);
	while (*nr_left) {
		if (blkfront_poll(bf) < 0)
			return -1;
		if (*nr_left && !blkfront_arm(bf))
			poll(&pfd, 1, -1);
	}
	return 0;
}

static int read_blocks(struct blkfront *bf, unsigned nr, unsigned char *buf)
{
	struct block blocks[NR_BLOCKS] = { 0 };
	unsigned nr_left = nr;

	for (unsigned i = 0; i < nr; i++) {
		blocks[i].nr_left = &nr_left;
		blocks[i].io.op = BLKFRONT_READ;
		blocks[i].io.offset_bytes = (uint64_t)i * BLOCK_BYTES;
		blocks[i].io.size_bytes = BLOCK_BYTES;
		blocks[i].io.buf = buf + i * BLOCK_BYTES;
		blocks[i].io.done = block_done;
		if (blkfront_submit(bf, &blocks[i].io) < 0)
			nr_left--; /* it will not be done */
	}
	if (wait_for_all(bf, &nr_left) < 0)
		return 1;
	for (unsigned i = 0; i < nr; i++)
		printf("block %u: %s\n", i,
		       blocks[i].io.result	    ? "cannot be read"
		       : is_empty(blocks[i].io.buf) ? "empty"
						    : "holds data");
	return 0;
}

int main(int argc, char **argv)
{
	struct blkfront_config config = { 0 };
	struct blkfront_info info;
	struct blkfront *bf;
	char why[256] = "";
	void *buf;
	unsigned nr = NR_BLOCKS;
	int status = 1;

	if (argc != 3) {
		fprintf(stderr, "usage: blkfront-hello DOMAIN VDEV\n");
		return 2;
	}
	config.domid = (uint16_t)strtoul(argv[1], NULL, 10);
	config.handle = (uint32_t)strtoul(argv[2], NULL, 10);
	if (blkfront_open(&config, &bf, why, sizeof(why)) < 0) {
		fprintf(stderr, "blkfront-hello: %s\n", why);
		return 1;
	}
	blkfront_info(bf, &info);
	printf("%llu bytes, %s\n", (unsigned long long)info.size_bytes,
	       info.readonly ? "read-only" : "read and write");
	if (info.size_bytes / BLOCK_BYTES < nr)
		nr = (unsigned)(info.size_bytes / BLOCK_BYTES);
	buf = blkfront_buf_alloc(bf, NR_BLOCKS * BLOCK_BYTES);
	if (buf) {
		status = read_blocks(bf, nr, buf);
		blkfront_buf_free(bf, buf, NR_BLOCKS * BLOCK_BYTES);
	}
	blkfront_close(bf);
	return status;
}
