/* SPDX-License-Identifier: MIT */
/* libmemif.c - see libmemif.h. The protocol is version 2.0. */
#include "bench/libmemif.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/fdmsg.h"

#define COOKIE	    0x3e31f20u
#define VERSION	    0x0200u
#define LOG2_SLOTS  10u
#define SLOTS	    (1u << LOG2_SLOTS)
#define MASK	    (SLOTS - 1)
#define NO_EVENTS   1u /* a ring's flag: do not wake its other end */
#define ADD_TO_THEM 1u /* a ring's flag: from client to server */

/* ---- the protocol -------------------------------------------------------- */

enum message_type {
	ACK = 1,
	HELLO,
	INIT,
	ADD_REGION,
	ADD_RING,
	CONNECT,
	CONNECTED
};

struct message {
	uint16_t type;
	union {
		struct {
			uint16_t version;
			uint32_t id;
			uint8_t mode; /* 0: Ethernet */
			uint8_t secret[24], name[32];
		} __attribute__((packed)) init;
		struct {
			uint16_t index;
			uint64_t size_bytes;
		} __attribute__((packed)) region;
		struct {
			uint16_t flags, index, region;
			uint32_t offset;
			uint8_t log2_slots;
			uint16_t private_bytes;
		} __attribute__((packed)) ring;
		uint8_t all[126];
	};
} __attribute__((packed));
_Static_assert(sizeof(struct message) == 128, "a message");

struct desc {
	uint16_t flags, region;
	uint32_t length, offset, metadata;
};

struct ring {
	uint32_t cookie;
	uint16_t flags, head;
	uint8_t pad[56];
	uint16_t tail;
	uint8_t pad2[62];
	struct desc desc[SLOTS];
};
_Static_assert(sizeof(struct ring) == 128 + 16 * SLOTS, "a ring");

/* What is shared. */
struct region {
	struct ring out, in; /* to them, to us */
	uint8_t buffers[2][SLOTS][MEMIF_FRAME_MAX];
};

struct memif {
	int sock, fd, events[2];
	struct region *region;
	uint16_t out_head, in_tail, in_head;
};

/* ---- connecting ---------------------------------------------------------- */

static int hear(struct memif *m, enum message_type want)
{
	struct message msg;
	unsigned nr_fds = 0;
	ssize_t n = fdmsg_recv(m->sock, &msg, sizeof(msg), NULL, &nr_fds, 0);

	if (n < 0)
		return (int)n;
	return n == sizeof(msg) && msg.type == want ? 0 : -EPROTO;
}

static int ask(struct memif *m, const struct message *msg, int fd,
	       enum message_type want)
{
	int err = fdmsg_send(m->sock, msg, sizeof(*msg), &fd, fd >= 0, 0);

	return err ? err : hear(m, want);
}

static void init_ring(struct memif *m, struct ring *ring, unsigned which)
{
	uint8_t *base = (uint8_t *)m->region;

	ring->cookie = COOKIE;
	ring->flags = NO_EVENTS;
	for (unsigned i = 0; i < SLOTS; i++)
		ring->desc[i] = (struct desc){
			.length = MEMIF_FRAME_MAX,
			.offset =
				(uint32_t)(m->region->buffers[which][i] - base),
		};
}

static int make_region(struct memif *m)
{
	void *at;

	m->fd = memfd_create("memif", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (m->fd < 0 || ftruncate(m->fd, sizeof(*m->region)) ||
	    fcntl(m->fd, F_ADD_SEALS, F_SEAL_SHRINK))
		return -errno;
	at = mmap(NULL, sizeof(*m->region), PROT_READ | PROT_WRITE, MAP_SHARED,
		  m->fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	m->region = at;
	init_ring(m, &m->region->out, 0);
	init_ring(m, &m->region->in, 1);
	for (unsigned i = 0; i < 2; i++) {
		m->events[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (m->events[i] < 0)
			return -errno;
	}
	return 0;
}

static int connect_rings(struct memif *m)
{
	struct message msg = { .type = INIT, .init = { .version = VERSION } };
	int err = hear(m, HELLO);

	if (!err)
		err = ask(m, &msg, -1, ACK);
	msg = (struct message){ .type = ADD_REGION,
				.region.size_bytes = sizeof(*m->region) };
	if (!err)
		err = ask(m, &msg, m->fd, ACK);
	for (unsigned i = 0; i < 2 && !err; i++) {
		msg = (struct message){ .type = ADD_RING };
		msg.ring.flags = i == 0 ? ADD_TO_THEM : 0;
		msg.ring.offset = i == 0 ? offsetof(struct region, out)
					 : offsetof(struct region, in);
		msg.ring.log2_slots = LOG2_SLOTS;
		err = ask(m, &msg, m->events[i], ACK);
	}
	msg = (struct message){ .type = CONNECT };
	return err ? err : ask(m, &msg, -1, CONNECTED);
}

int memif_open(const char *socket, struct memif **ret)
{
	struct memif *m = calloc(1, sizeof(*m));
	int err;

	if (!m)
		return -ENOMEM;
	m->fd = m->events[0] = m->events[1] = -1;
	err = m->sock = unix_connect(socket, SOCK_SEQPACKET);
	if (err >= 0)
		err = make_region(m);
	if (!err)
		err = connect_rings(m);
	if (err) {
		memif_close(m);
		return err;
	}
	/* A server begins with empty rings. All buffers are its to fill. */
	m->in_head = SLOTS;
	__atomic_store_n(&m->region->in.head, m->in_head, __ATOMIC_RELEASE);
	*ret = m;
	return 0;
}

void memif_close(struct memif *m)
{
	if (!m)
		return;
	if (m->sock >= 0)
		close(m->sock);
	if (m->region)
		munmap(m->region, sizeof(*m->region));
	if (m->fd >= 0)
		close(m->fd);
	for (unsigned i = 0; i < 2; i++)
		if (m->events[i] >= 0)
			close(m->events[i]);
	free(m);
}

/* ---- frames -------------------------------------------------------------- */

bool memif_send(struct memif *m, const void *frame, uint32_t size_bytes)
{
	struct ring *ring = &m->region->out;
	unsigned slot = m->out_head & MASK;
	/* Pairs with the server's store when it has taken frames. */
	uint16_t tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);

	if ((uint16_t)(m->out_head - tail) >= SLOTS ||
	    size_bytes > MEMIF_FRAME_MAX)
		return false;
	memcpy(m->region->buffers[0][slot], frame, size_bytes);
	ring->desc[slot].length = size_bytes;
	/* Pairs with the server's load: the frame is there before its slot. */
	__atomic_store_n(&ring->head, ++m->out_head, __ATOMIC_RELEASE);
	return true;
}

unsigned memif_recv(struct memif *m)
{
	struct ring *ring = &m->region->in;
	/* Pairs with the server's store when it has filled buffers. */
	uint16_t tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
	uint16_t nr = (uint16_t)(tail - m->in_tail);

	if (!nr)
		return 0;
	for (; m->in_tail != tail; m->in_tail++)
		ring->desc[m->in_tail & MASK].length = MEMIF_FRAME_MAX;
	m->in_head = (uint16_t)(m->in_head + nr);
	/* Pairs with the server's load: the buffers are as they were. */
	__atomic_store_n(&ring->head, m->in_head, __ATOMIC_RELEASE);
	return nr;
}
