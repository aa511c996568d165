/* SPDX-License-Identifier: MIT */
/* demo_tree.c - data for the demo: files that do not compress. See demo.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pvsplit/demo.h"
#include "util/num.h"

#define NR_DIRS	      48u
#define FILES_PER_DIR 48u
/* Sizes are spread evenly from nothing to this. */
#define FILE_BYTES_MAX (100 * 1024u)
#define CHUNK_BYTES    65536u

/* xorshift64*: fast, and no compressor finds anything in it. */
static uint64_t random_next(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545f4914f6cdd1dull;
}

static int seed(uint64_t *ret)
{
	if (getrandom(ret, sizeof(*ret), 0) != sizeof(*ret))
		return -EIO;
	*ret |= 1;
	return 0;
}

static int write_all(int fd, const void *buf, size_t size)
{
	const char *p = buf;

	while (size) {
		ssize_t n = write(fd, p, size);

		if (n < 0)
			return -errno;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

static int make_file(const char *path, uint64_t size_bytes, uint64_t *state)
{
	static uint64_t chunk[CHUNK_BYTES / sizeof(uint64_t)];
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	int err = 0;

	if (fd < 0)
		return -errno;
	while (!err && size_bytes) {
		size_t n = size_bytes < sizeof(chunk) ? (size_t)size_bytes
						      : sizeof(chunk);

		for (size_t i = 0; i < (n + 7) / 8; i++)
			chunk[i] = random_next(state);
		err = write_all(fd, chunk, n);
		size_bytes -= n;
	}
	if (close(fd) < 0 && !err)
		err = -errno;
	return err;
}

int demo_file_make(const char *path, uint64_t size_bytes)
{
	uint64_t state;
	int err = seed(&state);

	return err ? err : make_file(path, size_bytes, &state);
}

static int make_dir(const char *dir, unsigned idx, uint64_t *state,
		    struct demo_tree *tree)
{
	char path[DEMO_PATH_MAX];
	int err;

	err = str_printf(path, sizeof(path), "%s/dir%02u", dir, idx);
	if (err < 0 || mkdir(path, 0755) < 0)
		return err < 0 ? err : -errno;
	for (unsigned i = 0; i < FILES_PER_DIR; i++) {
		uint64_t size = random_next(state) % (FILE_BYTES_MAX + 1);

		/* the first of each directory is empty */
		size = i ? size : 0;
		err = str_printf(path, sizeof(path), "%s/dir%02u/file%02u", dir,
				 idx, i);
		if (err >= 0)
			err = make_file(path, size, state);
		if (err)
			return err;
		tree->nr_files++;
		tree->size_bytes += size;
	}
	tree->nr_dirs++;
	return 0;
}

int demo_tree_make(const char *dir, struct demo_tree *ret)
{
	struct demo_tree tree = { 0 };
	uint64_t state;
	int err = seed(&state);

	if (!err && mkdir(dir, 0755) < 0)
		err = -errno;
	for (unsigned i = 0; !err && i < NR_DIRS; i++)
		err = make_dir(dir, i, &state, &tree);
	if (!err)
		*ret = tree;
	return err;
}
