/* SPDX-License-Identifier: MIT */
/*
 * ranges.c - see ranges.h. Called by rmw.c, under its storage's lock.
 */
#include "blkback/ranges.h"

void ranges_init(struct ranges *rs)
{
	list_init(&rs->exclusive);
	list_init(&rs->others);
	rs->next_ticket = 0;
}

static bool overlap(const struct range *a, const struct range *b)
{
	return a->start < b->end && b->start < a->end;
}

static unsigned count_overlaps(const struct list *head, const struct range *r)
{
	unsigned nr = 0;

	list_for_each(l, head)
		nr += overlap(container_of(l, struct range, link), r);
	return nr;
}

bool ranges_take(struct ranges *rs, struct range *r)
{
	r->ticket = rs->next_ticket++;
	r->nr_before = count_overlaps(&rs->exclusive, r);
	if (r->exclusive)
		r->nr_before += count_overlaps(&rs->others, r);
	list_add_tail(r->exclusive ? &rs->exclusive : &rs->others, &r->link);
	return !r->nr_before;
}

static void let_go(struct list *head, const struct range *r,
		   ranges_free_fn *is_free, void *arg)
{
	list_for_each(l, head) {
		struct range *other = container_of(l, struct range, link);

		if (other->ticket > r->ticket && overlap(other, r) &&
		    !--other->nr_before)
			is_free(arg, other);
	}
}

void ranges_drop(struct ranges *rs, struct range *r, ranges_free_fn *is_free,
		 void *arg)
{
	list_del(&r->link);
	let_go(&rs->exclusive, r, is_free, arg);
	if (r->exclusive)
		let_go(&rs->others, r, is_free, arg);
}
