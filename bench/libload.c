/* SPDX-License-Identifier: MIT */
/* libload.c - see libload.h. */
#include "bench/libload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/num.h"

#define EPOLL_BATCH 128
#define SAMPLES_MAX (1u << 20)
#define STUCK_NS                                                               \
	(20 * NS_PER_S) /* an answer that takes longer will not come           \
			 */

struct load {
	struct load_job job;
	struct load_conn *conns;
	unsigned nr_conns; /* all: with those that watch */
	int epfd;
	bool stop; /* begin no new batch */
	unsigned nr_active;
	uint32_t next_key;
	uint64_t seed, end_ns, nr_ops;
	uint32_t *samples; /* ns of each batch */
	uint32_t nr_samples;
};

char *load_put_key(uint32_t key, char *at)
{
	char *end = load_put_literal(at, LOAD_KEY);

	for (char *digit = end; key; key /= 10)
		*--digit = (char)('0' + key % 10);
	return end;
}

char *load_put_value(char *at)
{
	memset(at, 'v', LOAD_VALUE_BYTES);
	return at + LOAD_VALUE_BYTES;
}

/* ---- batches ------------------------------------------------------------ */

static uint32_t pick_key(struct load_conn *c, unsigned i)
{
	struct load *l = c->load;

	switch (l->job.op) {
	case LOAD_READ:
	case LOAD_WRITE:
		l->seed = l->seed * 6364136223846793005u + 1442695040888963407u;
		return (uint32_t)((l->seed >> 33) % l->job.nr_keys);
	case LOAD_FILL: return l->next_key++ % l->job.nr_keys;
	case LOAD_TXN:
	case LOAD_EVENT: break;
	}
	return c->idx * l->job.depth + i;
}

static int send_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int begin_phase(struct load_conn *c, unsigned nr_answers)
{
	static char buf[LOAD_DEPTH_MAX * LOAD_MESSAGE_MAX];
	const struct load_job *job = c->job;
	char *at = buf;

	for (unsigned i = 0; i < job->depth; i++)
		at = job->proto->put(c, c->phase, i, pick_key(c, i), at);
	c->left = job->depth * nr_answers;
	if (job->op == LOAD_EVENT)
		c->left += job->depth;
	return send_all(c->fd, buf, (size_t)(at - buf));
}

static int begin_batch(struct load_conn *c)
{
	c->phase = 0;
	c->nr_tx = 0;
	c->sent_ns = clock_now_ns();
	return begin_phase(c, c->job->proto->nr_answers(c->job, 0));
}

/* The last answer of a phase is there. */
static int end_phase(struct load_conn *c)
{
	struct load *l = c->load;
	unsigned nr = l->job.proto->nr_answers(&l->job, ++c->phase);
	uint64_t now_ns;

	if (nr)
		return begin_phase(c, nr);
	now_ns = clock_now_ns();
	if (l->nr_samples < SAMPLES_MAX)
		l->samples[l->nr_samples++] = (uint32_t)(now_ns - c->sent_ns);
	l->nr_ops += l->job.depth;
	l->stop |= now_ns >= l->end_ns;
	l->stop |= l->job.nr_ops && l->nr_ops >= l->job.nr_ops;
	if (!l->stop)
		return begin_batch(c);
	l->nr_active--;
	return 0;
}

/* ---- answers ------------------------------------------------------------ */

static int take_answers(struct load_conn *c, const char *data, size_t len)
{
	const struct load_proto *proto = c->job->proto;
	struct load_conn *lead = c->lead;
	ssize_t used;

	while ((used = proto->take(c, data, len)) > 0) {
		data += used;
		len -= (size_t)used;
		if (lead->left == 0)
			return -EIO;
		if (--lead->left == 0) {
			int err = end_phase(lead);

			if (err)
				return err;
		}
	}
	if (used < 0 || len > sizeof(c->part))
		return -EIO;
	memcpy(c->part, data, len);
	c->part_len = (uint32_t)len;
	return 0;
}

static int receive(struct load_conn *c)
{
	static char buf[65536];
	ssize_t n;

	memcpy(buf, c->part, c->part_len);
	n = recv(c->fd, buf + c->part_len, sizeof(buf) - c->part_len,
		 MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -EIO;
	return take_answers(c, buf, c->part_len + (size_t)n);
}

static int serve(struct load *l)
{
	uint64_t give_up_ns = clock_now_ns() + STUCK_NS;
	struct epoll_event ev[EPOLL_BATCH];

	while (l->nr_active) {
		int n = epoll_wait(l->epfd, ev, EPOLL_BATCH,
				   l->job.sleeps ? 1000 : 0);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n <= 0 && clock_now_ns() >= give_up_ns)
			return -ETIMEDOUT;
		for (int i = 0; i < n; i++) {
			int err = receive(ev[i].data.ptr);

			if (err)
				return err;
		}
	}
	return 0;
}

/* ---- a run -------------------------------------------------------------- */

static int compare_samples(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int load_run(struct load *l, struct load_result *ret)
{
	uint64_t start_ns = clock_now_ns();
	int err = 0;

	l->end_ns = l->job.run_ns ? start_ns + l->job.run_ns : UINT64_MAX;
	l->nr_ops = 0;
	l->nr_samples = 0;
	l->stop = false;
	l->nr_active = l->job.nr_conns;
	for (unsigned i = 0; i < l->job.nr_conns && !err; i++)
		err = begin_batch(&l->conns[i]);
	if (!err)
		err = serve(l);
	if (err)
		return err;
	start_ns = clock_now_ns() - start_ns;
	qsort(l->samples, l->nr_samples, sizeof(l->samples[0]),
	      compare_samples);
	ret->nr_ops = l->nr_ops;
	ret->per_s = (double)l->nr_ops * 1e9 / (double)start_ns;
	ret->p50_us = l->samples[l->nr_samples / 2] / 1e3;
	ret->p99_us = l->samples[(uint64_t)l->nr_samples * 99 / 100] / 1e3;
	return 0;
}

/* ---- connections -------------------------------------------------------- */

static int connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, err;

	if (str_printf(addr.sun_path, sizeof(addr.sun_path), "%s", path) < 0)
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static int conn_open(struct load *l, struct load_conn *c, unsigned idx)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };

	c->load = l;
	c->job = &l->job;
	c->lead = c;
	c->idx = idx;
	c->fd = connect_to(l->job.path);
	if (c->fd < 0)
		return c->fd;
	l->nr_conns++;
	return epoll_ctl(l->epfd, EPOLL_CTL_ADD, c->fd, &ev) ? -errno : 0;
}

/* c watches what lead writes; the phase that is over then begins nothing. */
static int watch(struct load_conn *c, struct load_conn *lead)
{
	char buf[LOAD_DEPTH_MAX * LOAD_MESSAGE_MAX], *at = buf;
	struct load *l = c->load;
	int err;

	for (unsigned i = 0; i < l->job.depth; i++)
		at = l->job.proto->put_watch(pick_key(lead, i), at);
	c->lead = lead;
	lead->left = l->job.depth * l->job.proto->nr_watch_answers;
	l->nr_active = 1;
	l->stop = true;
	err = send_all(c->fd, buf, (size_t)(at - buf));
	return err ? err : serve(l);
}

int load_open(const struct load_job *job, struct load **ret)
{
	unsigned nr = job->nr_conns * (job->op == LOAD_EVENT ? 2 : 1);
	struct load *l = calloc(1, sizeof(*l));
	int err = 0;

	if (!l)
		return -ENOMEM;
	l->job = *job;
	l->seed = clock_now_ns();
	l->conns = calloc(nr, sizeof(l->conns[0]));
	l->samples = calloc(SAMPLES_MAX, sizeof(l->samples[0]));
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (!l->conns || !l->samples || l->epfd < 0)
		err = -ENOMEM;
	for (unsigned i = 0; i < nr && !err; i++)
		err = conn_open(l, &l->conns[i], i);
	for (unsigned i = job->nr_conns; i < nr && !err; i++)
		err = watch(&l->conns[i], &l->conns[i - job->nr_conns]);
	if (err) {
		load_close(l);
		return err;
	}
	*ret = l;
	return 0;
}

void load_close(struct load *l)
{
	if (!l)
		return;
	for (unsigned i = 0; i < l->nr_conns; i++)
		close(l->conns[i].fd);
	if (l->epfd >= 0)
		close(l->epfd);
	free(l->samples);
	free(l->conns);
	free(l);
}
