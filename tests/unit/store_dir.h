/* SPDX-License-Identifier: MIT */
/*
 * store_dir.h - stores that have a journal, for the tests: a fresh directory,
 * lives that end without a word, and bytes of files.
 */
#ifndef TESTS_UNIT_STORE_DIR_H
#define TESTS_UNIT_STORE_DIR_H

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/store_dump.h"
#include "tests/unit/store_history.h"
#include "util/log.h"
#include "xenstore-lite/persist.h"

static char base[64], dir[80]; /* the journal's is dir */

/* ---- a directory, and stores in it ----------------------------------------
 */

static inline void remove_files(void)
{
	char path[400];
	struct dirent *entry;
	DIR *d = opendir(dir);

	while (d && (entry = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		unlink(path);
	}
	if (d)
		closedir(d);
	rmdir(dir);
}

static inline int make_dir(void)
{
	snprintf(base, sizeof(base), "/tmp/store_journal.XXXXXX");
	if (!mkdtemp(base))
		return -1;
	snprintf(dir, sizeof(dir), "%s/store", base);
	return 0;
}

static inline void remove_dir(void)
{
	remove_files();
	rmdir(base);
}

static inline struct xsd *open_with(const struct journal_options *options,
				    int *err)
{
	struct xsd *xsd = peer_store();

	*err = xsd ? persist_open(xsd, options) : -ENOMEM;
	if (!*err)
		return xsd;
	xsd_close(xsd);
	return NULL;
}

static inline struct xsd *open_store(int *err)
{
	const struct journal_options options = { .dir = dir };

	return open_with(&options, err);
}

/* A store in the directory that holds exactly this text, and nothing wrong. */
static inline int recovers_as(const char *expected)
{
	int err, same;
	struct xsd *xsd = open_store(&err);
	char *text;

	if (!xsd) {
		printf("cannot open: %d\n", err);
		return 0;
	}
	text = store_dump(xsd);
	same = text && strcmp(text, expected) == 0 && xsd_check(xsd) == 0;
	if (text && strcmp(text, expected) != 0)
		printf("expected:\n%sgot:\n%s", expected, text);
	free(text);
	xsd_close(xsd);
	return same;
}

/* Live for a number of steps, then die without a word. */
static inline char *live(uint64_t seed, unsigned steps, unsigned flush_every)
{
	int err;
	struct xsd *xsd = open_store(&err);
	struct history h;
	char *text;

	if (!xsd || history_open(&h, xsd, seed)) {
		xsd_close(xsd);
		return NULL;
	}
	for (unsigned i = 1; i <= steps; i++) {
		history_step(&h);
		if (i % flush_every == 0 && persist_flush(xsd))
			steps = 0;
	}
	err = persist_flush(xsd);
	text = steps && !err ? store_dump(xsd) : NULL;
	history_close(&h);
	xsd_close(xsd);
	return text;
}

/* ---- bytes of files --------------------------------------------------------
 */

struct file {
	uint8_t *data;
	size_t len;
};

static inline const char *in_dir(const char *name)
{
	static char path[200];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static inline int file_read(const char *name, struct file *ret)
{
	struct stat st;
	int fd = open(in_dir(name), O_RDONLY);

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	ret->len = (size_t)st.st_size;
	ret->data = malloc(ret->len + 1);
	if (!ret->data || read(fd, ret->data, ret->len) != (ssize_t)ret->len)
		return -1;
	close(fd);
	return 0;
}

static inline int file_write(const char *name, const uint8_t *data, size_t len)
{
	int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	int ok = fd >= 0 && write(fd, data, len) == (ssize_t)len;

	if (fd >= 0)
		close(fd);
	return ok ? 0 : -1;
}

static inline int exists(const char *name)
{
	return access(in_dir(name), F_OK) == 0;
}

/* Ask to write, and do not look at the answer: it stays in the process. */
static inline int send_write(struct peer *peer, const char *path,
			     const char *value)
{
	char buf[sizeof(struct xsd_sockmsg) + 256];
	struct xsd_sockmsg hdr = { .type = XS_WRITE, .req_id = 1 };

	hdr.len = (uint32_t)snprintf(buf + sizeof(hdr), 256, "%s%c%s", path, 0,
				     value);
	memcpy(buf, &hdr, sizeof(hdr));
	return xsd_conn_feed(peer->conn, buf, sizeof(hdr) + hdr.len);
}

#endif /* TESTS_UNIT_STORE_DIR_H */
