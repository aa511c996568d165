/* SPDX-License-Identifier: MIT */
/* libvhost_open.c - libvhost.h's conversation with the server: the setup. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench/libvhost_private.h"
#include "util/num.h"

enum {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	SET_VRING_ENABLE = 18,
	GET_CONFIG = 24,
};

#define MESSAGE_VERSION	     1u
#define PROTOCOL_FEATURES    (1ull << 30)
#define PROTOCOL_CONFIG	     (1ull << 9)
#define EVENT_IDX	     (1ull << VIRTIO_RING_F_EVENT_IDX)
#define VERSION_1	     (1ull << 32)
#define WANTED		     (VERSION_1 | EVENT_IDX | PROTOCOL_FEATURES)
#define CONFIG_BYTES	     sizeof(uint64_t) /* the capacity alone */
#define MESSAGE_HEADER_BYTES 12u

struct message {
	uint32_t request, flags, size_bytes;
	union {
		uint64_t number;
		struct {
			uint32_t index, value;
		} vring;
		struct {
			uint32_t index, flags;
			uint64_t desc, used, avail, log;
		} address;
		struct {
			uint32_t nr, padding;
			uint64_t guest, size_bytes, user, offset;
		} memory;
		struct {
			uint32_t offset, size_bytes, flags;
			uint8_t bytes[CONFIG_BYTES];
		} __attribute__((packed)) config;
	} __attribute__((packed)) u;
} __attribute__((packed));

static int send_message(struct vhost_blk *vb, struct message *m, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { m, MESSAGE_HEADER_BYTES + m->size_bytes };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	m->flags = MESSAGE_VERSION;
	if (fd >= 0) {
		struct cmsghdr *c;

		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	return sendmsg(vb->sock, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Send m, which its answer replaces. */
static int ask(struct vhost_blk *vb, struct message *m)
{
	uint32_t request = m->request;
	int err = send_message(vb, m, -1);
	ssize_t n;

	if (err)
		return err;
	n = recv(vb->sock, m, MESSAGE_HEADER_BYTES, MSG_WAITALL);
	if (n != MESSAGE_HEADER_BYTES || m->request != request ||
	    m->size_bytes > sizeof(m->u))
		return -EPROTO;
	n = recv(vb->sock, &m->u, m->size_bytes, MSG_WAITALL);
	return n == (ssize_t)m->size_bytes ? 0 : -EPROTO;
}

static int set_number(struct vhost_blk *vb, uint32_t request, uint64_t number,
		      int fd)
{
	struct message m = { .request = request,
			     .size_bytes = sizeof(m.u.number),
			     .u.number = number };

	return send_message(vb, &m, fd);
}

static int set_vring(struct vhost_blk *vb, uint32_t request, uint32_t value)
{
	struct message m = { .request = request,
			     .size_bytes = sizeof(m.u.vring),
			     .u.vring = { .index = 0, .value = value } };

	return send_message(vb, &m, -1);
}

static int negotiate(struct vhost_blk *vb)
{
	struct message m = { .request = GET_FEATURES };
	struct message owner = { .request = SET_OWNER };
	int err = ask(vb, &m);

	if (!err && (m.u.number & WANTED) != WANTED)
		err = -EOPNOTSUPP;
	if (err)
		return err;
	m = (struct message){ .request = GET_PROTOCOL_FEATURES };
	err = ask(vb, &m);
	if (!err && !(m.u.number & PROTOCOL_CONFIG))
		err = -EOPNOTSUPP;
	if (!err)
		err = set_number(vb, SET_PROTOCOL_FEATURES, PROTOCOL_CONFIG,
				 -1);
	if (!err)
		err = send_message(vb, &owner, -1);
	return err ? err : set_number(vb, SET_FEATURES, WANTED, -1);
}

static int read_size(struct vhost_blk *vb)
{
	struct message m = { .request = GET_CONFIG,
			     .size_bytes = sizeof(m.u.config),
			     .u.config.size_bytes = CONFIG_BYTES };
	uint64_t nr_sectors;
	int err = ask(vb, &m);

	if (err)
		return err;
	memcpy(&nr_sectors, m.u.config.bytes, sizeof(nr_sectors));
	vb->size_bytes = nr_sectors * 512;
	return 0;
}

/* A guest's address is an offset in the memory. */
static uint64_t guest_address(const struct vhost_blk *vb, const void *at)
{
	return (uint64_t)((const char *)at - (const char *)vb->mem);
}

static int make_memory(struct vhost_blk *vb, uint32_t buf_bytes)
{
	vb->mem_bytes = sizeof(*vb->mem) + (size_t)VHOST_BLK_SLOTS * buf_bytes;
	vb->mem_fd = memfd_create("bench-vhost", MFD_CLOEXEC);
	if (vb->mem_fd < 0 || ftruncate(vb->mem_fd, (off_t)vb->mem_bytes))
		return -errno;
	vb->mem = mmap(NULL, vb->mem_bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_POPULATE, vb->mem_fd, 0);
	if (vb->mem == MAP_FAILED) {
		vb->mem = NULL;
		return -errno;
	}
	for (uint32_t i = 0; i < VHOST_BLK_SLOTS; i++) {
		struct vring_desc *desc = &vb->mem->desc[i * SLOT_DESCS];
		struct vhost_slot *slot = &vb->mem->slots[i];

		desc[0] = (struct vring_desc){
			.addr = guest_address(vb, &slot->header),
			.len = sizeof(slot->header),
			.flags = VRING_DESC_F_NEXT,
			.next = (uint16_t)(i * SLOT_DESCS + 1),
		};
		desc[1] = (struct vring_desc){
			.addr = guest_address(vb, vb->mem->bufs) +
				(uint64_t)i * buf_bytes,
			.next = (uint16_t)(i * SLOT_DESCS + 2),
		};
		desc[2] = (struct vring_desc){
			.addr = guest_address(vb, &slot->status),
			.len = sizeof(slot->status),
			.flags = VRING_DESC_F_WRITE,
		};
	}
	vb->mem->used_event = (uint16_t)-NO_EVENT;
	return 0;
}

static int share_queue(struct vhost_blk *vb)
{
	uint64_t base = (uint64_t)(uintptr_t)vb->mem;
	struct message memory = {
		.request = SET_MEM_TABLE,
		.size_bytes = sizeof(memory.u.memory),
		.u.memory = { .nr = 1,
			      .size_bytes = vb->mem_bytes,
			      .user = base },
	};
	struct message address = {
		.request = SET_VRING_ADDR,
		.size_bytes = sizeof(address.u.address),
		.u.address = {
			.desc = base + guest_address(vb, vb->mem->desc),
			.avail = base + guest_address(vb, &vb->mem->avail),
			.used = base + guest_address(vb, &vb->mem->used),
		},
	};
	int err = send_message(vb, &memory, vb->mem_fd);

	if (!err)
		err = set_vring(vb, SET_VRING_NUM, QUEUE_SLOTS);
	if (!err)
		err = set_vring(vb, SET_VRING_BASE, 0);
	if (!err)
		err = send_message(vb, &address, -1);
	if (!err)
		err = set_number(vb, SET_VRING_CALL, 0, vb->call_fd);
	if (!err)
		err = set_number(vb, SET_VRING_KICK, 0, vb->kick_fd);
	return err ? err : set_vring(vb, SET_VRING_ENABLE, 1);
}

static int connect_to(struct vhost_blk *vb, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if (str_printf(addr.sun_path, sizeof(addr.sun_path), "%s", path) < 0)
		return -ENAMETOOLONG;
	vb->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (vb->sock < 0 ||
	    connect(vb->sock, (struct sockaddr *)&addr, sizeof(addr)))
		return -errno;
	vb->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	vb->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return vb->kick_fd < 0 || vb->call_fd < 0 ? -errno : 0;
}

int vhost_blk_open(const char *socket_path, uint32_t buf_bytes,
		   struct vhost_blk **ret)
{
	struct vhost_blk *vb = calloc(1, sizeof(*vb));
	int err;

	if (!vb)
		return -ENOMEM;
	vb->sock = vb->mem_fd = vb->kick_fd = vb->call_fd = -1;
	err = connect_to(vb, socket_path);
	if (!err)
		err = negotiate(vb);
	if (!err)
		err = read_size(vb);
	if (!err)
		err = make_memory(vb, buf_bytes);
	if (!err)
		err = share_queue(vb);
	if (err) {
		vhost_blk_close(vb);
		return err;
	}
	*ret = vb;
	return 0;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void vhost_blk_close(struct vhost_blk *vb)
{
	if (!vb)
		return;
	close_fd(vb->sock);
	close_fd(vb->mem_fd);
	close_fd(vb->kick_fd);
	close_fd(vb->call_fd);
	if (vb->mem)
		munmap(vb->mem, vb->mem_bytes);
	free(vb);
}
