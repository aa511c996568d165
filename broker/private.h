/* SPDX-License-Identifier: MIT */
/*
 * private.h - inside the broker: domains and their directories
 * (domain.c), connections and messages (conn.c), regions
 * (region.c), event channel ports (port.c).
 *
 * Everything runs on the daemon's loop and never blocks. Who owns what:
 *	broker -> domain -> connection -> regions, ports, holders,
 *					  ephemeral domains
 * so that freeing the owner frees all below it.
 */
#ifndef BROKER_PRIVATE_H
#define BROKER_PRIVATE_H

#include <stdbool.h>
#include <sys/types.h>

#include "broker/broker.h"
#include "platform/lite_wire.h"
#include "util/list.h"
#include "util/log.h"
#include "util/loop.h"

/* What one domain may have at a time. */
struct broker_limits {
	uint32_t nr_conns;
	uint32_t nr_regions; /* one descriptor each */
	uint32_t nr_pages;   /* in regions */
	uint32_t nr_ports;
	uint32_t nr_allocated; /* of them made by evtchn_alloc: two each */
};

/* Ports are 1 .. BROKER_PORTS_MAX - 1: 0 is never valid. */
#define BROKER_PORTS_MAX 8192u

/* References that a domain has to give, the toolstack's few left out. */
#define BROKER_NR_REFS (UINT32_MAX - (uint64_t)GNTTAB_NR_RESERVED_ENTRIES)

#define BROKER_DIR_MAX 108 /* fits a socket's address with room to spare */

struct port {
	struct list link;	/* in conn.ports */
	struct conn *conn;	/* NULL: free */
	uint64_t id;		/* this use of the number, never repeated */
	uint64_t remote_serial; /* allocated: whose it is to bind */
	domid_t remote;
	bool allocated; /* by evtchn_alloc; else bound to one such */
	/* the other side's port when both ends are there */
	uint32_t peer_port;
	uint64_t peer_id;
	/* allocated only: the owner's and the peer's end; -1 once closed */
	int own_fd, peer_fd;
};

struct domain {
	struct list link; /* in broker.domains */
	struct broker *broker;
	struct list conns;
	struct list ephemeral; /* in the creating conn.domains */
	struct list regions;
	struct port *ports; /* BROKER_PORTS_MAX of them, from the first use */
	struct loop_fd *listener;
	uint64_t serial; /* this life of the domid, never repeated, not even by
			  * another broker of this directory; domain 0's is 1 */
	uid_t uid;
	domid_t domid;
	int listen_fd; /* RUN/N/broker */
	int store_fd;  /* RUN/N/xenstore: the store accepts there */
	uint32_t nr_conns, nr_regions, nr_pages, nr_ports, nr_allocated;
	uint32_t next_port;
	struct log_limit log_limit;
	char name[LITE_NAME_MAX];
	char dir[BROKER_DIR_MAX];
};

struct conn {
	struct list link; /* in domain.conns */
	struct domain *domain;
	struct loop_fd *src;
	int fd;
	struct list regions, ports, holders, domains;
	/* It asked for a domain's creation or end, which is not answered yet:
	 * in broker.waiting, and not read from. */
	struct list waiting;
	bool awaits_creation;
	uint64_t awaited_life;
	struct lite_reply answer;
};

struct region {
	struct list link;	 /* in conn.regions */
	struct list domain_link; /* in domain.regions */
	struct list holders;
	struct conn *conn;
	uint64_t id;
	uint64_t peer_serial;
	grant_ref_t first_ref;
	uint32_t nr_pages;
	uint32_t flags; /* SHARE_* */
	bool removed;	/* its owner has ended it; a holder still has it */
	int fd;
};

struct broker {
	struct loop *loop;
	char *run_dir;
	const struct broker_ops *ops;
	void *arg;
	struct list domains;
	struct list waiting;  /* connections */
	uint64_t next_serial; /* of domains, regions and ports */
	uint32_t next_domid;
	int spare_fd; /* given up for a moment when descriptors run out */
	struct domain *by_id[DOMID_FIRST_RESERVED];
	/*
	 * References handed out so far, over all lives of a domid: the ranges
	 * of two lives never meet, so a map of the one cannot hit the other.
	 */
	uint64_t nr_refs[DOMID_FIRST_RESERVED];
};

/* NULL: no such domain. domid comes from a message. */
static inline struct domain *broker_find(struct broker *b, uint32_t domid)
{
	return domid < DOMID_FIRST_RESERVED ? b->by_id[domid] : NULL;
}

const struct broker_limits *broker_limits_of(const struct domain *d);

/*
 * owner: the domain ends with this connection; NULL: it stays. *ret is set too
 * when the store has yet to hear of it: -EINPROGRESS.
 */
int broker_domain_make(struct broker *b, uint32_t domid, const char *name,
		       uid_t uid, struct conn *owner,
		       struct domain **ret) PV_MUST_CHECK;
/* 0, or -EINPROGRESS: the store has yet to hear of it. */
int broker_domain_free(struct domain *d);
/* Remove directories that a dead daemon left. */
void broker_clean_run_dir(struct broker *b);

void broker_conn_accept(void *arg, uint32_t events);
void broker_conn_close(struct conn *c);
/* The connection that waits for a life to begin, or to end; NULL: none. */
struct conn *broker_conn_awaiting(struct broker *b, uint64_t life,
				  bool creation);
/* Its answer; it is read from again. -errno: it does not read, and goes. */
int broker_conn_answer(struct conn *c, int status);

/*
 * A call: 0 or -errno, which becomes the reply's status. *ret_fd: a descriptor
 * to send along; it stays the broker's.
 */
typedef int broker_call_fn(struct conn *c, const struct lite_request *req,
			   struct lite_reply *rep, int *ret_fd);
broker_call_fn broker_region_add, broker_region_remove, broker_region_find;
broker_call_fn broker_port_alloc, broker_port_bind, broker_port_close;

void broker_region_free(struct region *r);
void broker_holder_free_all(struct conn *c);
void broker_port_free(struct port *p);

#endif /* BROKER_PRIVATE_H */
