/* SPDX-License-Identifier: MIT */
/*
 * iscsi.h - between the files of the iscsi driver: iscsi_target.c (the
 * monitor's half: a URL, an address), iscsi_session.c (from a connection to a
 * LUN that is known), iscsi_io.c (commands) and iscsi.c (storage, channels).
 */
#ifndef BLKBACK_STORAGE_ISCSI_H
#define BLKBACK_STORAGE_ISCSI_H

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <stdatomic.h>

#include "blkback/storage.h"
#include "blkback/storage/link.h"

/* In desc.private_data: a secret. */
struct iscsi_target {
	char portal[56]; /* ADDRESS:PORT, a number: nothing is looked up */
	char name[224];
	char initiator[64];
	char user[64], password[64];
	uint32_t lun;
	uint32_t fail_after_s; /* 0: wait for ever */
	/* The disk's part of its sessions' names (ISID): one that begins ends
	 * the one of the same name, and what that left under way. */
	uint32_t isid;
	uint64_t identity; /* a sum of what the LUN calls itself; 0: nothing */
};
_Static_assert(sizeof(struct iscsi_target) <= STORAGE_PRIVATE_MAX,
	       "a target crosses with its description");

/* What a LUN says of itself. */
struct iscsi_seen {
	uint64_t size_bytes, identity;
	uint32_t sector_bytes; /* 512 or 4096 */
	uint32_t physical_bytes;
	uint32_t max_bytes; /* of a read or write */
	/* Of an UNMAP; 0: there is none. */
	uint32_t max_unmap_sectors;
	uint32_t unmap_granularity_bytes, unmap_alignment_bytes;
	bool readonly, can_flush;
};

enum iscsi_state {
	ISCSI_CONNECTING,
	ISCSI_ASKING, /* logged in: what is it? */
	ISCSI_READY,
	ISCSI_OVER,
};

/* One connection, from its beginning. */
struct iscsi_session {
	const struct iscsi_target *target;
	struct iscsi_context *ctx; /* NULL: there is none */
	enum iscsi_state state;
	int err;    /* ISCSI_OVER: why */
	bool moved; /* its descriptor is another one now */
	unsigned nr_redirects, question, nr_tries;
	/* While it is asked. */
	bool has_identity, has_limits, has_provisioning, is_thin;
	struct iscsi_seen seen;
};

/* nr: which of the disk's sessions. Waits for nothing. */
int iscsi_session_begin(struct iscsi_session *s, const struct iscsi_target *t,
			unsigned nr) PV_MUST_CHECK;
/* Whatever is under way is cancelled. NULL, ended or never begun is fine. */
void iscsi_session_end(struct iscsi_session *s);
/* poll's events, whose values are epoll's. Afterwards look at the state. */
void iscsi_session_serve(struct iscsi_session *s, uint32_t events);
uint32_t iscsi_session_wants(struct iscsi_session *s);
/* READ CAPACITY(16)'s answer. -EOPNOTSUPP: no size that is served here. */
int iscsi_session_take_capacity(struct scsi_task *task, struct iscsi_seen *ret);

/* What a command's end means. */
enum iscsi_end {
	ISCSI_END_DONE,	   /* with the error that it has, or 0 */
	ISCSI_END_RETRY,   /* at once */
	ISCSI_END_LATER,   /* the target is busy */
	ISCSI_END_SIZE,	   /* RETRY; and the capacity has changed */
	ISCSI_END_SESSION, /* the session is of no use any more */
};
enum iscsi_end iscsi_session_judge(int status, const struct scsi_task *task,
				   int *ret_err);

struct iscsi_channel {
	struct storage_channel channel;
	struct link link;
	struct list list; /* of the storage, control's */
	unsigned nr;	  /* which of the disk's sessions */
	struct iscsi_session session;
	int fd; /* the connection's, as watched; -1 */
	uint32_t events;
	bool asking_size, size_changed;
	_Atomic bool look; /* control wants the size; link_wake() says so */
};

bool iscsi_target_claims(const char *target);
int iscsi_target_acquire(const char *target, uint32_t flags,
			 struct storage_desc *desc, int fds[STORAGE_FDS_MAX],
			 char *why, size_t why_size);

/* link_ops.issue */
void iscsi_io_issue(struct link *l, struct link_slot *s);

#endif /* BLKBACK_STORAGE_ISCSI_H */
