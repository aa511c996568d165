/* SPDX-License-Identifier: MIT */
/*
 * protocol.h - the messages between a monitor and its worker.
 *
 * One request, one reply, both of fixed size, over SOCK_SEQPACKET. Both ends
 * are one program, so there is no version. Private to monitor/.
 */
#ifndef MONITOR_PROTOCOL_H
#define MONITOR_PROTOCOL_H

#include "monitor/monitor.h"

enum monitor_op {
	MONITOR_OP_HELLO = 1, /* reply: generation; one fd: broker */
	MONITOR_OP_STORE,     /* reply: one fd, a fresh connection */
	MONITOR_OP_OPEN,      /* domid, handle; reply: info; fds: device's */
	MONITOR_OP_RELEASE,   /* domid, handle */
	MONITOR_OP_KEEP,      /* key; one fd */
	MONITOR_OP_GET,	      /* key; reply: one fd */
	MONITOR_OP_DROP,      /* key */
	MONITOR_OP_READY,
	MONITOR_OP_CONNECT, /* domid, handle; reply: one fd, a connection */
};

struct monitor_request {
	uint32_t op;
	uint32_t domid;
	uint32_t handle;
	char key[MONITOR_KEY_MAX]; /* NUL-terminated, or all zero */
};

struct monitor_reply {
	int32_t error; /* 0 or -errno */
	uint32_t generation;
	uint32_t nr_fds;
	uint32_t info_bytes;
	uint8_t info[MONITOR_INFO_MAX];
};

/* Descriptors that may come with a request. */
#define MONITOR_REQUEST_FDS 1u

#endif /* MONITOR_PROTOCOL_H */
