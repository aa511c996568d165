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
#include "util/num.h"

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

static void fired(void *arg, const char *path)
{
	struct handshake *h = arg;

	(void)path;
	h->nr_events++;
}

/* "backend state=4 state=4 ring-ref=8 ...", in the store's order. */
static int snapshot(const struct handshake *h, char text[HANDSHAKE_TEXT_MAX])
{
	char state[16], value[256], **names = NULL;
	unsigned nr = 0;
	int err, len;

	err = xs_read_str(h->ps->xs, XS_NO_TXN, h->dev.back, "state", state,
			  sizeof(state));
	if (err)
		return err;
	len = snprintf(text, HANDSHAKE_TEXT_MAX, "backend state=%s", state);
	err = xs_directory(h->ps->xs, XS_NO_TXN, h->dev.front, &names, &nr);
	for (unsigned i = 0; !err && i < nr; i++) {
		size_t room = HANDSHAKE_TEXT_MAX - (size_t)len;
		int n;

		err = xs_read_str(h->ps->xs, XS_NO_TXN, h->dev.front, names[i],
				  value, sizeof(value));
		n = err ? err
			: str_printf(text + len, room, " %s=%s", names[i],
				     value);
		err = n < 0 ? n : 0;
		len += n;
	}
	free(names);
	return err;
}

static void unwatch(struct handshake *h)
{
	xs_unwatch(h->ps->xs, h->front);
	xs_unwatch(h->ps->xs, h->back);
}

/* Every watch fires once by itself; from then on events are writes. */
static int settle(struct handshake *h)
{
	uint64_t deadline_ns = clock_now_ns() + SETTLE_NS;
	int err = 0;

	while (!err && h->nr_events < 2) {
		err = pvsplit_wait_fd(h->ps, xs_fd(h->ps->xs),
				      xs_pending(h->ps->xs) ? 0 : deadline_ns);
		if (err >= 0)
			err = xs_dispatch(h->ps->xs);
		if (!err && clock_now_ns() > deadline_ns)
			err = -ETIMEDOUT;
	}
	h->nr_events = 0;
	return err;
}

int handshake_watch(struct pvsplit *ps, const struct device *dev,
		    struct handshake *ret)
{
	char path[DEVICE_PATH_MAX + 16];
	int err;

	*ret = (struct handshake){ .ps = ps, .dev = *dev };
	snprintf(path, sizeof(path), "%s/state", dev->back);
	err = xs_watch(ps->xs, dev->front, fired, ret, &ret->front);
	if (!err)
		err = xs_watch(ps->xs, path, fired, ret, &ret->back);
	if (!err)
		err = settle(ret);
	if (!err)
		err = snapshot(ret, ret->before);
	if (err)
		unwatch(ret);
	return err;
}

int handshake_check(struct handshake *h, char *what, size_t size)
{
	char now[HANDSHAKE_TEXT_MAX];
	/* what was written before the replies to these reads has arrived */
	int ret = snapshot(h, now);

	if (!ret)
		ret = xs_dispatch(h->ps->xs);
	if (!ret && strcmp(now, h->before) != 0) {
		snprintf(what, size, "the nodes were [%s] and are [%s]",
			 h->before, now);
		ret = 1;
	}
	if (!ret && h->nr_events) {
		snprintf(what, size, "%u writes to the handshake's nodes",
			 h->nr_events);
		ret = 1;
	}
	unwatch(h);
	return ret;
}
