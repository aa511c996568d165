/* SPDX-License-Identifier: MIT */
/* rings.c - the daemon's clients over shared pages. See rings.h. */
#include "xenstore-lite/rings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "util/clock.h"
#include "util/log.h"
#include "xenstore-lite/ringconn.h"

struct rings {
	struct loop *loop;
	struct xsd *xsd;
	struct platform *platform; /* NULL: none was given */
	int broker_fd;		   /* the platform's */
	struct list *queue;
	struct list all;
	struct list ready; /* have input, though no event says so */
	struct loop_prepare *serve;
	struct loop_timer *resume; /* for those that are not listened to */
	uint64_t resume_ns;	   /* when it is due; UINT64_MAX: disarmed */
	struct log_limit limit;
};

struct ring {
	struct outlet outlet;
	struct list link;  /* in rings.all */
	struct list ready; /* in rings.ready, or alone */
	struct rings *rings;
	struct loop_fd *src; /* NULL: restored, but its guest is gone */
	struct ringconn rc;
	domid_t domid;
	bool listening;
	uint32_t error; /* the last that was logged */
};

static struct ring *ring_of(struct outlet *outlet)
{
	return container_of(outlet, struct ring, outlet);
}

static struct ring *find(struct rings *rings, domid_t domid)
{
	list_for_each(l, &rings->all) {
		struct ring *ring = container_of(l, struct ring, link);

		if (ring->domid == domid)
			return ring;
	}
	return NULL;
}

static void ring_close(struct ring *ring, bool keep_port)
{
	outlet_fini(&ring->outlet);
	list_del(&ring->ready);
	list_del(&ring->link);
	loop_fd_remove(ring->src);
	if (ring->src)
		ringconn_close(&ring->rc, keep_port);
	else
		xsd_conn_close(ring->rc.conn);
	free(ring);
}

/* ---- a round --------------------------------------------------------------
 */

static void ring_input(struct ring *ring)
{
	ringconn_input(&ring->rc);
	outlet_wake(&ring->outlet);
}

static void ring_ready(void *arg, uint32_t events)
{
	struct ring *ring = arg;
	struct rings *rings = ring->rings;

	(void)events;
	if (ringconn_event(&ring->rc) == 0) {
		ring_input(ring);
		return;
	}
	/* A record that cannot be changed names a page that is gone. */
	(void)!xsd_domain_set_ring(rings->xsd, ring->domid, 0, 0);
	ring_close(ring, false);
}

static bool serve_ready(void *arg)
{
	struct rings *rings = arg;

	while (!list_empty(&rings->ready)) {
		struct ring *ring =
			container_of(rings->ready.next, struct ring, ready);

		list_del(&ring->ready);
		ring_input(ring);
	}
	return false;
}

static void arm(struct rings *rings, uint64_t resume_ns)
{
	if (resume_ns >= rings->resume_ns)
		return;
	rings->resume_ns = resume_ns;
	loop_timer_arm(rings->resume, resume_ns);
}

/* Listen to the channel, or not before resume_ns (0: at once). */
static void listen_from(struct ring *ring, uint64_t resume_ns)
{
	bool on = resume_ns == 0;

	if (!on)
		arm(ring->rings, resume_ns);
	if (on == ring->listening)
		return;
	ring->listening = on;
	loop_fd_set_events(ring->src, on ? EPOLLIN : 0);
}

static void resume_listening(void *arg)
{
	struct rings *rings = arg;
	uint64_t now_ns = clock_now_ns();

	rings->resume_ns = UINT64_MAX;
	list_for_each(l, &rings->all) {
		struct ring *ring = container_of(l, struct ring, link);
		uint64_t resume_ns = ringconn_resume_ns(&ring->rc);

		if (!ring->listening)
			listen_from(ring, resume_ns > now_ns ? resume_ns : 0);
	}
}

static void log_error_word(struct ring *ring)
{
	static const char *const why[] = {
		[XENSTORE_ERROR_NONE] = "connected again",
		[XENSTORE_ERROR_COMM] = "no memory for it",
		[XENSTORE_ERROR_RINGIDX] = "an index that cannot be",
		[XENSTORE_ERROR_PROTO] = "a message that cannot be",
	};

	if (ring->error == ring->rc.error)
		return;
	ring->error = ring->rc.error;
	log_limited(&ring->rings->limit, LOG_WARN, "store d%u ring: %s%s",
		    ring->domid, why[ring->error],
		    ring->error ? "; not served until it reconnects" : "");
}

static bool ring_flush(struct outlet *outlet)
{
	struct ring *ring = ring_of(outlet);
	uint64_t now_ns = clock_now_ns(), resume_ns;
	bool more;

	if (!ring->src) {
		ring_close(ring, true);
		return false;
	}
	more = ringconn_output(&ring->rc, now_ns);
	resume_ns = ringconn_resume_ns(&ring->rc);
	listen_from(ring, resume_ns > now_ns ? resume_ns : 0);
	log_error_word(ring);
	if (more && list_empty(&ring->ready))
		list_add_tail(&ring->rings->ready, &ring->ready);
	return more;
}

static void ring_describe(struct outlet *outlet, char *buf, size_t size)
{
	(void)outlet;
	snprintf(buf, size, "ring");
}

/* The domain is no more: nobody will bind its ports again. */
static void ring_drop(struct outlet *outlet)
{
	ring_close(ring_of(outlet), false);
}

/* ---- introduction -----------------------------------------------------------
 */

static const struct outlet_ops ring_ops = { .flush = ring_flush,
					    .drop = ring_drop,
					    .describe = ring_describe };

/* Takes conn over, on success only; its arg is to be the outlet. */
static int ring_attach(struct ring *ring, grant_ref_t gref, evtchn_port_t port,
		       struct xsd_conn *conn)
{
	struct rings *rings = ring->rings;
	int err = ringconn_open(&ring->rc, rings->platform, ring->domid, gref,
				port, conn);

	if (err)
		return err;
	err = loop_fd_add(rings->loop, evtchn_fd(ring->rc.channel), EPOLLIN,
			  ring_ready, ring, &ring->src);
	if (err) {
		/* The port may be another's too: that of another page. */
		ring->rc.conn = NULL;
		ringconn_close(&ring->rc, true);
		return err;
	}
	list_add_tail(&rings->all, &ring->link);
	return 0;
}

static struct ring *ring_new(struct rings *rings, domid_t domid)
{
	struct ring *ring = calloc(1, sizeof(*ring));

	if (!ring)
		return NULL;
	outlet_init(&ring->outlet, rings->queue, &ring_ops);
	list_init(&ring->ready);
	ring->rings = rings;
	ring->domid = domid;
	ring->listening = true;
	return ring;
}

static int ring_open(struct rings *rings, domid_t domid, grant_ref_t gref,
		     evtchn_port_t port, struct ring **ret)
{
	struct ring *ring = ring_new(rings, domid);
	struct xsd_conn *conn;
	int err;

	if (!ring)
		return -ENOMEM;
	err = xsd_conn_open(rings->xsd, domid, &ring->outlet, &conn);
	if (err)
		goto fail;
	err = ring_attach(ring, gref, port, conn);
	if (err)
		goto fail_conn;
	*ret = ring;
	return 0;

fail_conn:
	xsd_conn_close(conn);
fail:
	free(ring);
	return err;
}

int rings_introduce(struct rings *rings, domid_t domid, uint64_t gfn,
		    evtchn_port_t port)
{
	struct ring *old = find(rings, domid), *ring;
	int err;

	if (gfn > UINT32_MAX)
		return -EINVAL;
	if (old && old->rc.gref == gfn && old->rc.port == port)
		return 0;
	if (!rings->platform)
		return -EIO;
	err = ring_open(rings, domid, (grant_ref_t)gfn, port, &ring);
	if (err == -ECONNRESET || err == -ETIMEDOUT)
		return -EIO;
	if (err)
		return err;
	err = xsd_domain_set_ring(rings->xsd, domid, (grant_ref_t)gfn, port);
	if (err) {
		ring_close(ring, old && old->rc.port == port);
		return err;
	}
	if (old)
		ring_close(old, old->rc.port == port);
	ringconn_start(&ring->rc);
	outlet_wake(&ring->outlet);
	return 0;
}

void rings_recover(struct rings *rings, domid_t domid)
{
	grant_ref_t gref;
	evtchn_port_t port;
	struct ring *ring;
	int err;

	if (!xsd_domain_ring(rings->xsd, domid, &gref, &port) ||
	    find(rings, domid) || !rings->platform)
		return;
	err = ring_open(rings, domid, gref, port, &ring);
	if (err) {
		log_limited(&rings->limit, LOG_WARN,
			    "store d%u ring: not found again: %s", domid,
			    strerror(-err));
		return;
	}
	ringconn_orphan(&ring->rc);
	ring->error = ring->rc.error;
	/* It may have asked to reconnect while nobody listened. */
	ring_input(ring);
}

/* ---- a live update
 * -----------------------------------------------------------
 */

bool rings_is_ring(const struct outlet *outlet)
{
	return outlet->ops == &ring_ops;
}

void rings_save(struct outlet *outlet, struct encoder *e)
{
	const struct ring *ring = ring_of(outlet);

	enc_u16(e, ring->domid);
	enc_u32(e, ring->rc.gref);
	enc_u32(e, ring->rc.port);
	enc_u32(e, ring->rc.ring.in_cons);
	enc_u32(e, ring->rc.ring.out_prod);
	enc_u32(e, ring->rc.error);
}

int rings_restore(struct rings *rings, struct xsd_conn *conn, struct decoder *d,
		  void **ret)
{
	uint16_t domid = dec_u16(d);
	grant_ref_t gref = dec_u32(d);
	evtchn_port_t port = dec_u32(d);
	uint32_t in_cons = dec_u32(d), out_prod = dec_u32(d);
	uint32_t error = dec_u32(d);
	struct ring *ring;
	int err;

	if (d->bad || domid >= DOMID_FIRST_RESERVED ||
	    error > XENSTORE_ERROR_PROTO || find(rings, domid))
		return -EBADMSG;
	ring = ring_new(rings, domid);
	if (!ring)
		return -ENOMEM;
	*ret = &ring->outlet;
	err = rings->platform ? ring_attach(ring, gref, port, conn) : -EIO;
	if (err) {
		log_limited(&rings->limit, LOG_WARN,
			    "store d%u ring: not found again: %s", domid,
			    strerror(-err));
		ring->rc.conn = conn;
		list_add_tail(&rings->all, &ring->link);
		outlet_wake(&ring->outlet);
		return 0;
	}
	ringconn_resume(&ring->rc, in_cons, out_prod, error);
	ring->error = error;
	/* There may be bytes whose event the predecessor took. */
	list_add_tail(&rings->ready, &ring->ready);
	return 0;
}

int rings_broker_fd(const struct rings *rings)
{
	return rings->platform ? rings->broker_fd : -1;
}

/* ---- life -------------------------------------------------------------------
 */

int rings_set_broker(struct rings *rings, int fd)
{
	int err;

	if (rings->platform)
		return -EEXIST;
	err = platform_lite_adopt(fd, &rings->platform);
	if (!err)
		rings->broker_fd = fd;
	return err;
}

int rings_open(struct loop *loop, struct xsd *xsd, struct list *queue,
	       struct rings **ret)
{
	struct rings *rings = calloc(1, sizeof(*rings));
	int err;

	if (!rings)
		return -ENOMEM;
	rings->loop = loop;
	rings->xsd = xsd;
	rings->queue = queue;
	rings->resume_ns = UINT64_MAX;
	list_init(&rings->all);
	list_init(&rings->ready);
	err = loop_prepare_add(loop, serve_ready, rings, &rings->serve);
	if (err)
		goto fail;
	err = loop_timer_add(loop, resume_listening, rings, &rings->resume);
	if (err)
		goto fail_prepare;
	*ret = rings;
	return 0;

fail_prepare:
	loop_prepare_remove(rings->serve);
fail:
	free(rings);
	return err;
}

void rings_close(struct rings *rings)
{
	if (!rings)
		return;
	list_for_each_safe(l, tmp, &rings->all)
		ring_close(container_of(l, struct ring, link), true);
	platform_close(rings->platform);
	loop_timer_remove(rings->resume);
	loop_prepare_remove(rings->serve);
	free(rings);
}
