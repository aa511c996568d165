/* SPDX-License-Identifier: MIT */
/*
 * libnet.h - frames between two processes, by whoever is to be compared:
 *
 *   libnet_front.c  ours: netfront, two rings, a netbackd on the other CPU
 *   libnet_two.c    the same to another guest, which is a third process
 *   libnet_dpdk.c   two of DPDK's testpmd, joined by memif or by vhost-user;
 *                   or one, and libmemif.c at the other end
 *
 * Frames carry an EtherType of local experiments and, behind it, a number that
 * says who sent them.
 *
 * Thread: the caller's, which they pin to the first CPU; the other side has the
 * second. Logs: never, but for what testpmd says when it does not start.
 */
#ifndef BENCH_LIBNET_H
#define BENCH_LIBNET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "abi/grant.h"
#include "netfront/netfront.h"
#include "util/annotate.h"
#include "util/hist.h"

#define NET_BURST NETFRONT_BURST_MAX

struct net_load {
	unsigned size_bytes; /* of a frame, Ethernet header included */
	uint64_t run_ns;
};

struct net_rate {
	double frames; /* a second, that arrived */
	double cpu_ns; /* of a frame, all processes of both sides */
};

/* ---- ours ---------------------------------------------------------------- */

struct net_vif {
	struct netfront *nf;
	uint8_t mac[6];
};

/* Connect vif handle of a domain; says what is wrong. */
int net_vif_open(const char *run_dir, domid_t domid, uint32_t handle,
		 struct net_vif *ret) PV_MUST_CHECK;
void net_vif_close(struct net_vif *vif);

/*
 * Send up to nr (<= NET_BURST) frames now and show them. Returns how many there
 * was room for.
 */
unsigned net_send(const struct net_vif *from, const uint8_t to[6],
		  uint32_t sender, unsigned size_bytes, unsigned nr);
/*
 * Take what has arrived, at most NET_BURST frames, and give the buffers back.
 * by_sender (nr_senders of them; NULL: nobody asks) counts who sent them.
 */
unsigned net_recv(const struct net_vif *at, uint64_t *by_sender,
		  uint32_t nr_senders);
/* Sleep until something happens to the vif, or for so long; -1: for ever. */
int net_wait(const struct net_vif *vif, int timeout_ms) PV_MUST_CHECK;

/* What a run is carried out on. */
struct net_rig {
	struct net_vif out;  /* alone with an uplink that swallows frames */
	struct net_vif a, b; /* on one switch */
	struct net_vif c;    /* on a switch with the other guest */
	struct net_far *far; /* that one */
	pid_t server;	     /* netbackd's worker */
};

typedef int net_run_fn(const struct net_rig *rig, const struct net_load *load,
		       struct net_rate *ret);
/* To the uplink; from a to b and so back to the sender; to another guest. */
net_run_fn net_run_hop, net_run_round, net_run_two;
/* One frame from a to b, then the next. */
int net_run_echo(const struct net_rig *rig, const struct net_load *load,
		 struct hist *ret_ns) PV_MUST_CHECK;

/* The time of a run, and the CPU time of ourselves and of two others. */
struct net_meter {
	pid_t pids[2]; /* 0: nobody */
	uint64_t start_ns, cpu_ns;
};
void net_meter_start(struct net_meter *meter);
struct net_rate net_meter_stop(const struct net_meter *meter, uint64_t nr);

/* Another guest, a process of its own, that takes what it is sent and sleeps
 * when there is nothing. Before any thread is started. */
int net_far_open(const char *run_dir, domid_t domid,
		 struct net_far **ret) PV_MUST_CHECK;
void net_far_close(struct net_far *far); /* NULL is fine */
pid_t net_far_pid(const struct net_far *far);

/* ---- DPDK's -------------------------------------------------------------- */

struct dpdk;

/* joined: "memif" or "vhost"; socket: where. -ENOENT: there is no testpmd. */
int dpdk_open(const char *joined, const char *socket,
	      struct dpdk **ret) PV_MUST_CHECK;
void dpdk_close(struct dpdk *dpdk); /* NULL is fine */

/* One alone, the server of a memif, that sends back what it receives while it
 * is on (at first it is not). */
int dpdk_open_reflector(const char *socket, struct dpdk **ret) PV_MUST_CHECK;
int dpdk_reflect(struct dpdk *dpdk, bool on) PV_MUST_CHECK;

enum dpdk_way {
	DPDK_HOP,  /* one only sends, the other only receives */
	DPDK_ROUND /* both send back what they receive; many frames under way */
};
int dpdk_run(struct dpdk *dpdk, enum dpdk_way way, const struct net_load *load,
	     struct net_rate *ret) PV_MUST_CHECK;

#endif /* BENCH_LIBNET_H */
