/* SPDX-License-Identifier: MIT */
/*
 * broker.c - the broker as a whole: opening, closing, and the daemon's own
 * calls. Its parts are listed in private.h. Thread: the daemon's loop.
 */
#include "broker/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "broker/private.h"
#include "util/clock.h"

static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/*
 * The store may remember lives of an earlier broker: no number comes again as
 * long as the clock does not go back, for nothing counts a thousand million
 * domains, regions and ports a second.
 */
static uint64_t first_serial(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

int broker_open(struct loop *loop, const char *run_dir,
		const struct broker_ops *ops, void *arg, struct broker **ret)
{
	struct broker *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->run_dir = strdup(run_dir);
	if (!b->run_dir) {
		free(b);
		return -ENOMEM;
	}
	b->loop = loop;
	b->ops = ops;
	b->arg = arg;
	b->next_serial = first_serial();
	b->next_domid = 1;
	list_init(&b->domains);
	list_init(&b->waiting);
	raise_file_limit();
	b->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	broker_clean_run_dir(b);
	*ret = b;
	return 0;
}

void broker_close(struct broker *b)
{
	if (!b)
		return;
	/* The youngest first: domain 0 goes last. */
	while (!list_empty(&b->domains))
		(void)broker_domain_free(
			container_of(b->domains.prev, struct domain, link));
	if (b->spare_fd >= 0)
		close(b->spare_fd);
	free(b->run_dir);
	free(b);
}

int broker_domain_create(struct broker *b, uint32_t domid, const char *name,
			 uid_t uid, domid_t *ret)
{
	struct domain *d;
	int err = broker_domain_make(b, domid, name, uid, NULL, &d);

	if (err && err != -EINPROGRESS)
		return err;
	*ret = d->domid;
	return 0;
}

int broker_domain_destroy(struct broker *b, domid_t domid)
{
	struct domain *d;

	if (domid == 0)
		return -EINVAL;
	d = broker_find(b, domid);
	if (!d)
		return -ENOENT;
	(void)broker_domain_free(d);
	return 0;
}

void broker_domain_created(struct broker *b, domid_t domid, uint64_t life,
			   int status)
{
	struct domain *d = broker_find(b, domid);
	struct conn *c = broker_conn_awaiting(b, life, true);
	int err = 0;

	if (!d || d->serial != life)
		return;
	if (c)
		err = broker_conn_answer(c, status);
	if (status)
		log_warn("domain %u (%s): the store refuses it: %s", domid,
			 d->name, strerror(-status));
	/* Nobody knows of it. */
	if (status || err)
		(void)broker_domain_free(d);
}

void broker_domain_destroyed(struct broker *b, uint64_t life)
{
	struct conn *c = broker_conn_awaiting(b, life, false);

	if (c)
		(void)broker_conn_answer(c, 0);
}
