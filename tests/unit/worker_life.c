/* SPDX-License-Identifier: MIT */
/*
 * worker_life.c - sources that come and go, also from inside their own
 * callbacks; calls; peers that hang up.
 */
#include "tests/unit/worker_rig.h"

#include <pthread.h>
#include <sys/socket.h>

/* A source whose every callback may remove sources, itself included. */
struct fickle {
	struct work_source src;
	struct work_source *victims[3];
	enum {
		IN_POLL,
		IN_ARM,
		IN_EVENT
	} where;
	_Atomic unsigned done;
};

static void fickle_act(struct fickle *f, int where)
{
	if ((int)f->where != where)
		return;
	for (int i = 0; i < 3; i++)
		if (f->victims[i])
			worker_remove(f->victims[i]);
	bump(&f->done);
}

static unsigned fickle_poll(struct work_source *src, unsigned budget)
{
	(void)budget;
	fickle_act(container_of(src, struct fickle, src), IN_POLL);
	return 0;
}

static bool fickle_arm(struct work_source *src)
{
	fickle_act(container_of(src, struct fickle, src), IN_ARM);
	return false;
}

static void fickle_event(struct work_source *src)
{
	uint64_t junk;

	if (read(src->fd, &junk, sizeof(junk)) < 0)
		abort();
	fickle_act(container_of(src, struct fickle, src), IN_EVENT);
}

static const struct work_source_ops fickle_ops = {
	.poll = fickle_poll,
	.arm = fickle_arm,
	.event = fickle_event,
};

static struct fickle *fickle_new(void)
{
	struct fickle *f = calloc(1, sizeof(*f));

	if (!f)
		abort();
	f->src.ops = &fickle_ops;
	f->src.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	f->src.extra_fd = -1;
	f->where = (typeof(f->where))-1;
	return f;
}

struct trio {
	struct worker *w;
	struct fickle *f[3];
	int err;
};

static int add_trio(void *arg)
{
	struct trio *t = arg;

	for (int i = 0; i < 3; i++)
		t->err |= worker_add(t->w, &t->f[i]->src);
	return 0;
}

/* All three become readable at once, so that one epoll batch holds them. */
static int poke_trio(void *arg)
{
	struct trio *t = arg;
	uint64_t one = 1;

	for (int i = 0; i < 3; i++)
		if (write(t->f[i]->src.fd, &one, sizeof(one)) < 0)
			abort();
	return 0;
}

static int count_trio(void *arg)
{
	struct trio *t = arg;
	int n = 0;

	for (int i = 0; i < 3; i++)
		n += t->f[i]->src.worker != NULL;
	return n;
}

static int drop_trio(void *arg)
{
	struct trio *t = arg;

	for (int i = 0; i < 3; i++)
		worker_remove(&t->f[i]->src);
	return 0;
}

/* Source actor removes the ones in mask, from inside its callback. */
static void removal_case(int where, int actor, unsigned mask)
{
	struct trio t = { .w = open_worker(0) };
	int left = 3;

	for (int i = 0; i < 3; i++)
		t.f[i] = fickle_new();
	for (int i = 0; i < 3; i++)
		if (mask >> i & 1) {
			t.f[actor]->victims[i] = &t.f[i]->src;
			left--;
		}
	t.f[actor]->where = (typeof(t.f[actor]->where))where;
	worker_call(t.w, add_trio, &t);
	UNIT_CHECK(t.err == 0);
	/*
	 * With IN_EVENT an earlier source of the batch must act; when the
	 * batch comes in another order the outcome is the same.
	 */
	worker_call(t.w, poke_trio, &t);
	UNIT_CHECK(wait_for(&t.f[actor]->done, 1));
	UNIT_CHECK(worker_call(t.w, count_trio, &t) == left);
	worker_call(t.w, drop_trio, &t);
	worker_close(t.w);
	for (int i = 0; i < 3; i++) {
		close(t.f[i]->src.fd);
		free(t.f[i]);
	}
}

static void removes_any_source_from_inside_any_callback(void)
{
	for (int where = IN_POLL; where <= IN_EVENT; where++)
		for (int actor = 0; actor < 3; actor++)
			for (unsigned mask = 1; mask < 8; mask++)
				removal_case(where, actor, mask);
}

struct sum {
	struct worker *w;
	unsigned nr, inner;
};

static int count_call(void *arg)
{
	struct sum *s = arg;

	s->nr++;
	return (int)s->nr;
}

static int nested_call(void *arg)
{
	struct sum *s = arg;

	s->inner += worker_call(s->w, count_call, s) > 0;
	return 77;
}

static void *call_often(void *arg)
{
	for (int i = 0; i < 5000; i++)
		worker_call(((struct sum *)arg)->w, count_call, arg);
	return NULL;
}

static void runs_every_call_once_and_answers_it(void)
{
	struct sum s = { .w = open_worker(SPIN_NS) };
	pthread_t threads[3];

	UNIT_CHECK(worker_call(s.w, nested_call, &s) == 77);
	UNIT_CHECK(s.inner == 1 && s.nr == 1);
	for (int i = 0; i < 3; i++)
		UNIT_CHECK(!pthread_create(&threads[i], NULL, call_often, &s));
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	/* Calls run on one thread, so no update was lost. */
	UNIT_CHECK(worker_call(s.w, count_call, &s) == 15002);
	worker_close(s.w);
}

/* The peer of an event channel dies: its end hangs up for ever. */
struct hangup {
	struct work_source src;
	_Atomic unsigned nr_events;
};

static unsigned hangup_poll(struct work_source *src, unsigned budget)
{
	(void)src;
	(void)budget;
	return 0;
}

static bool hangup_arm(struct work_source *src)
{
	(void)src;
	return false;
}

static void hangup_event(struct work_source *src)
{
	bump(&container_of(src, struct hangup, src)->nr_events);
}

static const struct work_source_ops hangup_ops = {
	.poll = hangup_poll,
	.arm = hangup_arm,
	.event = hangup_event,
};

static void tells_a_hang_up_once_and_sleeps_on(void)
{
	struct worker *w = open_worker(SPIN_NS);
	struct hangup h = { .src = { .ops = &hangup_ops, .extra_fd = -1 } };
	struct timespec ts = { .tv_nsec = 200000000 };
	uint64_t before = 0, after = 0;
	int pair[2];

	UNIT_REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	h.src.fd = pair[0];
	UNIT_CHECK(add(w, &h.src) == 0);
	close(pair[1]);
	UNIT_CHECK(wait_for(&h.nr_events, 1));
	worker_call(w, own_cpu_time, &before);
	nanosleep(&ts, NULL);
	worker_call(w, own_cpu_time, &after);
	UNIT_CHECK(after - before < 5 * NS_PER_MS);
	UNIT_CHECK(atomic_load(&h.nr_events) == 1);
	take_away(w, &h.src);
	worker_close(w);
	close(pair[0]);
}

static int readd_on_thread(void *arg)
{
	struct add *a = arg;
	int err;

	worker_remove(a->src);
	worker_remove(a->src);
	err = worker_add(a->w, a->src);
	return err;
}

static void takes_a_removed_source_again(void)
{
	struct worker *w = open_worker(0), *other = open_worker(0);
	struct mailbox m;
	struct add a;

	mailbox_init(&m);
	UNIT_CHECK(add(w, &m.src) == 0);
	a = (struct add){ w, &m.src };
	UNIT_CHECK(worker_call(w, readd_on_thread, &a) == 0);
	mailbox_post(&m);
	UNIT_CHECK(wait_for(&m.nr_handled, 1));
	take_away(w, &m.src);
	UNIT_CHECK(m.src.worker == NULL);
	/* A queue may move to another thread. */
	UNIT_CHECK(add(other, &m.src) == 0);
	mailbox_post(&m);
	UNIT_CHECK(wait_for(&m.nr_handled, 2));
	take_away(other, &m.src);
	worker_close(w);
	worker_close(other);
	close(m.src.fd);
}

static void refuses_a_bad_descriptor_and_undoes(void)
{
	struct worker *w = open_worker(0);
	struct mailbox m;

	mailbox_init(&m);
	m.src.extra_fd = 9999;
	UNIT_CHECK(add(w, &m.src) == -EBADF);
	UNIT_CHECK(m.src.worker == NULL);
	m.src.extra_fd = -1;
	UNIT_CHECK(add(w, &m.src) == 0);
	take_away(w, &m.src);
	worker_close(w);
	worker_close(NULL);
	close(m.src.fd);
}

UNIT_MAIN("worker_life", UNIT_TEST(removes_any_source_from_inside_any_callback),
	  UNIT_TEST(runs_every_call_once_and_answers_it),
	  UNIT_TEST(tells_a_hang_up_once_and_sleeps_on),
	  UNIT_TEST(takes_a_removed_source_again),
	  UNIT_TEST(refuses_a_bad_descriptor_and_undoes))
