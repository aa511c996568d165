/* SPDX-License-Identifier: MIT */
/*
 * blkfront_rig.h - a real brokerd and store, two domains, one disk, and a
 * backend that does what a test says: honest until told to lie, to fall silent
 * or to die. The frontend under test is the real library, in the test's thread.
 *
 * The backend is a thread with its own connections, as another process would
 * have. It keeps its disk in memory and copies by reference.
 */
#ifndef TESTS_UNIT_BLKFRONT_RIG_H
#define TESTS_UNIT_BLKFRONT_RIG_H

#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/blkif.h"
#include "abi/xenbus.h"
#include "platform/lite_control.h"
#include "ring/ring.h"
#include "util/clock.h"
#include "util/num.h"
#include "xenstore-lite/xs.h"

#define RIG_VDEV       51712u
#define RIG_DISK_BYTES (4u << 20)
#define RIG_WAIT_NS    (10 * NS_PER_S)

struct rig {
	char run_dir[64];
	pid_t broker_pid;
	struct platform *dom0;
	struct xs *xs;
	domid_t guest, driver;
	char front[128], back[128];
};

/* ---- store, domains, device ------------------------------------------------
 */

/* Programs are beside the tests: BUILD/tests/KIND/NAME and BUILD/bin. */
static inline int rig_program(char *path, size_t size, const char *name)
{
	ssize_t len = readlink("/proc/self/exe", path, size - 1);

	if (len < 0)
		return -errno;
	path[len] = '\0';
	for (int up = 0; up < 3; up++) {
		char *slash = strrchr(path, '/');

		if (!slash)
			return -ENOENT;
		*slash = '\0';
	}
	len = (ssize_t)strlen(path);
	return str_printf(path + len, size - (size_t)len, "/bin/%s", name);
}

static inline int rig_start_broker(struct rig *rig)
{
	char path[512], line[16] = "";
	int out[2];
	FILE *f;

	if (rig_program(path, sizeof(path), "brokerd") < 0 || pipe(out))
		return -ENOENT;
	rig->broker_pid = fork();
	if (rig->broker_pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		close(out[0]);
		close(out[1]);
		execl(path, path, "--run-dir", rig->run_dir, (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	f = fdopen(out[0], "r");
	if (!f)
		return -errno;
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	return strcmp(line, "ready\n") == 0 ? 0 : -ECHILD;
}

static inline int rig_dir(struct rig *rig, const char *dir, domid_t owner,
			  domid_t reader)
{
	struct xs_perm perms[] = { { owner, 'n' }, { reader, 'r' } };
	int err = xs_mkdir(rig->xs, XS_NO_TXN, dir);

	return err ? err : xs_set_perms(rig->xs, XS_NO_TXN, dir, perms, 2);
}

static inline int rig_put(struct rig *rig, const char *dir, const char *node,
			  const char *value)
{
	return xs_printf(rig->xs, XS_NO_TXN, dir, node, "%s", value);
}

/* What the toolstack writes for a disk. */
static inline int rig_attach(struct rig *rig)
{
	char id[16];
	int err;

	err = rig_dir(rig, rig->back, rig->driver, rig->guest);
	if (!err)
		err = rig_dir(rig, rig->front, rig->guest, rig->driver);
	snprintf(id, sizeof(id), "%u", rig->guest);
	if (!err)
		err = rig_put(rig, rig->back, "frontend-id", id);
	if (!err)
		err = rig_put(rig, rig->back, "frontend", rig->front);
	if (!err)
		err = rig_put(rig, rig->back, "online", "1");
	if (!err)
		err = rig_put(rig, rig->back, "state", "1");
	snprintf(id, sizeof(id), "%u", rig->driver);
	if (!err)
		err = rig_put(rig, rig->front, "backend-id", id);
	if (!err)
		err = rig_put(rig, rig->front, "backend", rig->back);
	if (!err)
		err = rig_put(rig, rig->front, "state", "1");
	return err;
}

static inline int rig_open(struct rig *rig)
{
	int err, fd;

	memset(rig, 0, sizeof(*rig));
	snprintf(rig->run_dir, sizeof(rig->run_dir), "/tmp/pvsplit-rig.XXXXXX");
	if (!mkdtemp(rig->run_dir))
		return -errno;
	err = rig_start_broker(rig);
	if (!err)
		err = platform_lite_open(rig->run_dir, 0, &rig->dom0);
	if (err)
		return err;
	fd = platform_store_connect(rig->dom0);
	err = fd < 0 ? fd : xs_open_fd(fd, &rig->xs);
	if (!err)
		err = lite_domain_create(rig->dom0, "guest", getuid(), 0,
					 &rig->guest);
	if (!err)
		err = lite_domain_create(rig->dom0, "driver", getuid(), 0,
					 &rig->driver);
	snprintf(rig->front, sizeof(rig->front),
		 "/local/domain/%u/device/vbd/%u", rig->guest, RIG_VDEV);
	snprintf(rig->back, sizeof(rig->back),
		 "/local/domain/%u/backend/vbd/%u/%u", rig->driver, rig->guest,
		 RIG_VDEV);
	return err ? err : rig_attach(rig);
}

static inline int rig_rm_one(const char *path, const struct stat *st, int flag,
			     struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static inline void rig_close(struct rig *rig)
{
	xs_close(rig->xs);
	platform_close(rig->dom0);
	if (rig->broker_pid > 0) {
		kill(rig->broker_pid, SIGTERM);
		waitpid(rig->broker_pid, NULL, 0);
	}
	nftw(rig->run_dir, rig_rm_one, 8, FTW_DEPTH | FTW_PHYS);
}

static inline unsigned rig_state(struct xs *xs, const char *dir)
{
	uint32_t state = 0;

	if (xs_read_u32(xs, XS_NO_TXN, dir, "state", 8, &state))
		return 0;
	return state;
}

/*
 * A backend's disk is looked at by tests only under this lock: the ring, which
 * orders the bytes in truth, is the same memory at two addresses, and
 * ThreadSanitizer cannot know that.
 */
static pthread_mutex_t rig_disk_lock = PTHREAD_MUTEX_INITIALIZER;

static inline bool rig_disk_equal(const uint8_t *disk, const void *bytes,
				  size_t size_bytes)
{
	bool equal;

	pthread_mutex_lock(&rig_disk_lock);
	equal = memcmp(disk, bytes, size_bytes) == 0;
	pthread_mutex_unlock(&rig_disk_lock);
	return equal;
}

/* ---- the backend -----------------------------------------------------------
 */

enum lie {
	HONEST,
	LIE_ID_TOO_LARGE,  /* id = number of slots */
	LIE_ID_MAX,	   /* id = 2^32 - 1 */
	LIE_ID_FREE,	   /* an id that is not in flight */
	LIE_ID_TWICE,	   /* the same answer again */
	LIE_OPERATION,	   /* another operation than was asked */
	LIE_STATUS,	   /* 77 */
	LIE_PROD_JUMP,	   /* one response more than is outstanding */
	LIE_PROD_BACKWARD, /* rsp_prod - 1 */
	LIE_SILENCE,	   /* takes requests, answers none */
};

struct backend {
	struct rig *rig;
	/* the script, set before backend_start */
	const char *sectors, *sector_size, *physical, *info; /* NULL: absent */
	bool flush;
	unsigned ring_order; /* offered */
	enum lie lie;
	unsigned lie_after; /* honest answers first */
	bool restarted;	    /* the successor of one that died */
	/* what it did */
	unsigned nr_answered, nr_flushes;
	unsigned used_order;
	bool connected;
	/* its own */
	pthread_t thread;
	bool stop; /* test's thread to backend's: atomic */
	bool die;  /* end without a word */
	struct platform *platform;
	struct xs *xs;
	struct grant_map ring_map;
	struct evtchn *evtchn;
	struct ring_back ring;
	uint8_t *disk; /* the test's: survives backends */
};

static inline bool backend_stopping(struct backend *be)
{
	/* Pairs with the stores in backend_stop() and backend_die(). */
	return __atomic_load_n(&be->stop, __ATOMIC_ACQUIRE) ||
	       __atomic_load_n(&be->die, __ATOMIC_ACQUIRE);
}

/* Wait until the frontend's state is one of the bits in mask. */
static inline unsigned backend_wait_front(struct backend *be, unsigned mask)
{
	uint64_t end_ns = clock_now_ns() + RIG_WAIT_NS;

	while (clock_now_ns() < end_ns && !backend_stopping(be)) {
		unsigned state = rig_state(be->xs, be->rig->front);

		if (mask & (1u << state))
			return state;
		poll(NULL, 0, 1);
	}
	return 0;
}

static inline int backend_put(struct backend *be, const char *node,
			      const char *value)
{
	if (!value)
		return 0;
	return xs_printf(be->xs, XS_NO_TXN, be->rig->back, node, "%s", value);
}

static inline int backend_map(struct backend *be)
{
	grant_ref_t refs[16];
	uint32_t order, port;
	const char *front = be->rig->front;
	int err;

	err = xs_read_u32_default(be->xs, XS_NO_TXN, front, "ring-page-order",
				  4, 0, &order);
	if (err)
		return err;
	be->used_order = order;
	for (unsigned i = 0; i < 1u << order && !err; i++) {
		char node[24];

		snprintf(node, sizeof(node), "ring-ref%u", i);
		err = xs_read_u32(be->xs, XS_NO_TXN, front,
				  order ? node : "ring-ref", UINT32_MAX,
				  &refs[i]);
	}
	if (!err)
		err = xs_read_u32(be->xs, XS_NO_TXN, front, "event-channel",
				  UINT32_MAX, &port);
	if (!err)
		err = platform_map(be->platform, be->rig->guest, refs,
				   1u << order, true, &be->ring_map);
	if (err)
		return err;
	err = platform_evtchn_bind(be->platform, be->rig->guest, port,
				   &be->evtchn);
	if (err)
		return err;
	ring_back_init(&be->ring, be->ring_map.base, PV_PAGE_SIZE << order,
		       sizeof(struct blkif_request));
	return 0;
}

static inline int backend_connect(struct backend *be)
{
	char order[16];
	int err;

	snprintf(order, sizeof(order), "%u", be->ring_order);
	err = backend_put(be, "feature-flush-cache", be->flush ? "1" : NULL);
	if (!err && be->ring_order)
		err = backend_put(be, "max-ring-page-order", order);
	if (!err && be->restarted) {
		err = backend_put(be, "state", "6");
		backend_wait_front(be, 1u << XenbusStateInitialising |
					       1u << XenbusStateClosed);
	}
	if (!err)
		err = backend_put(be, "state", "2");
	if (err)
		return err;
	if (!backend_wait_front(be, 1u << XenbusStateInitialised))
		return -ETIMEDOUT;
	err = backend_map(be);
	if (!err)
		err = backend_put(be, "sectors", be->sectors);
	if (!err)
		err = backend_put(be, "sector-size", be->sector_size);
	if (!err)
		err = backend_put(be, "physical-sector-size", be->physical);
	if (!err)
		err = backend_put(be, "info", be->info);
	if (!err)
		err = backend_put(be, "state", "4");
	return err;
}

static inline int backend_do(struct backend *be,
			     const struct blkif_request *req)
{
	uint64_t at = req->sector_number * BLKIF_SECTOR_SIZE;

	for (unsigned i = 0; i < req->nr_segments; i++) {
		const struct blkif_request_segment *seg = &req->seg[i];
		struct grant_copy op = {
			.domid = be->rig->guest,
			.ref = seg->gref,
			.offset = (uint16_t)(seg->first_sect * 512),
			.size_bytes = (uint16_t)((seg->last_sect -
						  seg->first_sect + 1) *
						 512),
			.to_peer = req->operation == BLKIF_OP_READ,
			.local = be->disk + at,
		};
		int failed;

		if (at + op.size_bytes > RIG_DISK_BYTES)
			return BLKIF_RSP_ERROR;
		pthread_mutex_lock(&rig_disk_lock);
		failed = platform_copy(be->platform, &op, 1);
		pthread_mutex_unlock(&rig_disk_lock);
		if (failed)
			return BLKIF_RSP_ERROR;
		at += op.size_bytes;
	}
	return BLKIF_RSP_OKAY;
}

static inline void backend_answer(struct backend *be,
				  struct blkif_response *rsp)
{
	ring_back_put(&be->ring, rsp, sizeof(*rsp));
	if (ring_back_push(&be->ring))
		evtchn_notify(be->evtchn);
}

static inline struct ring_header *backend_header(struct backend *be)
{
	return (struct ring_header *)(uintptr_t)be->ring_map.base;
}

/* Write rsp_prod as no honest backend would. */
static inline void backend_forge_prod(struct backend *be, uint32_t prod)
{
	/* Pairs with the loads in ring_front_pending(), ring_front_arm(). */
	__atomic_store_n(&backend_header(be)->rsp_prod, prod, __ATOMIC_SEQ_CST);
	evtchn_notify(be->evtchn);
}

/* Wait until the frontend has consumed every answer and is about to sleep. */
static inline void backend_wait_consumed(struct backend *be)
{
	uint64_t end_ns = clock_now_ns() + RIG_WAIT_NS;

	/* Pairs with the store in ring_front_arm(). */
	while (__atomic_load_n(&backend_header(be)->rsp_event,
			       __ATOMIC_SEQ_CST) != be->ring.rsp_prod + 1 &&
	       clock_now_ns() < end_ns && !backend_stopping(be))
		poll(NULL, 0, 1);
}

static inline void backend_lie(struct backend *be, struct blkif_response rsp)
{
	uint32_t outstanding = be->ring.req_cons - be->ring.rsp_prod;

	switch (be->lie) {
	case HONEST:
		backend_answer(be, &rsp);
		be->nr_answered++;
		return;
	case LIE_SILENCE: return;
	case LIE_ID_TOO_LARGE: rsp.id = be->ring.nr_slots; break;
	case LIE_ID_MAX: rsp.id = UINT32_MAX; break;
	case LIE_ID_FREE:
		rsp.id = (rsp.id + be->ring.nr_slots / 2) % be->ring.nr_slots;
		break;
	case LIE_ID_TWICE:
		/* the second one takes the place of another's answer */
		backend_answer(be, &rsp);
		if (ring_back_pending(&be->ring) > 0) {
			struct blkif_request other;

			ring_back_get(&be->ring, &other, sizeof(other));
			backend_answer(be, &rsp);
		} else {
			backend_forge_prod(be, be->ring.rsp_prod + 1);
		}
		return;
	case LIE_OPERATION: rsp.operation ^= 1; break;
	case LIE_STATUS: rsp.status = 77; break;
	case LIE_PROD_JUMP:
		backend_forge_prod(
			be, be->ring.rsp_prod + outstanding +
				    (uint32_t)ring_back_pending(&be->ring) + 1);
		return;
	case LIE_PROD_BACKWARD:
		backend_wait_consumed(be);
		backend_forge_prod(be, be->ring.rsp_prod - 1);
		return;
	}
	backend_answer(be, &rsp);
}

static inline void backend_serve(struct backend *be)
{
	while (!backend_stopping(be)) {
		struct pollfd pfd = { .fd = evtchn_fd(be->evtchn),
				      .events = POLLIN };
		struct blkif_request req;
		struct blkif_response rsp;

		if (ring_back_arm(&be->ring) <= 0) {
			unsigned front = rig_state(be->xs, be->rig->front);

			if (front == XenbusStateClosing ||
			    front == XenbusStateClosed)
				return;
			poll(&pfd, 1, 20);
			if (evtchn_clear(be->evtchn) < 0)
				return;
			continue;
		}
		ring_back_get(&be->ring, &req, sizeof(req));
		rsp = (struct blkif_response){ .id = req.id,
					       .operation = req.operation };
		be->nr_flushes += req.operation == BLKIF_OP_FLUSH_DISKCACHE;
		rsp.status = (int16_t)backend_do(be, &req);
		if (be->nr_answered < be->lie_after) {
			backend_answer(be, &rsp);
			be->nr_answered++;
		} else {
			backend_lie(be, rsp);
		}
	}
}

static inline void *backend_run(void *arg)
{
	struct backend *be = arg;
	int fd;

	if (platform_lite_open(be->rig->run_dir, be->rig->driver,
			       &be->platform))
		return NULL;
	fd = platform_store_connect(be->platform);
	if (fd >= 0 && !xs_open_fd(fd, &be->xs)) {
		be->connected = backend_connect(be) == 0;
		if (be->connected)
			backend_serve(be);
	}
	if (be->evtchn)
		evtchn_close(be->evtchn);
	if (be->ring_map.nr_pages)
		platform_unmap(be->platform, &be->ring_map);
	/* Pairs with the store in backend_die(). */
	if (be->xs && !__atomic_load_n(&be->die, __ATOMIC_ACQUIRE)) {
		int ignored = backend_put(be, "state", "6");

		(void)ignored; /* the directory may be gone */
	}
	xs_close(be->xs);
	platform_close(be->platform);
	return NULL;
}

static inline int backend_start(struct backend *be, struct rig *rig)
{
	be->rig = rig;
	be->stop = be->die = false;
	return -pthread_create(&be->thread, NULL, backend_run, be);
}

/* Say goodbye / vanish: what a killed process leaves. Both wait for the end. */
static inline void backend_stop(struct backend *be)
{
	/* Pairs with the load in backend_stopping(). */
	__atomic_store_n(&be->stop, true, __ATOMIC_RELEASE);
	pthread_join(be->thread, NULL);
}

static inline void backend_die(struct backend *be)
{
	/* Pairs with the loads in backend_stopping() and backend_run(). */
	__atomic_store_n(&be->die, true, __ATOMIC_RELEASE);
	pthread_join(be->thread, NULL);
}

#endif /* TESTS_UNIT_BLKFRONT_RIG_H */
