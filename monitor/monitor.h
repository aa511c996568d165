/* SPDX-License-Identifier: MIT */
/*
 * monitor.h - the privileged half of a backend, and how its worker reaches it.
 *
 * A backend is two processes of one program. The monitor opens disks, sockets
 * and TAPs, connects to the store and the broker, starts the worker, starts it
 * again when it dies, and keeps a few descriptors for it (the in-flight record,
 * the io_uring) across that death. It never parses a byte of a guest's. The
 * worker does everything else and gets descriptors handed to it.
 *
 * They talk over a SOCK_SEQPACKET pair in fixed-size messages, one call and one
 * answer at a time, always begun by the worker. The worker is not trusted: it
 * can ask only for devices that the toolstack gave to this domain, since the
 * program's open callback reads their target from a directory that the worker
 * cannot write (/libxl/N/device/...).
 *
 * Connections: the broker connection is made once and lives as long as the
 * monitor; every worker gets a duplicate, so what a dead worker had bound stays
 * bound. Store connections are made afresh whenever the worker asks, which has
 * no way to the file system itself.
 */
#ifndef MONITOR_MONITOR_H
#define MONITOR_MONITOR_H

#include <stdint.h>
#include <sys/types.h>

#include "abi/grant.h"
#include "util/annotate.h"
#include "util/spawn.h"

#define MONITOR_FDS_MAX	    4u	  /* descriptors of one opened device */
#define MONITOR_INFO_MAX    1024u /* bytes that describe it */
#define MONITOR_KEY_MAX	    64u	  /* a kept descriptor's name, with NUL */
#define MONITOR_KEPT_MAX    8192u
#define MONITOR_DEVICES_MAX 4096u

/* A device as opened by the monitor: descriptors and a driver's own struct. */
struct monitor_device {
	int fds[MONITOR_FDS_MAX];
	uint32_t nr_fds;
	uint32_t info_bytes;
	uint8_t info[MONITOR_INFO_MAX];
};

/* ---- monitor side ------------------------------------------------------- */

struct monitor_ops {
	/*
	 * Open what the toolstack configured for the device handle of domain
	 * domid. Runs in the monitor. ret's descriptors become the monitor's.
	 * why (size WHY_MAX) gets a reason for the log on failure.
	 */
	int (*open)(void *arg, domid_t domid, uint32_t handle,
		    struct monitor_device *ret, char *why);
	/*
	 * A fresh connection for an open device: a descriptor or -errno. Must
	 * not wait. NULL: no device has any.
	 */
	int (*connect)(void *arg, const struct monitor_device *dev);
	/* The device was released; descriptors are closed by the caller. */
	void (*release)(void *arg, domid_t domid, uint32_t handle,
			struct monitor_device *dev);
};
#define WHY_MAX 256

struct monitor_config {
	const char *program;		/* path to execute for the worker */
	const char *const *worker_argv; /* NULL-terminated; argv[0] included */
	const char *run_dir; /* not NULL; platform_run_dir() has a default */
	domid_t domid;
	const struct monitor_ops *ops;
	void *arg;
	const char *ready_line; /* printed on stdout when the worker is ready */
};

/*
 * Run until SIGTERM or SIGINT (then the worker is ended too) or until the
 * broker is gone for good. The worker is restarted at once after a death, with
 * growing pauses (10 ms doubling to 1 s) while it keeps dying within a second
 * or before it was ready. Call it before any thread is started; it blocks
 * SIGTERM and SIGINT, and the worker starts with no signal blocked and SIGINT
 * ignored (the monitor ends it with SIGTERM, after 2 s with SIGKILL).
 * Logs why it ends. Returns 0 or -errno: -ECONNRESET the broker is gone.
 */
int monitor_run(const struct monitor_config *config) PV_MUST_CHECK;

/* ---- worker side -------------------------------------------------------- */

/* The worker finds its end of the pair in this descriptor. */
#define MONITOR_WORKER_FD SPAWN_FD

struct monitor_client;

/*
 * Take the socket over, on success only, and get the broker connection.
 * generation: 0 for the first worker of this monitor, then 1, 2, ...
 */
int monitor_client_open(int sock, int *ret_broker_fd, uint32_t *ret_generation,
			struct monitor_client **ret) PV_MUST_CHECK;
void monitor_client_close(struct monitor_client *mc); /* NULL is fine */

/* A fresh connection to the store, the caller's, or why there is none now. */
int monitor_client_connect_store(struct monitor_client *mc) PV_MUST_CHECK;

/*
 * The device's descriptors (the caller's, duplicates) and info. Idempotent: a
 * device that is open already is not opened again, which is how a new worker
 * gets what the dead one had. -ENOENT not configured; open's errors.
 */
int monitor_client_open_device(struct monitor_client *mc, domid_t domid,
			       uint32_t handle,
			       struct monitor_device *ret) PV_MUST_CHECK;
int monitor_client_release_device(struct monitor_client *mc, domid_t domid,
				  uint32_t handle);
/*
 * A connection to what an open device is kept on, the caller's; it may not be
 * established yet. -ENOENT the device is not open; -EOPNOTSUPP it has none;
 * what connecting said at once (-ECONNREFUSED, ...).
 */
int monitor_client_connect_device(struct monitor_client *mc, domid_t domid,
				  uint32_t handle) PV_MUST_CHECK;

/* Keep a duplicate of fd under key (replacing one of that name). */
int monitor_client_keep(struct monitor_client *mc, const char *key,
			int fd) PV_MUST_CHECK;
/* A duplicate of the kept descriptor, or -ENOENT. */
int monitor_client_get(struct monitor_client *mc,
		       const char *key) PV_MUST_CHECK;
int monitor_client_drop(struct monitor_client *mc, const char *key);
/*
 * All devices are attached: a good start. What a dead worker had opened or kept
 * and this one neither opened, kept nor got is given up now: its device was
 * removed while nobody was there to release it.
 */
int monitor_client_ready(struct monitor_client *mc) PV_MUST_CHECK;
/*
 * Readable (end of file) when the monitor is gone: the worker should exit. Any
 * call that says -ECONNRESET, -EPROTO or -ETIMEDOUT means the same.
 */
int monitor_client_fd(const struct monitor_client *mc);

#endif /* MONITOR_MONITOR_H */
