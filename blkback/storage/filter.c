/* SPDX-License-Identifier: MIT */
/*
 * filter.c - from a target with filters before it to open storages, and back:
 * see filter.h and storage_acquire(), storage_open() in storage.h.
 */
#include "blkback/storage/filter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "util/num.h"
#include "util/url.h"

#define NESTED_MAX 4u

static const struct storage_filter *const filters[] = {
	&filter_verify,
	&filter_fault,
	NULL,
};

const char *storage_filter_help(unsigned i)
{
	return i < ARRAY_SIZE(filters) - 1 ? filters[i]->help : NULL;
}

/* One filter's part of a target. */
struct part {
	const struct storage_filter *filter; /* NULL: a driver's target */
	char args[FILTER_ARGS_MAX];
	const char *rest;
};

static const struct storage_filter *find_filter(const char *target)
{
	for (unsigned i = 0; filters[i]; i++) {
		size_t len = strlen(filters[i]->name);

		if (strncmp(target, filters[i]->name, len) == 0 &&
		    target[len] == ':')
			return filters[i];
	}
	return NULL;
}

/* -EINVAL: no comma after the arguments; -ENAMETOOLONG. */
static int read_part(const char *target, struct part *ret)
{
	const char *prefix;
	size_t len = 0;

	memset(ret, 0, sizeof(*ret));
	ret->rest = target;
	ret->filter = find_filter(target);
	if (!ret->filter)
		return 0;
	ret->rest += strlen(ret->filter->name) + 1;
	prefix = ret->filter->args_prefix;
	if (strncmp(ret->rest, prefix, strlen(prefix)) != 0)
		return 0;
	len = strcspn(ret->rest, ",");
	if (!ret->rest[len])
		return -EINVAL;
	if (len >= sizeof(ret->args))
		return -ENAMETOOLONG;
	memcpy(ret->args, ret->rest, len);
	ret->rest += len + 1;
	return 0;
}

/* ---- monitor --------------------------------------------------------------
 */

static void close_all(const struct storage_desc *desc, const int *fds)
{
	for (int32_t i = 0; i < desc->nr_fds; i++)
		close(fds[i]);
}

static int acquire_driver(const char *target, uint32_t flags,
			  struct storage_desc *desc, int *fds, char *why,
			  size_t why_size)
{
	const struct storage_ops *ops = storage_find(target);

	if (ops)
		return ops->acquire(target, flags, desc, fds, why, why_size);
	snprintf(why, why_size,
		 "%.100s: no driver serves this: give an absolute path or see "
		 "blkbackd --list-drivers",
		 url_show(target).text);
	return -EINVAL;
}

static int acquire_nested(const char *target, uint32_t flags, unsigned depth,
			  struct storage_desc *desc, int *fds, char *why,
			  size_t why_size)
{
	struct part part;
	int err = read_part(target, &part);

	if (!err && depth > NESTED_MAX)
		err = -E2BIG;
	if (err) {
		snprintf(why, why_size, "%.100s: write %s",
			 url_show(target).text,
			 err == -E2BIG ? "fewer filters"
				       : "it as FILTER:ARGUMENTS,TARGET");
		return err;
	}
	if (!part.filter)
		return acquire_driver(target, flags, desc, fds, why, why_size);
	err = acquire_nested(part.rest, flags, depth + 1, desc, fds, why,
			     why_size);
	if (err)
		return err;
	if (desc->flags & STORAGE_UNSEEN) {
		snprintf(why, why_size,
			 "%.100s: no filter stands before a server's disk",
			 url_show(target).text);
		return -EOPNOTSUPP;
	}
	if (desc->nr_fds + (int32_t)part.filter->nr_fds >
	    (int32_t)STORAGE_FDS_MAX) {
		snprintf(why, why_size, "%.100s: write fewer filters",
			 url_show(target).text);
		err = -E2BIG;
	}
	if (!err)
		err = part.filter->acquire(part.args, desc, &fds[desc->nr_fds],
					   why, why_size);
	if (err) {
		close_all(desc, fds);
		return err;
	}
	desc->nr_fds += (int32_t)part.filter->nr_fds;
	return 0;
}

int storage_acquire(const char *target, uint32_t flags,
		    struct storage_desc *desc, int fds[STORAGE_FDS_MAX],
		    char *why, size_t why_size)
{
	struct storage_desc d;
	int err;

	if (strlen(target) >= sizeof(d.target)) {
		snprintf(why, why_size, "%.100s...: is too long",
			 url_show(target).text);
		return -ENAMETOOLONG;
	}
	err = acquire_nested(target, flags, 0, &d, fds, why, why_size);
	if (err)
		return err;
	/* One without filters may have said it otherwise: without a secret. */
	if (!(d.flags & STORAGE_UNSEEN))
		snprintf(d.target, sizeof(d.target), "%s", target);
	*desc = d;
	return 0;
}

/* ---- worker ---------------------------------------------------------------
 */

static int open_nested(const char *target, unsigned depth,
		       const struct storage_desc *desc, const int *fds,
		       struct storage **ret)
{
	const struct storage_ops *ops = storage_by_name(desc->driver);
	struct storage_desc inner = *desc;
	struct filter_storage *f;
	struct part part;
	int err = read_part(target, &part);

	if (err)
		return err;
	if (!part.filter)
		return ops ? ops->open(desc, fds, ret) : -EINVAL;
	inner.nr_fds -= (int32_t)part.filter->nr_fds;
	if (depth > NESTED_MAX || inner.nr_fds < 0)
		return -EINVAL;
	err = part.filter->open(part.args, desc, fds[inner.nr_fds], &f);
	if (err)
		return err;
	err = open_nested(part.rest, depth + 1, &inner, fds, &f->inner);
	if (err) {
		part.filter->destroy(f);
		return err;
	}
	/* What the driver learnt when it was opened. */
	memcpy(f->storage.desc.how, f->inner->desc.how,
	       sizeof(f->storage.desc.how));
	if (part.filter->nr_fds)
		close(fds[inner.nr_fds]);
	*ret = &f->storage;
	return 0;
}

int storage_open(const struct storage_desc *desc, const int *fds,
		 struct storage **ret)
{
	if (desc->nr_fds < 0 || desc->nr_fds > (int32_t)STORAGE_FDS_MAX ||
	    !memchr(desc->target, '\0', sizeof(desc->target)))
		return -EINVAL;
	return open_nested(desc->target, 0, desc, fds, ret);
}

/* ---- what filters pass on ---------------------------------------------------
 */

int filter_size(struct storage *st, uint64_t *ret_bytes)
{
	struct storage *inner = filter_of(st)->inner;
	int err = storage_look_again(inner);

	if (err < 0)
		return err;
	*ret_bytes = storage_size_bytes(inner);
	return 0;
}

bool filter_flush(struct storage_channel *ch)
{
	return filter_ops(ch)->flush(filter_inner(ch));
}

unsigned filter_poll(struct storage_channel *ch)
{
	return filter_ops(ch)->poll(filter_inner(ch));
}

int filter_wait_fd(struct storage_channel *ch)
{
	return filter_ops(ch)->wait_fd(filter_inner(ch));
}

int filter_fence_fd(struct storage_channel *ch)
{
	return filter_ops(ch)->fence_fd(filter_inner(ch));
}

void filter_give_up(struct storage_channel *ch)
{
	if (filter_ops(ch)->give_up)
		filter_ops(ch)->give_up(filter_inner(ch));
}
