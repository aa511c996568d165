/* SPDX-License-Identifier: MIT */
/*
 * netfront.h - a split network interface for programs.
 *
 * Frames are sent from and received into buffers in regions shared with the
 * backend: what we send lives in a region that the backend can only read, what
 * we receive in one that it can write.
 *
 * Thread: one thread owns a netfront. Logs: connection changes and backend
 * faults, rate-limited.
 */
#ifndef NETFRONT_NETFRONT_H
#define NETFRONT_NETFRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "abi/grant.h"
#include "util/annotate.h"
#include "util/packet.h"

#define NETFRONT_FRAME_MAX 65550u
#define NETFRONT_SLOTS_MAX 18u /* slots of one frame, extras not counted */

struct netfront;

struct netfront_config {
	const char *run_dir;
	domid_t domid;
	uint32_t handle;     /* 0 = the first vif */
	uint64_t timeout_ns; /* for connecting; 0: 10 s */
};

struct netfront_info {
	uint8_t mac[6];
	uint32_t mtu;
	bool sg, gso_tcpv4, gso_tcpv6, csum_v6;
};

struct netfront_stats {
	uint64_t tx_frames, tx_bytes;
	uint64_t tx_errors;  /* the backend answered with an error */
	uint64_t tx_dropped; /* larger than netif can say, or in flight when
				the backend went */
	uint64_t rx_frames, rx_bytes;
	uint64_t rx_errors; /* the backend said that it could not fill them */
};

/*
 * Connect. why gets one clear sentence on failure: -ENOENT no such vif;
 * -ETIMEDOUT no backend.
 */
int netfront_open(const struct netfront_config *config, struct netfront **ret,
		  char *why, size_t why_size) PV_MUST_CHECK;
void netfront_close(struct netfront *nf); /* NULL is fine */
void netfront_info(const struct netfront *nf, struct netfront_info *ret);
struct netfront_stats netfront_stats(const struct netfront *nf);

/*
 * A frame to be filled in place: iov[*nr] pages of the send region that
 * together hold size_bytes. -EAGAIN no room now. Then netfront_send or
 * netfront_send_abort.
 */
int netfront_send_prepare(struct netfront *nf, size_t size_bytes,
			  struct iovec iov[NETFRONT_SLOTS_MAX],
			  unsigned *nr) PV_MUST_CHECK;
/* Queue the prepared frame, cut to size_bytes; shown by netfront_kick. */
void netfront_send(struct netfront *nf, size_t size_bytes,
		   const struct packet_meta *meta);
void netfront_send_abort(struct netfront *nf);
/* Show the backend what was sent, and the buffers that were given back. */
void netfront_kick(struct netfront *nf);

/*
 * The next received frame, in place: iov[*nr] point into the receive region,
 * where the backend may still write: the caller copies out anything it checks.
 * Offsets, lengths and meta are validated. Valid until netfront_recv_done.
 * 1 = a frame, 0 = none.
 */
int netfront_recv(struct netfront *nf, struct iovec iov[NETFRONT_SLOTS_MAX],
		  unsigned *nr, struct packet_meta *meta) PV_MUST_CHECK;
void netfront_recv_done(struct netfront *nf);

/*
 * Handle events: tx completions, the store, the backend's death and return.
 * No frame may be prepared or received and not done meanwhile. Returns 0; 1
 * when the link state may have changed; -errno lost for good (-ECONNRESET: the
 * broker is gone).
 */
int netfront_poll(struct netfront *nf);
bool netfront_link_up(const struct netfront *nf);
int netfront_fd(const struct netfront *nf);
/* Before sleeping on netfront_fd; true = there is work, do not sleep. */
bool netfront_arm(struct netfront *nf);

#endif /* NETFRONT_NETFRONT_H */
