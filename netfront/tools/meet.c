/* SPDX-License-Identifier: MIT */
/* meet.c - see meet.h. Called by netbench.c. */
#include "netfront/tools/meet.h"

#include <errno.h>
#include <unistd.h>

#include "tools/stop.h"
#include "util/clock.h"

#define MEET_NS	   (3 * NS_PER_S)
#define AGAIN_NS   (10 * NS_PER_MS) /* between two probes */
#define SILENCE_NS (5 * NS_PER_MS)  /* then none is under way */
#define LOOK_US	   200u

static void send_probe(struct netfront *nf, const struct probe_header *header,
		       uint16_t run)
{
	const struct probe probe = { .run = run };
	struct netfront_frame frame;

	if (!netfront_prepare(nf, &frame, 1, PROBE_BYTES_MIN))
		return;
	probe_put(frame.iov[0].iov_base, header, &probe);
	frame.size_bytes = PROBE_BYTES_MIN;
	netfront_send(nf, &frame, 1);
	netfront_kick(nf);
}

static bool is_probe(const struct netfront_frame *frame, uint16_t run)
{
	struct probe probe;

	return !probe_get(frame->iov[0].iov_base, frame->iov[0].iov_len,
			  &probe) &&
	       probe.run == run;
}

/* Did any arrive, on whatever queue? */
static bool look(struct netfront *nf, uint16_t run)
{
	struct netfront_frame frames[NETFRONT_BURST_MAX];
	struct netfront_queue *q;
	bool arrived = false;

	for (uint32_t i = 0; (q = netfront_queue(nf, i)) != NULL; i++) {
		unsigned nr =
			netfront_queue_recv(q, frames, NETFRONT_BURST_MAX);

		for (unsigned k = 0; k < nr; k++)
			arrived |= is_probe(&frames[k], run);
		netfront_queue_recv_done(q);
		netfront_queue_kick(q);
	}
	return arrived;
}

static int poll_all(struct netfront *nf)
{
	struct netfront_queue *q;
	int err = 0;

	for (uint32_t i = 0; err >= 0 && (q = netfront_queue(nf, i)) != NULL;
	     i++)
		err = netfront_queue_poll(q);
	return err < 0 ? err : 0;
}

int meet(struct netfront *const ends[2], const struct probe_path *path,
	 uint16_t run)
{
	uint64_t now_ns = clock_now_ns(), end_ns = now_ns + MEET_NS;
	uint64_t again_ns = now_ns, heard_ns = 0;
	struct probe_header header;
	int err = 0;

	probe_header_init(&header, path, PROBE_BYTES_MIN);
	for (; !err && !stop_asked; now_ns = clock_now_ns()) {
		if (!heard_ns && now_ns >= again_ns) {
			send_probe(ends[0], &header, run);
			again_ns = now_ns + AGAIN_NS;
		}
		if (look(ends[1], run))
			heard_ns = now_ns;
		if (heard_ns ? now_ns - heard_ns > SILENCE_NS : now_ns > end_ns)
			return heard_ns ? 0 : -ETIMEDOUT;
		err = poll_all(ends[0]);
		if (!err)
			err = poll_all(ends[1]);
		usleep(LOOK_US);
	}
	return err;
}
