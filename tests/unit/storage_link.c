/* SPDX-License-Identifier: MIT */
/*
 * storage_link.c - link.c by itself, with a driver that is the test: what
 * waits, what is issued again and in which order, policies, pauses, the end.
 */
#include "blkback/storage/link.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "util/clock.h"

#define DEPTH	   8u
#define ISSUED_MAX 64u
#define STEP_BYTES 4096u
#define WAIT_NS	   (10 * NS_PER_S)

struct scene {
	struct link link;
	struct storage st;
	struct storage_io io[DEPTH + 1];
	unsigned nr_done[DEPTH + 1];
	struct link_slot *under_way[DEPTH];
	unsigned nr_under_way;
	unsigned issued[ISSUED_MAX], nr_issued; /* numbers of ios */
	unsigned nr_begun, nr_dropped;
	int begin_err;
	char said[256];
};

static struct scene *scene_of(struct link *l)
{
	return container_of(l, struct scene, link);
}

static int begin(struct link *l)
{
	scene_of(l)->nr_begun++;
	return scene_of(l)->begin_err;
}

static void issue(struct link *l, struct link_slot *s)
{
	struct scene *c = scene_of(l);

	UNIT_REQUIRE(c->nr_issued < ISSUED_MAX && c->nr_under_way < DEPTH);
	c->issued[c->nr_issued++] = (unsigned)(s->io - c->io);
	c->under_way[c->nr_under_way++] = s;
	s->nr_parts++;
	if (s->io->op == STORAGE_DISCARD)
		s->step_bytes = STEP_BYTES;
}

static void drop(struct link *l)
{
	scene_of(l)->nr_dropped++;
	scene_of(l)->nr_under_way = 0;
}

static const struct link_ops ops = { begin, issue, drop };

static struct scene *the_scene;

static void done(struct storage_io *io)
{
	the_scene->nr_done[io - the_scene->io]++;
}

static struct scene *open_scene(uint64_t fail_after_ns)
{
	struct scene *c = calloc(1, sizeof(*c));

	if (!c)
		abort();
	the_scene = c;
	c->st.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (link_init(&c->link, &ops, &c->st, DEPTH, fail_after_ns))
		abort();
	return c;
}

static void close_scene(struct scene *c)
{
	link_fini(&c->link);
	link_fini(&c->link);
	close(c->st.event_fd);
	free(c);
}

static int submit(struct scene *c, unsigned nr, enum storage_op op,
		  uint64_t size_bytes)
{
	c->io[nr] = (struct storage_io){ .op = op,
					 .size_bytes = size_bytes,
					 .done = done };
	return link_submit(&c->link, &c->io[nr]);
}

static unsigned run(struct scene *c)
{
	link_look(&c->link);
	link_run(&c->link);
	return link_reap(&c->link);
}

/* End the first command that is under way. */
static void end_first(struct scene *c, int err)
{
	struct link_slot *s = c->under_way[0];

	UNIT_REQUIRE(c->nr_under_way > 0);
	c->nr_under_way--;
	memmove(c->under_way, c->under_way + 1,
		c->nr_under_way * sizeof(c->under_way[0]));
	link_part_done(s, err);
}

/* Sleeps on the link's descriptor, as a worker does, until cond. */
#define RUN_UNTIL(c, cond)                                                     \
	do {                                                                   \
		uint64_t end_ns_ = clock_now_ns() + WAIT_NS;                   \
		run(c);                                                        \
		while (!(cond) && clock_now_ns() < end_ns_) {                  \
			struct pollfd p_ = { .fd = (c)->link.epfd,             \
					     .events = POLLIN };               \
			poll(&p_, 1, 10000);                                   \
			run(c);                                                \
		}                                                              \
		UNIT_REQUIRE(cond);                                            \
	} while (0)

static void ios_wait_for_the_link_and_keep_their_order(void)
{
	struct scene *c = open_scene(0);

	for (unsigned i = 0; i < 4; i++)
		UNIT_CHECK(submit(c, i, STORAGE_WRITE, 4096) == 0);
	RUN_UNTIL(c, c->nr_begun == 1);
	UNIT_CHECK(c->nr_issued == 0);
	link_up(&c->link);
	UNIT_CHECK(c->nr_issued == 4);
	for (unsigned i = 0; i < 4; i++)
		UNIT_CHECK(c->issued[i] == i);
	end_first(c, 0);
	UNIT_CHECK(c->nr_done[0] == 0); /* only link_reap() tells */
	UNIT_CHECK(run(c) == 1);
	UNIT_CHECK(c->nr_done[0] == 1 && c->io[0].result == 0);
	/* The other three, again, in the order of submission. */
	c->link.lost = true;
	RUN_UNTIL(c, c->nr_begun == 2);
	UNIT_CHECK(c->nr_dropped == 1);
	link_up(&c->link);
	UNIT_CHECK(c->nr_issued == 7);
	for (unsigned i = 1; i < 4; i++)
		UNIT_CHECK(c->issued[3 + i] == i);
	for (unsigned i = 0; i < 3; i++)
		end_first(c, i == 1 ? -EIO : 0);
	UNIT_CHECK(run(c) == 3);
	UNIT_CHECK(c->io[1].result == 0 && c->io[2].result == -EIO &&
		   c->io[3].result == 0);
	for (unsigned i = 0; i < 4; i++)
		UNIT_CHECK(c->nr_done[i] == 1);
	UNIT_CHECK(link_news(&c->link) == (LINK_NEWS_LOST | LINK_NEWS_UP));
	UNIT_CHECK(link_news(&c->link) == 0);
	close_scene(c);
}

static void more_than_depth_is_refused(void)
{
	struct scene *c = open_scene(0);

	for (unsigned i = 0; i < DEPTH; i++)
		UNIT_CHECK(submit(c, i, STORAGE_READ, 4096) == 0);
	UNIT_CHECK(submit(c, DEPTH, STORAGE_READ, 4096) == -EAGAIN);
	RUN_UNTIL(c, c->nr_begun == 1);
	link_up(&c->link);
	end_first(c, 0);
	UNIT_CHECK(submit(c, DEPTH, STORAGE_READ, 4096) == 0);
	link_give_up(&c->link);
	c->link.lost = true;
	RUN_UNTIL(c, c->nr_done[DEPTH] == 1);
	close_scene(c);
}

static void the_first_error_of_several_parts_is_the_ios(void)
{
	struct scene *c = open_scene(0);
	struct link_slot *s;

	RUN_UNTIL(c, c->nr_begun == 1);
	link_up(&c->link);
	UNIT_CHECK(submit(c, 0, STORAGE_READ, 4096) == 0);
	s = c->under_way[0];
	s->nr_parts += 2;
	link_part_done(s, -ENOSPC);
	link_part_done(s, -EIO);
	UNIT_CHECK(run(c) == 0);
	end_first(c, 0);
	UNIT_CHECK(run(c) == 1 && c->io[0].result == -ENOSPC);
	close_scene(c);
}

static void a_discard_goes_step_by_step_and_starts_over_where_it_was(void)
{
	struct scene *c = open_scene(0);

	RUN_UNTIL(c, c->nr_begun == 1);
	link_up(&c->link);
	UNIT_CHECK(submit(c, 0, STORAGE_DISCARD, 3 * STEP_BYTES) == 0);
	end_first(c, 0);
	UNIT_CHECK(c->io[0].done_bytes == STEP_BYTES);
	run(c);
	UNIT_CHECK(c->nr_issued == 2);
	c->link.lost = true;
	RUN_UNTIL(c, c->nr_begun == 2);
	link_up(&c->link);
	UNIT_CHECK(c->nr_issued == 3 && c->io[0].done_bytes == STEP_BYTES);
	end_first(c, 0);
	run(c);
	end_first(c, 0);
	UNIT_CHECK(run(c) == 1 && c->io[0].result == 0);
	UNIT_CHECK(c->io[0].done_bytes == 3 * STEP_BYTES);
	close_scene(c);
}

static void what_may_be_done_later_is_issued_again_after_its_pause(void)
{
	struct scene *c = open_scene(0);
	uint64_t start_ns;
	struct link_slot *s;

	RUN_UNTIL(c, c->nr_begun == 1);
	link_up(&c->link);
	UNIT_CHECK(submit(c, 0, STORAGE_READ, 4096) == 0);
	s = c->under_way[0];
	c->nr_under_way = 0;
	link_part_again(s, -EBUSY, 0);
	UNIT_CHECK(run(c) == 0);
	UNIT_CHECK(c->nr_issued == 2);
	start_ns = clock_now_ns();
	c->nr_under_way = 0;
	link_part_again(s, -EBUSY, 50 * NS_PER_MS);
	RUN_UNTIL(c, c->nr_issued == 3);
	UNIT_CHECK(clock_now_ns() - start_ns >= 50 * NS_PER_MS);
	end_first(c, 0);
	UNIT_CHECK(run(c) == 1 && c->io[0].result == 0);
	close_scene(c);
}

static void trying_again_has_an_end(void)
{
	struct scene *c = open_scene(0);
	unsigned nr = 0;

	RUN_UNTIL(c, c->nr_begun == 1);
	link_up(&c->link);
	UNIT_CHECK(submit(c, 0, STORAGE_READ, 4096) == 0);
	for (; c->nr_under_way && nr < 1000; nr++) {
		c->nr_under_way = c->nr_issued = 0;
		link_part_again(c->under_way[0], -EBUSY, 0);
		run(c);
	}
	UNIT_CHECK(nr > 10 && nr < 1000);
	UNIT_CHECK(c->nr_done[0] == 1 && c->io[0].result == -EBUSY);
	UNIT_CHECK(submit(c, 1, STORAGE_READ, 4096) == 0);
	link_give_up(&c->link);
	c->nr_under_way = 0;
	link_part_again(c->under_way[0], -EBUSY, 0);
	UNIT_CHECK(run(c) == 1 && c->io[1].result == -EBUSY);
	close_scene(c);
}

static void pauses_between_attempts_grow(void)
{
	struct scene *c = open_scene(0);
	uint64_t at_ns[4];

	c->begin_err = -ECONNREFUSED;
	for (unsigned i = 0; i < 4; i++) {
		RUN_UNTIL(c, c->nr_begun == i + 1);
		at_ns[i] = clock_now_ns();
	}
	UNIT_CHECK(at_ns[1] - at_ns[0] >= 99 * NS_PER_MS);
	UNIT_CHECK(at_ns[2] - at_ns[1] >= 199 * NS_PER_MS);
	UNIT_CHECK(at_ns[3] - at_ns[2] >= 399 * NS_PER_MS);
	UNIT_CHECK(link_news(&c->link) == 0); /* it never was up */
	close_scene(c);
}

static void fail_after_fails_what_waits_until_it_is_up(void)
{
	struct scene *c = open_scene(300 * NS_PER_MS);
	uint64_t start_ns = clock_now_ns();

	c->begin_err = -ECONNREFUSED;
	UNIT_CHECK(submit(c, 0, STORAGE_READ, 4096) == 0);
	RUN_UNTIL(c, c->nr_done[0] == 1);
	UNIT_CHECK(c->io[0].result == -EIO);
	UNIT_CHECK(clock_now_ns() - start_ns >= 290 * NS_PER_MS);
	UNIT_CHECK(link_news(&c->link) & LINK_NEWS_FAILING);
	UNIT_CHECK(submit(c, 1, STORAGE_READ, 4096) == 0);
	UNIT_CHECK(c->nr_done[1] == 0);
	UNIT_CHECK(run(c) == 1 && c->io[1].result == -EIO);
	c->begin_err = 0;
	RUN_UNTIL(c, c->link.state == LINK_CONNECTING);
	link_up(&c->link);
	UNIT_CHECK(submit(c, 2, STORAGE_READ, 4096) == 0);
	end_first(c, 0);
	UNIT_CHECK(run(c) == 1 && c->io[2].result == 0);
	close_scene(c);
}

static void given_up_nothing_waits(void)
{
	struct scene *c = open_scene(0);

	UNIT_CHECK(submit(c, 0, STORAGE_FLUSH, 0) == 0);
	run(c);
	link_give_up(&c->link);
	UNIT_CHECK(run(c) == 1 && c->io[0].result == -EIO);
	UNIT_CHECK(submit(c, 1, STORAGE_FLUSH, 0) == 0);
	UNIT_CHECK(run(c) == 1 && c->io[1].result == -EIO);
	close_scene(c);
}

/* What comes back for a connection that is lost already is nobody's answer. */
static void an_answer_after_the_loss_does_not_count(void)
{
	struct scene *c = open_scene(0);
	struct link_slot *s;

	RUN_UNTIL(c, c->nr_begun == 1);
	link_up(&c->link);
	UNIT_CHECK(submit(c, 0, STORAGE_WRITE, 4096) == 0);
	s = c->under_way[0];
	c->link.lost = true;
	link_part_done(s, 0);
	UNIT_CHECK(run(c) == 0);
	RUN_UNTIL(c, c->nr_begun == 2);
	link_up(&c->link);
	UNIT_CHECK(c->nr_issued == 2);
	end_first(c, 0);
	UNIT_CHECK(run(c) == 1);
	close_scene(c);
}

/* Nothing else would end the sleep before the silence does. */
static void a_loss_found_outside_of_poll_ends_the_sleep(void)
{
	struct scene *c = open_scene(0);
	struct pollfd p;

	RUN_UNTIL(c, c->nr_begun == 1);
	link_up(&c->link);
	UNIT_CHECK(submit(c, 0, STORAGE_READ, 4096) == 0);
	run(c);
	p = (struct pollfd){ .fd = c->link.epfd, .events = POLLIN };
	UNIT_CHECK(poll(&p, 1, 20) == 0);
	c->link.lost = true;
	link_wake(&c->link);
	UNIT_CHECK(poll(&p, 1, 5000) == 1);
	run(c);
	UNIT_CHECK(c->nr_dropped == 1);
	RUN_UNTIL(c, c->nr_begun == 2);
	close_scene(c);
}

static void say(void *arg, const char *what)
{
	struct scene *c = arg;

	strncat(c->said, what, sizeof(c->said) - strlen(c->said) - 1);
}

static void news_are_said_in_words(void)
{
	struct scene *c = open_scene(0);
	const struct storage_keeper keeper = { NULL, say, c };

	link_say(LINK_NEWS_WANTS | LINK_NEWS_SIZE, "other", &keeper);
	UNIT_CHECK(c->said[0] == '\0');
	link_say(LINK_NEWS_LOST | LINK_NEWS_REFUSED, "other", &keeper);
	UNIT_CHECK(strstr(c->said, "gone") && strstr(c->said, "other"));
	close_scene(c);
}

UNIT_MAIN("storage_link", UNIT_TEST(ios_wait_for_the_link_and_keep_their_order),
	  UNIT_TEST(more_than_depth_is_refused),
	  UNIT_TEST(the_first_error_of_several_parts_is_the_ios),
	  UNIT_TEST(a_discard_goes_step_by_step_and_starts_over_where_it_was),
	  UNIT_TEST(what_may_be_done_later_is_issued_again_after_its_pause),
	  UNIT_TEST(trying_again_has_an_end),
	  UNIT_TEST(pauses_between_attempts_grow),
	  UNIT_TEST(fail_after_fails_what_waits_until_it_is_up),
	  UNIT_TEST(given_up_nothing_waits),
	  UNIT_TEST(an_answer_after_the_loss_does_not_count),
	  UNIT_TEST(a_loss_found_outside_of_poll_ends_the_sleep),
	  UNIT_TEST(news_are_said_in_words))
