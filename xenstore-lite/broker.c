/* SPDX-License-Identifier: MIT */
/*
 * broker.c - the broker as a whole: opening, closing, and the daemon's own
 * calls. Its parts are listed in broker_private.h. Thread: the daemon's loop.
 */
#include "xenstore-lite/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "xenstore-lite/broker_private.h"

static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
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
	b->next_serial = 1;
	b->next_domid = 1;
	list_init(&b->domains);
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
		broker_domain_free(
			container_of(b->domains.prev, struct domain, link));
	if (b->spare_fd >= 0)
		close(b->spare_fd);
	free(b->run_dir);
	free(b);
}

int broker_domain_create(struct broker *b, uint32_t domid, const char *name,
			 uid_t uid, domid_t *ret)
{
	return broker_domain_make(b, domid, name, uid, NULL, ret);
}

int broker_domain_destroy(struct broker *b, domid_t domid)
{
	struct domain *d;

	if (domid == 0)
		return -EINVAL;
	d = broker_find(b, domid);
	if (!d)
		return -ENOENT;
	broker_domain_free(d);
	return 0;
}
