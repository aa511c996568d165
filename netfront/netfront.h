/* SPDX-License-Identifier: MIT */
/*
 * netfront.h - a split network interface for programs: bursts, zero-copy.
 *
 *	netfront_open(&config, &nf)
 *	n = netfront_prepare(nf, frames, 32, 1514)	room in the region
 *	... write the frames, set size_bytes ...
 *	netfront_send(nf, frames, n)
 *	n = netfront_recv(nf, frames, 64)
 *	... read the frames ...
 *	netfront_recv_done(nf)
 *	netfront_kick(nf)
 *	netfront_poll(nf)  or  wait on netfront_fd(nf), then netfront_poll(nf)
 *
 * Frames lie in regions that are shared with the backend: what we send in one
 * that it can only read, what we receive in one that it can write; nothing else
 * of the program's memory is ever visible to it. When the driver domain dies
 * the link goes down; it comes up again with its successor.
 *
 * Thread: by default one thread owns a netfront and calls everything. A program
 * with several threads asks for several queues (config.nr_queues), each owned
 * by one thread, and gets them by netfront_queue:
 *
 * - Only its owner calls what takes the queue. Threads may take turns at being
 *   its owner, under a lock of their own.
 * - netfront_send, _recv and so on are those of queue 0, whose owner serves the
 *   store as well: it has to poll or to sleep on netfront_fd, always.
 * - Any thread may call netfront_info, _link_up, _stats and _queue_stats.
 * - netfront_close is called when no other thread is in here any more.
 *
 * A backend may have fewer queues than were asked for: those from
 * netfront_info's nr_queues on are down and take no frames.
 * Logs: connection changes and backend faults, rate-limited.
 */
#ifndef NETFRONT_NETFRONT_H
#define NETFRONT_NETFRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* This header stands alone: programs outside of the tree have only it. */
#define NETFRONT_MUST_CHECK __attribute__((warn_unused_result))

struct netfront;
struct netfront_queue;

#define NETFRONT_QUEUES_MAX 16u
#define NETFRONT_BURST_MAX  64u
#define NETFRONT_FRAME_MAX  65550u /* room for one, and what may come in */
#define NETFRONT_SEND_MAX   65535u /* what netif can say */
#define NETFRONT_SLOTS_MAX  18u	   /* pieces of one frame */

#define NETFRONT_HEADROOM_MAX 2048u

/* Zero is a good value of everything but domid. */
struct netfront_config {
	const char *run_dir; /* NULL: the default */
	uint16_t domid;	     /* whose vif: our own identity */
	uint32_t handle;     /* 0 = the first vif */
	uint64_t timeout_ns; /* for connecting; 0: 10 s */
	uint32_t nr_queues;  /* 0: 1; at most NETFRONT_QUEUES_MAX */
	/* Bytes wanted free before each frame that comes in, at most
	 * NETFRONT_HEADROOM_MAX: a frame's headroom_bytes says what there is.
	 */
	uint32_t headroom_bytes;
};

/* Of the connection as it is: another backend may come with other values. */
struct netfront_info {
	uint8_t mac[6];
	uint32_t mtu;
	bool link_up;	    /* connected, and the backend has a carrier */
	uint32_t nr_queues; /* in use, <= config's */
	/* What the backend takes: frames larger than a page, frames that it is
	 * to cut, blank checksums over IPv6 (over IPv4 always). */
	bool sg, gso_tcpv4, gso_tcpv6, csum_v6;
	uint32_t hash_types; /* in force: netfront_set_hash's, or 0 */
};

/* Since opening; the names are those of `ip -s link`. */
struct netfront_stats {
	uint64_t tx_packets, tx_bytes;
	uint64_t tx_errors;  /* slots that the backend answered with an error */
	uint64_t tx_dropped; /* not to be sent as they were, or in flight when
				the backend went */
	uint64_t rx_packets, rx_bytes;
	uint64_t rx_errors; /* the backend said that it could not fill them */
};

enum netfront_gso {
	NETFRONT_GSO_NONE,
	NETFRONT_GSO_TCPV4,
	NETFRONT_GSO_TCPV6
};

/* Kinds of hashes: of the addresses, or of these and TCP's ports. */
#define NETFRONT_HASH_IPV4     0x1u
#define NETFRONT_HASH_IPV4_TCP 0x2u
#define NETFRONT_HASH_IPV6     0x4u
#define NETFRONT_HASH_IPV6_TCP 0x8u
#define NETFRONT_HASH_ALL      0xfu

#define NETFRONT_HASH_KEY_MAX	  40u
#define NETFRONT_HASH_MAPPING_MAX 128u

/*
 * Toeplitz's hash (RSS) of frames that come in, and the queue that each comes
 * to: mapping[hash % nr_mapping], without a mapping the hash itself, both
 * modulo the queues in use. A frame gets the largest of the kinds that were
 * asked for and that it has; one that has none counts as 0.
 */
struct netfront_hash {
	uint32_t types;	     /* NETFRONT_HASH_*; 0: none, the backend chooses
				queues */
	uint32_t key_bytes;  /* zeros follow */
	uint32_t nr_mapping; /* entries; 0: no mapping */
	uint8_t key[NETFRONT_HASH_KEY_MAX];
	uint8_t mapping[NETFRONT_HASH_MAPPING_MAX];
};

/* The L4 checksum holds only the pseudo header: the receiver completes it. */
#define NETFRONT_CSUM_BLANK 0x1u
/* The sender vouches for the checksum. */
#define NETFRONT_DATA_VALIDATED 0x2u

struct netfront_frame {
	const struct iovec *iov; /* the library's: the frame's pieces, in order,
				  * or the room for them */
	uint32_t nr;		 /* of pieces, <= NETFRONT_SLOTS_MAX */
	uint32_t size_bytes;	 /* of the frame; the room when prepared */
	uint8_t flags;
	uint8_t gso;	   /* enum netfront_gso */
	uint16_t gso_size; /* payload bytes per segment */
	/* Of received ones only: */
	uint16_t headroom_bytes; /* free before iov[0], and writable */
	uint8_t hash_type;	 /* the NETFRONT_HASH_* of hash; 0: none */
	uint32_t hash;
};

/*
 * Connect. why (may be NULL) gets one clear sentence on failure: -ENOENT no
 * such vif; -ETIMEDOUT no backend; -EBUSY another process has the vif open;
 * -EINVAL the config.
 */
int netfront_open(const struct netfront_config *config, struct netfront **ret,
		  char *why, size_t why_size) NETFRONT_MUST_CHECK;
void netfront_close(struct netfront *nf); /* NULL is fine */
void netfront_info(struct netfront *nf, struct netfront_info *ret);
bool netfront_link_up(struct netfront *nf);
struct netfront_stats netfront_stats(struct netfront *nf); /* all queues' */

/*
 * Queue 0's owner: want this hash, of this backend and of those after it. Not
 * waited for: netfront_info says what is in force, which is nothing as long as
 * a backend has no control ring or refuses. -EINVAL.
 */
int netfront_set_hash(struct netfront *nf,
		      const struct netfront_hash *hash) NETFRONT_MUST_CHECK;

/* Queue nr < config.nr_queues, else NULL. */
struct netfront_queue *netfront_queue(struct netfront *nf, uint32_t nr);
struct netfront_stats netfront_queue_stats(struct netfront_queue *q);

/*
 * Room for nr (<= NETFRONT_BURST_MAX) frames of at most room_bytes each (<=
 * NETFRONT_FRAME_MAX), flags and segmentation zeroed: iov[nr] pieces of the
 * send region. Returns for how many there is room now: 0 when the link is down,
 * too. The next call is netfront_queue_send. Frames to be segmented need
 * room_bytes of more than 2 KiB to be sure of a slot for saying so.
 */
unsigned netfront_queue_prepare(struct netfront_queue *q,
				struct netfront_frame *frames, unsigned nr,
				size_t room_bytes) NETFRONT_MUST_CHECK;
/*
 * Queue the first nr prepared frames, in order, each cut to its size_bytes; 0
 * leaves a frame out. The room of the others is given back. A frame that the
 * backend cannot take is dropped and counted. Shown by netfront_queue_kick.
 * Returns how many were queued.
 */
unsigned netfront_queue_send(struct netfront_queue *q,
			     const struct netfront_frame *frames, unsigned nr);

/*
 * Up to nr received frames, in place: the pieces point into the receive region,
 * where the backend may still write, so the caller copies out anything that it
 * checks. Offsets, lengths and flags are validated. Returns how many; they are
 * valid until netfront_queue_recv_done, which gives all of them back.
 */
unsigned netfront_queue_recv(struct netfront_queue *q,
			     struct netfront_frame *frames,
			     unsigned nr) NETFRONT_MUST_CHECK;
void netfront_queue_recv_done(struct netfront_queue *q);

/* Show the backend what was sent, and the buffers that were given back. */
void netfront_queue_kick(struct netfront_queue *q);

/*
 * Take completions; on queue 0 also handle the store, the backend's death and
 * its return. Cheap: a busy thread calls it once a burst. Returns 0; 1 when
 * what netfront_info says may have changed; -errno when the vif is lost for
 * good (-ESHUTDOWN it was detached, -ECONNRESET the broker is gone).
 */
int netfront_queue_poll(struct netfront_queue *q);
/*
 * Readable when netfront_queue_poll or _recv has something to do. Before
 * sleeping on it call netfront_queue_arm; when that says true, go on instead.
 */
int netfront_queue_fd(const struct netfront_queue *q);
bool netfront_queue_arm(struct netfront_queue *q);

/* Queue 0's, for programs of one thread. */
unsigned netfront_prepare(struct netfront *nf, struct netfront_frame *frames,
			  unsigned nr, size_t room_bytes) NETFRONT_MUST_CHECK;
unsigned netfront_send(struct netfront *nf, const struct netfront_frame *frames,
		       unsigned nr);
unsigned netfront_recv(struct netfront *nf, struct netfront_frame *frames,
		       unsigned nr) NETFRONT_MUST_CHECK;
void netfront_recv_done(struct netfront *nf);
void netfront_kick(struct netfront *nf);
int netfront_poll(struct netfront *nf);
int netfront_fd(const struct netfront *nf);
bool netfront_arm(struct netfront *nf);

#endif /* NETFRONT_NETFRONT_H */
