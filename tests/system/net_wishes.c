/* SPDX-License-Identifier: MIT */
/*
 * net_wishes.c - two guests that use netfront's library against a real backend:
 * the second asks for a hash (algorithm, key, mapping) of what comes in, and
 *for room before it. Used by net-wishes.sh.
 *
 *	net_wishes RUN_DIR DOMID DOMID
 *
 * Prints "ready" once both are connected. Then, for each line that it reads, it
 * sends the flows of the published vectors from the first to the second until
 * every one has arrived, with its published hash, from the queue that the
 * mapping names, and with the room: prints "well", or what was not so. 1: the
 * guests cannot connect.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netfront/netfront.h"
#include "tests/unit/rss_vectors.h"
#include "util/clock.h"

#define NR_QUEUES   4u
#define NR_MAPPING  128u
#define HEADROOM    256u
#define FRAME_BYTES 100u
#define WAIT_NS	    (10 * NS_PER_S)
#define RETRY_NS    (100 * NS_PER_MS) /* a dying backend loses frames */

static struct netfront *from, *to;

static struct netfront *open_front(const char *run_dir, const char *domid,
				   uint32_t nr_queues, uint32_t headroom_bytes)
{
	struct netfront_config config = {
		.run_dir = run_dir,
		.domid = (uint16_t)strtoul(domid, NULL, 10),
		.nr_queues = nr_queues,
		.headroom_bytes = headroom_bytes,
	};
	struct netfront *nf = NULL;
	char why[256];

	if (netfront_open(&config, &nf, why, sizeof(why)))
		fprintf(stderr, "net_wishes: %s\n", why);
	return nf;
}

/* Not what anybody would have come to without it. */
static uint8_t queue_of(uint32_t hash)
{
	return (uint8_t)(NR_QUEUES - 1 - hash % NR_MAPPING % NR_QUEUES);
}

static int wish(void)
{
	struct netfront_hash hash = {
		.types = NETFRONT_HASH_ALL,
		.key_bytes = sizeof(rss_vector_key),
		.nr_mapping = NR_MAPPING,
	};

	memcpy(hash.key, rss_vector_key, sizeof(rss_vector_key));
	for (uint32_t i = 0; i < NR_MAPPING; i++)
		hash.mapping[i] = queue_of(i);
	return netfront_set_hash(to, &hash);
}

/* TCP or UDP over IPv4 or IPv6, of which only what a hash is made of is right.
 */
static void write_frame(uint8_t *p, const struct rss_vector *v, bool tcp)
{
	bool ipv6 = strchr(v->src, ':') != NULL;
	uint8_t *ports = p + 14 + (ipv6 ? 40 : 20);
	uint16_t src = htons(v->src_port), dst = htons(v->dst_port);
	struct netfront_info info;

	memset(p, 0, FRAME_BYTES);
	netfront_info(to, &info);
	memcpy(p, info.mac, 6);
	netfront_info(from, &info);
	memcpy(p + 6, info.mac, 6);
	if (ipv6) {
		memcpy(p + 12, "\x86\xdd\x60", 3);
		p[19] = FRAME_BYTES - 54;
		p[20] = tcp ? 6 : 17;
		inet_pton(AF_INET6, v->src, p + 22);
		inet_pton(AF_INET6, v->dst, p + 38);
	} else {
		memcpy(p + 12, "\x08\x00\x45", 3);
		p[17] = FRAME_BYTES - 14;
		p[23] = tcp ? 6 : 17;
		inet_pton(AF_INET, v->src, p + 26);
		inet_pton(AF_INET, v->dst, p + 30);
	}
	memcpy(ports, &src, 2);
	memcpy(ports + 2, &dst, 2);
	ports[12] = 0x50; /* TCP: 20 bytes of header */
}

static void send_frame(const struct rss_vector *v, bool tcp)
{
	struct netfront_frame frame;

	if (!netfront_prepare(from, &frame, 1, FRAME_BYTES))
		return;
	write_frame(frame.iov[0].iov_base, v, tcp);
	(void)netfront_send(from, &frame, 1);
	netfront_kick(from);
}

/* One frame, if there is one that is not the bridge's, to everybody. Returns
 * the queue that it came from, or -1. */
static int receive(struct netfront_frame *ret)
{
	int queue = -1;

	for (uint32_t i = 0; i < NR_QUEUES && queue < 0; i++) {
		struct netfront_queue *q = netfront_queue(to, i);

		if (netfront_queue_recv(q, ret, 1) == 1 &&
		    !(*(uint8_t *)ret->iov[0].iov_base & 1))
			queue = (int)i;
		netfront_queue_recv_done(q);
		netfront_queue_kick(q);
	}
	return queue;
}

static bool serve(void)
{
	bool alive = netfront_poll(from) >= 0;

	for (uint32_t i = 0; i < NR_QUEUES; i++)
		alive = netfront_queue_poll(netfront_queue(to, i)) >= 0 &&
			alive;
	return alive;
}

/*
 * Until the frame is there as it should be. Before a new backend has heard what
 * is wished, frames come without; with a hash at all, it is the right one.
 */
static const char *arrives(const struct rss_vector *v, bool tcp)
{
	uint32_t hash = tcp ? v->tcp : v->plain;
	uint64_t now_ns = clock_now_ns(), end_ns = now_ns + WAIT_NS;
	uint64_t send_ns = 0;

	for (; now_ns < end_ns; now_ns = clock_now_ns()) {
		struct netfront_frame frame;
		int queue;

		if (now_ns >= send_ns) {
			send_frame(v, tcp);
			send_ns = now_ns + RETRY_NS;
		}
		queue = receive(&frame);
		if (!serve())
			return "the connection is lost";
		if (queue < 0)
			poll(NULL, 0, 1);
		else if (frame.size_bytes != FRAME_BYTES)
			return "another frame";
		else if (frame.headroom_bytes != HEADROOM)
			return "not the room that was asked for";
		else if (frame.hash_type && frame.hash == hash &&
			 queue == queue_of(hash))
			return NULL;
	}
	return "no frame with that hash from that queue";
}

static const char *all_arrive(void)
{
	const char *wrong = NULL;
	struct netfront_info info;

	for (unsigned i = 0; i < NR_RSS_VECTORS && !wrong; i++) {
		wrong = arrives(&rss_vectors[i], true);
		if (!wrong)
			wrong = arrives(&rss_vectors[i], false);
	}
	netfront_info(to, &info);
	if (!wrong && info.hash_types != NETFRONT_HASH_ALL)
		wrong = "the hash is not said to be in force";
	return wrong;
}

/* A line to read? Serves both guests until there is. */
static bool next_line(char *line, int size)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };

	while (poll(&in, 1, 1) == 0)
		if (!serve())
			return false;
	return fgets(line, size, stdin) != NULL;
}

int main(int argc, char **argv)
{
	int status = 1;
	char line[64];

	if (argc != 4) {
		fprintf(stderr, "usage: net_wishes RUN_DIR DOMID DOMID\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	from = open_front(argv[1], argv[2], 1, 0);
	if (from)
		to = open_front(argv[1], argv[3], NR_QUEUES, HEADROOM);
	if (to && !wish()) {
		puts("ready");
		while (next_line(line, sizeof(line))) {
			const char *wrong = all_arrive();

			puts(wrong ? wrong : "well");
		}
		status = 0;
	}
	netfront_close(to);
	netfront_close(from);
	return status;
}
