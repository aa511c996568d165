/* SPDX-License-Identifier: MIT */
/*
 * af_xdp_acquire.c - make the AF_XDP socket of an interface, its memory and the
 * program that sends all frames there; see af_xdp.h. Monitor only.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netback/nic/af_xdp.h"
#include "netback/nic/private.h"
#include "util/list.h"
#include "util/num.h"

/* The Ethernet header and a tag. */
#define OVERHEAD_BYTES (PACKET_ETH_BYTES + FRAME_TAG_BYTES)

/* One socket sees one queue's frames. An interface that cannot say has one. */
static int check_link(const char *ifname, const struct link_info *link,
		      char *why, size_t why_size)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq ifr = { .ifr_data = (void *)&channels };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), n = 0;

	if (fd < 0)
		return nic_explain(-errno, why, why_size, "asking for queues");
	memcpy(ifr.ifr_name, ifname, NIC_NAME_MAX);
	if (!ioctl(fd, SIOCETHTOOL, &ifr) &&
	    channels.combined_count + channels.rx_count > 1)
		n = str_printf(why, why_size,
			       "interface %s has several queues; `ethtool -L "
			       "%s combined 1` makes it one",
			       ifname, ifname);
	else if (link->mtu + OVERHEAD_BYTES > XSK_ROOM_BYTES)
		n = str_printf(why, why_size,
			       "interface %s has an MTU of %u, af_xdp takes at "
			       "most %u",
			       ifname, link->mtu,
			       XSK_ROOM_BYTES - OVERHEAD_BYTES);
	close(fd);
	return n ? -EINVAL : 0;
}

/* A descriptor, or -errno. */
static int make_memory(void)
{
	int fd = memfd_create("af_xdp", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int err;

	if (fd < 0)
		return -errno;
	if (!ftruncate(fd, XSK_MEMORY_BYTES) &&
	    !fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* The kernel keeps the pages; our mapping of them is not needed afterwards. */
static int register_memory(int sock, int memory)
{
	struct xdp_umem_reg reg = {
		.len = (uint64_t)XSK_FRAMES * XSK_FRAME_BYTES,
		.chunk_size = XSK_FRAME_BYTES,
	};
	int err = 0;
	void *map = mmap(NULL, XSK_MEMORY_BYTES, PROT_READ | PROT_WRITE,
			 MAP_SHARED, memory, 0);

	if (map == MAP_FAILED)
		return -errno;
	reg.addr = (uintptr_t)map + XSK_RECORD_BYTES;
	if (setsockopt(sock, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)) < 0)
		err = -errno;
	munmap(map, XSK_MEMORY_BYTES);
	return err;
}

static int bind_socket(int sock, int memory, int ifindex)
{
	static const int rings[] = { XDP_UMEM_FILL_RING,
				     XDP_UMEM_COMPLETION_RING, XDP_RX_RING,
				     XDP_TX_RING };
	const struct sockaddr_xdp at = {
		.sxdp_family = AF_XDP,
		.sxdp_flags = XDP_USE_NEED_WAKEUP,
		.sxdp_ifindex = (uint32_t)ifindex,
	};
	const uint32_t size = XSK_HALF;
	int err = register_memory(sock, memory);

	for (unsigned i = 0; !err && i < ARRAY_SIZE(rings); i++)
		if (setsockopt(sock, SOL_XDP, rings[i], &size, sizeof(size)) <
		    0)
			err = -errno;
	if (!err && bind(sock, (const struct sockaddr *)&at, sizeof(at)) < 0)
		err = -errno;
	return err;
}

/* Every frame to the map's socket of its queue; without one to the host. */
static int load_program(int map)
{
	const struct bpf_insn code[] = {
		{ BPF_LDX | BPF_W | BPF_MEM, BPF_REG_2, BPF_REG_1,
		  offsetof(struct xdp_md, rx_queue_index), 0 },
		{ BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0,
		  map },
		{ 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, XDP_PASS },
		{ BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};

	return bpf_prog_load(BPF_PROG_TYPE_XDP, "pvsplit", "MIT", code,
			     ARRAY_SIZE(code), NULL);
}

/* In the interface's driver, else in front of the host's network stack. */
static int attach_program(int program, int ifindex)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
	int link = bpf_link_create(program, ifindex, BPF_XDP, &opts);

	if (link == -EBUSY || link == -EEXIST || link == -EPERM)
		return link;
	if (link < 0) {
		opts.flags = XDP_FLAGS_SKB_MODE;
		link = bpf_link_create(program, ifindex, BPF_XDP, &opts);
	}
	return link;
}

/* The link's descriptor, or -errno. */
static int redirect(int sock, int ifindex)
{
	uint32_t key = 0;
	int map, program, link;

	map = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "pvsplit", sizeof(key),
			     sizeof(sock), 1, NULL);
	if (map < 0)
		return map;
	link = bpf_map_update_elem(map, &key, &sock, 0);
	if (!link) {
		program = load_program(map);
		link = program;
		if (program >= 0) {
			link = attach_program(program, ifindex);
			close(program);
		}
	}
	close(map);
	return link;
}

int af_xdp_acquire(const struct nic_request *req, struct nic_desc *desc,
		   int fds[NIC_FDS_MAX], char *why, size_t why_size)
{
	struct nic_desc d = { .driver = "af_xdp", .nr_queues = 1 };
	struct link_info link;
	int sock, memory, program, err;

	if (str_printf(d.ifname, sizeof(d.ifname), "%s", req->name) < 0)
		return nic_explain(-ENAMETOOLONG, why, why_size,
				   "the interface");
	err = link_find(d.ifname, &link, why, why_size);
	if (!err)
		err = check_link(d.ifname, &link, why, why_size);
	if (err)
		return err;
	sock = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return nic_explain(-errno, why, why_size,
				   "making an AF_XDP socket");
	memory = make_memory();
	if (memory < 0) {
		err = nic_explain(memory, why, why_size, "memory for AF_XDP");
		goto fail_socket;
	}
	err = bind_socket(sock, memory, link.ifindex);
	if (err) {
		nic_explain(err, why, why_size, "binding an AF_XDP socket");
		goto fail_memory;
	}
	program = redirect(sock, link.ifindex);
	if (program < 0) {
		err = nic_explain(program, why, why_size,
				  "attaching an XDP program");
		goto fail_memory;
	}
	d.mtu = link.mtu;
	d.nr_fds = XSK_NR_FDS;
	fds[XSK_SOCKET] = sock;
	fds[XSK_MEMORY] = memory;
	fds[XSK_LINK] = program;
	*desc = d;
	return 0;

fail_memory:
	close(memory);
fail_socket:
	close(sock);
	return err;
}
