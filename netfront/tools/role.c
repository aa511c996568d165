/* SPDX-License-Identifier: MIT */
/* role.c - see role.h. */
#include "netfront/tools/role.h"

#include <errno.h>
#include <string.h>

#include "util/clock.h"

#define BURST_PER_S 100u /* of the rate: what may be made up for */
/* An echo that did not come by then never will. */
#define ECHO_NS (200 * NS_PER_MS)

/* Others add the counts up meanwhile. */
static void count(struct netbench_counts *counts, uint64_t frames,
		  uint64_t bytes)
{
	hist_add(&counts->frames, frames);
	hist_add(&counts->bytes, bytes);
}

/* ---- sending ------------------------------------------------------------- */

static uint32_t next_size(struct role *r)
{
	return r->config->sizes[r->size_at];
}

/* The next frame's turn is when its part of the rate has come. */
static void pace(struct role *r, uint64_t now_ns)
{
	uint64_t cost = r->config->rate_is_bytes ? next_size(r) : 1;

	if (r->rate)
		r->due_ns = bucket_take(&r->bucket, cost, now_ns);
}

static uint32_t write_next(struct role *r, uint8_t *frame, uint64_t now_ns)
{
	struct probe probe = {
		.run = r->config->run,
		.flow = (uint16_t)r->flow,
		.seq = r->seqs[r->flow]++,
		.sent_ns = now_ns,
	};
	uint32_t size_bytes = next_size(r);

	probe_put(frame, &r->headers[r->size_at], &probe);
	if (++r->size_at == r->config->nr_sizes)
		r->size_at = 0;
	r->flow += r->flow_step;
	if (r->flow >= r->config->nr_flows)
		r->flow = r->first_flow;
	return size_bytes;
}

/* Up to nr frames that are due. Returns how many. */
static unsigned send_frames(struct role *r, unsigned nr)
{
	struct netfront_frame frames[NETFRONT_BURST_MAX];
	uint64_t now_ns = clock_now_ns(), bytes = 0;
	unsigned n = 0;

	if (nr > NETFRONT_BURST_MAX)
		nr = NETFRONT_BURST_MAX;
	if (nr > r->left)
		nr = (unsigned)r->left;
	if (!nr || r->due_ns > now_ns)
		return 0;
	nr = netfront_queue_prepare(r->queue, frames, nr, r->room_bytes);
	while (n < nr && r->due_ns <= now_ns) {
		frames[n].size_bytes =
			write_next(r, frames[n].iov[0].iov_base, now_ns);
		bytes += frames[n++].size_bytes;
		pace(r, now_ns);
	}
	if (!nr)
		return 0;
	netfront_queue_send(r->queue, frames, n);
	netfront_queue_kick(r->queue);
	if (r->left != UINT64_MAX)
		r->left -= n;
	r->asked_ns = now_ns;
	count(&r->sent, n, bytes);
	return n;
}

/* ---- receiving ----------------------------------------------------------- */

/* Is it one that this role waits for? */
static bool is_ours(const struct role *r, const struct probe *p)
{
	switch (r->mode) {
	case NETBENCH_SEND: return false;
	case NETBENCH_RECEIVE:
		return !p->reply && (!r->both || p->run == r->config->run);
	case NETBENCH_ECHO: return p->reply && p->run == r->config->run;
	case NETBENCH_REFLECT: return !p->reply;
	}
	return false;
}

static void arrived(struct role *r, const struct netfront_frame *frame,
		    const struct probe *probe, uint64_t now_ns)
{
	if (!tracks_add(r->tracks, probe->run, probe->flow, probe->seq))
		return; /* twice */
	if (!r->first_ns)
		r->first_ns = now_ns;
	r->heard_ns = now_ns;
	count(&r->received, 1, frame->size_bytes);
	/* Another machine's clock says nothing. */
	if ((r->both || r->mode == NETBENCH_ECHO) && now_ns >= probe->sent_ns)
		hist_record(&r->latency_ns, now_ns - probe->sent_ns);
	if (r->mode == NETBENCH_ECHO && r->nr_waiting)
		r->nr_waiting--;
}

/* Keeps those that are ours at the start of frames. Returns how many. */
static unsigned look_at(struct role *r, struct netfront_frame *frames,
			unsigned nr)
{
	uint64_t now_ns = clock_now_ns();
	unsigned nr_ours = 0;

	for (unsigned i = 0; i < nr; i++) {
		const struct iovec *piece = &frames[i].iov[0];
		struct probe probe;

		if (probe_get(piece->iov_base, piece->iov_len, &probe) ||
		    !is_ours(r, &probe)) {
			r->nr_foreign++;
			continue;
		}
		if (r->tracks)
			arrived(r, &frames[i], &probe, now_ns);
		frames[nr_ours++] = frames[i];
	}
	return nr_ours;
}

/* ---- sending back -------------------------------------------------------- */

static void copy_frame(const struct netfront_frame *to,
		       const struct netfront_frame *from)
{
	size_t to_at = 0, from_at = 0;
	uint32_t i = 0, k = 0;

	while (i < to->nr && k < from->nr) {
		size_t n = to->iov[i].iov_len - to_at;

		if (n > from->iov[k].iov_len - from_at)
			n = from->iov[k].iov_len - from_at;
		memcpy((uint8_t *)to->iov[i].iov_base + to_at,
		       (const uint8_t *)from->iov[k].iov_base + from_at, n);
		to_at += n;
		from_at += n;
		if (to_at == to->iov[i].iov_len) {
			to_at = 0;
			i++;
		}
		if (from_at == from->iov[k].iov_len) {
			from_at = 0;
			k++;
		}
	}
}

static void reflect(struct role *r, const struct netfront_frame *came,
		    unsigned nr)
{
	struct netfront_frame frames[NETFRONT_BURST_MAX];
	uint64_t bytes = 0;
	uint32_t most = 0;
	unsigned room;

	for (unsigned i = 0; i < nr; i++)
		if (came[i].size_bytes > most)
			most = came[i].size_bytes;
	room = netfront_queue_prepare(r->queue, frames, nr, most);
	for (unsigned i = 0; i < room; i++) {
		copy_frame(&frames[i], &came[i]);
		probe_turn(frames[i].iov[0].iov_base, r->mac);
		frames[i].size_bytes = came[i].size_bytes;
		bytes += came[i].size_bytes;
	}
	netfront_queue_send(r->queue, frames, room);
	r->nr_unanswered += nr - room;
	count(&r->sent, room, bytes);
}

/* ---- both ---------------------------------------------------------------- */

static bool receive(struct role *r)
{
	struct netfront_frame frames[NETFRONT_BURST_MAX];
	unsigned nr, nr_ours;

	nr = netfront_queue_recv(r->queue, frames, NETFRONT_BURST_MAX);
	if (!nr)
		return false;
	nr_ours = look_at(r, frames, nr);
	if (r->mode == NETBENCH_REFLECT && nr_ours)
		reflect(r, frames, nr_ours);
	netfront_queue_recv_done(r->queue);
	netfront_queue_kick(r->queue);
	return true;
}

bool role_step(struct role *r, bool may_send)
{
	bool worked = receive(r);
	unsigned nr = NETFRONT_BURST_MAX;

	if (!may_send || !role_sends(r))
		return worked;
	if (r->mode == NETBENCH_ECHO) {
		if (r->nr_waiting && clock_now_ns() - r->asked_ns > ECHO_NS)
			r->nr_waiting = 0;
		nr = r->config->depth - r->nr_waiting;
	}
	nr = send_frames(r, nr);
	if (r->mode == NETBENCH_ECHO)
		r->nr_waiting += nr;
	return worked || nr;
}

int role_open(struct role *r, uint64_t now_ns)
{
	const struct netbench_config *c = r->config;
	uint64_t burst = r->rate / BURST_PER_S;

	for (uint32_t i = 0; i < c->nr_sizes; i++) {
		probe_header_init(&r->headers[i], &c->path, c->sizes[i]);
		if (c->sizes[i] > r->room_bytes)
			r->room_bytes = c->sizes[i];
	}
	r->flow = r->first_flow;
	bucket_set(&r->bucket, r->rate, burst ? burst : 1, now_ns);
	return role_receives(r) ? tracks_open(&r->tracks) : 0;
}

void role_close(struct role *r)
{
	tracks_close(r->tracks);
}
