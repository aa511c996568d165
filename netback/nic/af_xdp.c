/* SPDX-License-Identifier: MIT */
/*
 * af_xdp.c - an existing interface, through an AF_XDP socket.
 *
 * All frames of the interface come here and none to the host. They lie in
 * memory shared with the kernel, so a burst is received without a system call,
 * and sent with one for many frames. There is no vnet header: what a guest
 * leaves to its receiver, segmentation and checksums, is done here before a
 * frame is sent.
 *
 * A frame from the kernel's own other end (veth) has a blank checksum and no
 * word about that: the pseudo header's sum in its place says it. Where a whole
 * checksum happens to look like that, filling it in gives the same value again.
 *
 * Neighbours: af_xdp_acquire.c (monitor), af_xdp_rings.c, link.c. Thread: the
 * data thread.
 */
#include "netback/nic/af_xdp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netback/nic/private.h"
#include "util/list.h"
#include "util/segment.h"

struct af_xdp {
	struct nic nic;
	int fds[XSK_NR_FDS];
	struct xsk xsk;
	uint32_t frame_max;  /* bytes of a frame that the interface takes */
	int gone;	     /* 0, or what recv says */
	unsigned nr_refused; /* since the last flush */
};

static int af_xdp_open(const struct nic_desc *desc, const int *fds,
		       struct nic **ret)
{
	struct af_xdp *ax;
	int err;

	if (desc->nr_queues != 1 || desc->nr_fds != XSK_NR_FDS)
		return -EINVAL;
	ax = calloc(1, sizeof(*ax));
	if (!ax)
		return -ENOMEM;
	err = xsk_open(&ax->xsk, fds);
	if (err) {
		free(ax);
		return err;
	}
	ax->nic.ops = &nic_af_xdp;
	ax->nic.desc = *desc;
	ax->frame_max = desc->mtu + PACKET_ETH_BYTES + FRAME_TAG_BYTES;
	memcpy(ax->fds, fds, sizeof(ax->fds));
	*ret = &ax->nic;
	return 0;
}

static void af_xdp_close(struct nic *nic)
{
	struct af_xdp *ax = container_of(nic, struct af_xdp, nic);

	xsk_close(&ax->xsk);
	for (unsigned i = 0; i < XSK_NR_FDS; i++)
		close(ax->fds[i]);
	free(ax);
}

/* ---- sending ----------------------------------------------------------- */

/*
 * Room for so many. What the kernel has not been told of makes room with the
 * next flush, or now for segments, which are many.
 */
static bool make_room(struct af_xdp *ax, uint32_t nr)
{
	if (xsk_has_room(&ax->xsk, nr))
		return true;
	if (nr == 1 && xsk_has_news(&ax->xsk))
		return false;
	ax->nr_refused += xsk_kick(&ax->xsk);
	return xsk_has_room(&ax->xsk, nr);
}

static int send_one(struct af_xdp *ax, const struct frame *frame)
{
	struct frame_cursor at = { 0 };
	uint8_t *buf;
	int err = 0;

	if (frame->size_bytes > ax->frame_max)
		return -EMSGSIZE;
	if (!make_room(ax, 1))
		return -EAGAIN;
	buf = xsk_send_begin(&ax->xsk);
	frame_copy_out(frame, &at, (void PV_SHARED *)buf, frame->size_bytes);
	if (frame->meta.csum_blank)
		err = packet_fill_csum(buf, frame->size_bytes);
	if (!err)
		xsk_send_end(&ax->xsk, frame->size_bytes, true);
	return err;
}

/* All of its segments or none. */
static int send_segments(struct af_xdp *ax, const struct frame *frame)
{
	uint8_t head[PACKET_HEAD_MAX];
	struct frame_cursor at = { 0 };
	struct segmenter s;
	struct segment seg;
	int err = 0;

	if (frame->layout.payload + frame->meta.gso_size > ax->frame_max)
		return -EMSGSIZE;
	segmenter_init(&s, frame->head, &frame->layout, frame->meta.gso_size);
	if (!make_room(ax, segmenter_left(&s)))
		return -EAGAIN;
	frame_copy_out(frame, &at, (void PV_SHARED *)head,
		       frame->layout.payload);
	while (!err && segmenter_next(&s, head, &seg)) {
		uint32_t bytes = seg.head_bytes + seg.payload_bytes;
		uint8_t *buf = xsk_send_begin(&ax->xsk);

		memcpy(buf, head, seg.head_bytes);
		frame_copy_out(frame, &at,
			       (void PV_SHARED *)(buf + seg.head_bytes),
			       seg.payload_bytes);
		err = packet_fill_csum(buf, bytes);
		if (!err)
			xsk_send_end(&ax->xsk, bytes, !segmenter_left(&s));
	}
	return err;
}

static int af_xdp_send(struct nic *nic, unsigned queue,
		       const struct frame *frame)
{
	struct af_xdp *ax = container_of(nic, struct af_xdp, nic);

	(void)queue;
	if (ax->gone)
		return ax->gone;
	return frame->meta.gso == PACKET_GSO_NONE ? send_one(ax, frame)
						  : send_segments(ax, frame);
}

static unsigned af_xdp_flush(struct nic *nic)
{
	struct af_xdp *ax = container_of(nic, struct af_xdp, nic);
	unsigned nr = ax->nr_refused + xsk_kick(&ax->xsk);

	ax->nr_refused = 0;
	return nr;
}

/* ---- receiving --------------------------------------------------------- */

static struct packet_meta guess_meta(const uint8_t *data, uint32_t size_bytes)
{
	struct packet_meta meta = { 0 };
	struct packet_layout at;
	uint16_t sum;

	if (packet_locate(data,
			  size_bytes < PACKET_HEAD_MAX ? size_bytes
						       : PACKET_HEAD_MAX,
			  size_bytes, &at))
		return meta;
	memcpy(&sum, data + at.csum, sizeof(sum));
	meta.csum_blank = sum == packet_pseudo_sum(data, &at);
	meta.data_validated = meta.csum_blank;
	return meta;
}

/* Nothing is there to be received: for good? */
static int look_for_error(struct af_xdp *ax)
{
	int err = 0;
	socklen_t size = sizeof(err);

	if (!ax->gone &&
	    !getsockopt(ax->fds[XSK_SOCKET], SOL_SOCKET, SO_ERROR, &err,
			&size) &&
	    err)
		ax->gone = -ENODEV;
	return ax->gone;
}

static int af_xdp_recv(struct nic *nic, unsigned queue,
		       struct nic_frame *frames, unsigned max)
{
	struct af_xdp *ax = container_of(nic, struct af_xdp, nic);
	uint32_t size_bytes;
	unsigned nr = 0, i;

	(void)queue;
	xsk_refill(&ax->xsk);
	for (i = 0; i < max; i++) {
		const uint8_t *data = xsk_receive(&ax->xsk, &size_bytes);

		if (!data)
			break;
		if (size_bytes < PACKET_ETH_BYTES) {
			nic->nr_alien++;
			continue;
		}
		frames[nr++] = (struct nic_frame){
			.data = data,
			.size_bytes = size_bytes,
			.meta = guess_meta(data, size_bytes),
		};
	}
	return i ? (int)nr : look_for_error(ax);
}

static int af_xdp_wait_fd(struct nic *nic, unsigned queue)
{
	(void)queue;
	return container_of(nic, struct af_xdp, nic)->fds[XSK_SOCKET];
}

static int af_xdp_link(struct nic *nic, struct nic_link *ret)
{
	return link_state(&nic->desc, true, ret);
}

const struct nic_ops nic_af_xdp = {
	.name = "af_xdp",
	.help = "an existing interface, all of it, without the host's stack",
	.acquire = af_xdp_acquire,
	.open = af_xdp_open,
	.close = af_xdp_close,
	.send = af_xdp_send,
	.flush = af_xdp_flush,
	.recv = af_xdp_recv,
	.wait_fd = af_xdp_wait_fd,
	.link = af_xdp_link,
};
