/* SPDX-License-Identifier: MIT */
/* demo_watch.c - see demo_watch.h. */
#include "pvsplit/demo_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/clock.h"

#define STAT_FIELDS 9 /* up to "in_flight" */
#define SETTLE_NS   (2 * NS_PER_S)

int disk_watch_open(const char *device, struct disk_watch *ret)
{
	const char *name = strrchr(device, '/');
	struct disk_watch w = { 0 };
	char path[64];
	int err;

	snprintf(path, sizeof(path), "/sys/block%s/stat", name ? name : "/");
	w.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (w.fd < 0)
		return -errno;
	err = disk_watch_look(&w);
	if (err)
		close(w.fd);
	else
		*ret = w;
	return err;
}

void disk_watch_close(struct disk_watch *w)
{
	close(w->fd);
}

int disk_watch_look(struct disk_watch *w)
{
	uint64_t f[STAT_FIELDS];
	char buf[256], *p = buf, *end;
	ssize_t n = pread(w->fd, buf, sizeof(buf) - 1, 0);
	uint64_t now = clock_now_ns(), nr_done;

	if (n <= 0)
		return n ? -errno : -EIO;
	buf[n] = '\0';
	/* reads, merged, sectors, ms, writes, merged, sectors, ms, in flight */
	for (unsigned i = 0; i < STAT_FIELDS; i++, p = end) {
		f[i] = strtoull(p, &end, 10);
		if (end == p)
			return -EPROTO;
	}
	nr_done = f[0] + f[4];
	if (nr_done != w->nr_done || !f[8] || !w->last_ns)
		w->last_ns = now;
	if (now - w->last_ns > w->longest_ns)
		w->longest_ns = now - w->last_ns;
	w->nr_done = nr_done;
	w->written_bytes = f[6] * 512;
	w->in_flight = (unsigned)f[8];
	return 0;
}

void disk_watch_restart(struct disk_watch *w)
{
	w->last_ns = clock_now_ns();
	w->longest_ns = 0;
}

/* ---- the handshake ---- */

static const struct {
	bool back;
	const char *node;
} nodes[HANDSHAKE_NODES] = { { false, "state" },
			     { true, "state" },
			     { false, "ring-ref" },
			     { false, "event-channel" } };

static const char *dir_of(const struct handshake *h, unsigned i)
{
	return nodes[i].back ? h->dev.back : h->dev.front;
}

static void fired(void *arg, const char *path)
{
	struct handshake *h = arg;

	(void)path;
	h->nr_events++;
}

/* Everything that happened before the reply to a read has arrived by then. */
static int drain(struct handshake *h)
{
	char text[16];
	int err = xs_read_str(h->ps->xs, XS_NO_TXN, h->dev.front, "state", text,
			      sizeof(text));

	return err ? err : xs_dispatch(h->ps->xs);
}

static void unwatch(struct handshake *h)
{
	for (unsigned i = 0; i < HANDSHAKE_NODES; i++)
		xs_unwatch(h->ps->xs, h->watches[i]);
}

int handshake_watch(struct pvsplit *ps, const struct device *dev,
		    struct handshake *ret)
{
	uint64_t deadline_ns = clock_now_ns() + SETTLE_NS;
	char path[DEVICE_PATH_MAX + 16];
	int err = 0;

	*ret = (struct handshake){ .ps = ps, .dev = *dev };
	for (unsigned i = 0; !err && i < HANDSHAKE_NODES; i++) {
		err = xs_read_str(ps->xs, XS_NO_TXN, dir_of(ret, i),
				  nodes[i].node, ret->before[i],
				  sizeof(ret->before[i]));
		snprintf(path, sizeof(path), "%s/%s", dir_of(ret, i),
			 nodes[i].node);
		if (!err)
			err = xs_watch(ps->xs, path, fired, ret,
				       &ret->watches[i]);
	}
	/* every watch fires once by itself */
	while (!err && ret->nr_events < HANDSHAKE_NODES) {
		err = drain(ret);
		if (!err && clock_now_ns() > deadline_ns)
			err = -ETIMEDOUT;
	}
	ret->nr_events = 0;
	if (err)
		unwatch(ret);
	return err;
}

int handshake_check(struct handshake *h, char *what, size_t size)
{
	char text[16];
	int ret = drain(h);

	for (unsigned i = 0; !ret && i < HANDSHAKE_NODES; i++) {
		ret = xs_read_str(h->ps->xs, XS_NO_TXN, dir_of(h, i),
				  nodes[i].node, text, sizeof(text));
		if (!ret && strcmp(text, h->before[i]) != 0) {
			snprintf(what, size, "%s %s was %s and is %s",
				 nodes[i].back ? "backend" : "frontend",
				 nodes[i].node, h->before[i], text);
			ret = 1;
		}
	}
	if (!ret && h->nr_events) {
		snprintf(what, size, "%u writes to state or ring nodes",
			 h->nr_events);
		ret = 1;
	}
	unwatch(h);
	return ret;
}
