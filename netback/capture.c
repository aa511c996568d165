/* SPDX-License-Identifier: MIT */
/*
 * capture.c - frames into the toolstack's pages; see capture.h. Neighbours:
 * switch.c (shows the frames), frame.c (copies them); vif_capture.c calls. Data
 * thread but for open and close.
 */
#include "netback/capture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/capture.h"
#include "util/clock.h"
#include "util/num.h"

#define DOMID_TOOLSTACK 0u

struct capture {
	struct switch_mirror mirror;
	struct work_source src;
	struct platform *platform;
	struct grant_map map;
	struct evtchn *ev;
	uint32_t snap_bytes;
	bool all, running;
	uint32_t prod;
	uint64_t nr_dropped;
};

static struct capture_header *header(const struct capture *c)
{
	return (struct capture_header *)(uintptr_t)c->map.base;
}

static char PV_SHARED *ring(const struct capture *c)
{
	return (char PV_SHARED *)c->map.base + PV_PAGE_SIZE;
}

int capture_parse(const char *text, struct capture_config *ret)
{
	unsigned long long ref, port, snap;
	char what[4];
	int end = 0;

	if (sscanf(text, "%10llu %10llu %10llu %3s %n", &ref, &port, &snap,
		   what, &end) < 4 ||
	    !text[end])
		return -EINVAL;
	if (strcmp(what, "all") && strcmp(what, "vif"))
		return -EINVAL;
	if (ref > UINT32_MAX - CAPTURE_PAGES || port > UINT32_MAX || !snap ||
	    snap > UINT32_MAX)
		return -ERANGE;
	*ret = (struct capture_config){
		.first_ref = (grant_ref_t)ref,
		.port = (evtchn_port_t)port,
		.snap_bytes = (uint32_t)snap,
		.all = !strcmp(what, "all"),
	};
	return 0;
}

/* Room for so many bytes? The reader's index may be anything. */
static bool has_room(const struct capture *c, uint32_t size_bytes)
{
	/* pairs with the reader's store of cons */
	uint32_t cons = __atomic_load_n(&header(c)->cons, __ATOMIC_ACQUIRE);
	uint32_t used = c->prod - cons;

	return used <= CAPTURE_BYTES && size_bytes <= CAPTURE_BYTES - used;
}

static uint32_t until_end(uint32_t at)
{
	return CAPTURE_BYTES - at % CAPTURE_BYTES;
}

static void capture_see(struct switch_mirror *mirror, const struct frame *frame)
{
	struct capture *c = container_of(mirror, struct capture, mirror);
	struct capture_record r = {
		.size_bytes = frame->size_bytes < c->snap_bytes
				      ? frame->size_bytes
				      : c->snap_bytes,
		.frame_bytes = frame->size_bytes,
	};
	uint32_t padded = (r.size_bytes + CAPTURE_ALIGN - 1) & -CAPTURE_ALIGN;
	struct frame_cursor at = { 0 };
	struct timespec now;

	if (!has_room(c, (uint32_t)sizeof(r) + padded)) {
		__atomic_store_n(&header(c)->nr_dropped, ++c->nr_dropped,
				 __ATOMIC_RELAXED);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	r.time_ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
	/* Both halves of a record lie on a multiple of 8: never apart. */
	frame_write_shared(ring(c) + c->prod % CAPTURE_BYTES, &r, 8);
	frame_write_shared(ring(c) + (c->prod + 8) % CAPTURE_BYTES,
			   (const char *)&r + 8, 8);
	for (uint32_t done = 0; done < r.size_bytes;) {
		uint32_t to = c->prod + (uint32_t)sizeof(r) + done;
		uint32_t n = until_end(to);

		if (n > r.size_bytes - done)
			n = r.size_bytes - done;
		frame_copy_out(frame, &at, ring(c) + to % CAPTURE_BYTES, n);
		done += n;
	}
	c->prod += (uint32_t)sizeof(r) + padded;
	/* pairs with the reader's load of prod */
	__atomic_store_n(&header(c)->prod, c->prod, __ATOMIC_RELEASE);
}

/* ---- the reader's channel ---------------------------------------------- */

static unsigned capture_poll(struct work_source *src, unsigned budget)
{
	(void)src;
	(void)budget;
	return 0;
}

static bool capture_arm(struct work_source *src)
{
	(void)src;
	return false;
}

static void capture_event(struct work_source *src)
{
	struct capture *c = container_of(src, struct capture, src);

	if (evtchn_clear(c->ev) < 0)
		capture_stop(c);
}

static const struct work_source_ops capture_source_ops = {
	.poll = capture_poll,
	.arm = capture_arm,
	.event = capture_event,
};

/* ---- life -------------------------------------------------------------- */

int capture_open(struct platform *platform, const struct capture_config *config,
		 struct capture **ret)
{
	grant_ref_t refs[CAPTURE_PAGES + 1];
	struct capture *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->platform = platform;
	c->snap_bytes = config->snap_bytes;
	c->all = config->all;
	c->mirror.see = capture_see;
	c->src.ops = &capture_source_ops;
	c->src.extra_fd = -1;
	for (uint32_t i = 0; i <= CAPTURE_PAGES; i++)
		refs[i] = config->first_ref + i;
	err = platform_map(platform, DOMID_TOOLSTACK, refs, CAPTURE_PAGES + 1,
			   true, &c->map);
	if (!err)
		err = platform_evtchn_bind(platform, DOMID_TOOLSTACK,
					   config->port, &c->ev);
	if (err) {
		capture_close(c);
		return err;
	}
	c->src.fd = evtchn_fd(c->ev);
	*ret = c;
	return 0;
}

void capture_close(struct capture *c)
{
	if (!c)
		return;
	evtchn_close(c->ev);
	if (c->map.nr_pages)
		platform_unmap(c->platform, &c->map);
	platform_forget(c->platform, DOMID_TOOLSTACK);
	free(c);
}

int capture_start(struct capture *c, struct worker *worker,
		  struct switch_port *port)
{
	int err = worker_add(worker, &c->src);

	if (err)
		return err;
	c->running = true;
	c->prod = __atomic_load_n(&header(c)->cons, __ATOMIC_ACQUIRE);
	__atomic_store_n(&header(c)->prod, c->prod, __ATOMIC_RELEASE);
	__atomic_store_n(&header(c)->started, 1, __ATOMIC_RELEASE);
	switch_mirror(port, c->all, &c->mirror);
	return 0;
}

void capture_stop(struct capture *c)
{
	if (!c->running)
		return;
	c->running = false;
	worker_remove(&c->src);
	list_del(&c->mirror.link);
}
