/* SPDX-License-Identifier: MIT */
/*
 * hypervisor.c - what Xen's xenstored asks of a hypervisor, answered without
 * one: preloaded into it by xenstored.c beside this file.
 *
 * Domains 0 to ORACLE_DOMAINS - 1 live. Domain N's store page is the file
 * ring.N of the folder ORACLE_DIR. Events do not exist: a timer makes xenstored
 * look at all pages every half millisecond.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#include "tests/oracle/oracle.h"

/* Any address: nobody looks behind it. */
static char handle;
static int timer = -1;

static int open_file(const char *name, int flags)
{
	const char *dir = getenv("ORACLE_DIR");
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir ? dir : ".", name);
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
}

/* The two files that the kernel of domain 0 has for xenstored. */
int open(const char *path, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	if (strcmp(path, "/proc/xen/xsd_port") == 0)
		return open_file("port", O_RDONLY);
	if (strcmp(path, "/proc/xen/xsd_kva") == 0)
		return open_file("ring.0", O_RDWR);
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* ---- domains ------------------------------------------------------------- */

xc_interface *xc_interface_open(xentoollog_logger *logger,
				xentoollog_logger *dombuild_logger,
				unsigned flags)
{
	(void)logger;
	(void)dombuild_logger;
	(void)flags;
	return (xc_interface *)(void *)&handle;
}

int xc_interface_close(xc_interface *xch)
{
	(void)xch;
	return 0;
}

int xc_domain_getinfo(xc_interface *xch, uint32_t first, unsigned max,
		      xc_dominfo_t *info)
{
	(void)xch;
	memset(info, 0, sizeof(*info));
	info->domid = first;
	return max > 0 && first < ORACLE_DOMAINS;
}

/* ---- events -------------------------------------------------------------- */

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger,
				 unsigned flags)
{
	(void)logger;
	(void)flags;
	return (xenevtchn_handle *)(void *)&handle;
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
	const struct itimerspec often = {
		.it_interval = { .tv_nsec = 500000 },
		.it_value = { .tv_nsec = 500000 },
	};

	(void)xce;
	if (timer >= 0)
		return timer;
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	timerfd_settime(timer, 0, &often, NULL);
	return timer;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
	uint64_t ticks;

	return read(xenevtchn_fd(xce), &ticks, sizeof(ticks)) < 0 ? 0 : 1;
}

int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
	(void)xce;
	(void)port;
	return 0;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
	(void)xce;
	(void)port;
	return 0;
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
	(void)xce;
	(void)port;
	return 0;
}

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *xce,
					      unsigned virq)
{
	(void)xce;
	return (int)virq + 100;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce,
						     uint32_t domid,
						     evtchn_port_t remote_port)
{
	(void)xce;
	(void)remote_port;
	return (int)domid + 200;
}

/* ---- pages --------------------------------------------------------------- */

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger,
				 unsigned flags)
{
	(void)logger;
	(void)flags;
	return (xengnttab_handle *)(void *)&handle;
}

int xengnttab_close(xengnttab_handle *xgt)
{
	(void)xgt;
	return 0;
}

int xengnttab_set_max_grants(xengnttab_handle *xgt, uint32_t nr_grants)
{
	(void)xgt;
	(void)nr_grants;
	return 0;
}

void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid,
			      uint32_t ref, int prot)
{
	char name[32];
	void *page;
	int fd;

	(void)xgt;
	(void)ref;
	snprintf(name, sizeof(name), "ring.%u", domid);
	fd = open_file(name, O_RDWR);
	if (fd < 0)
		return NULL;
	page = mmap(NULL, ORACLE_PAGE_BYTES, prot, MAP_SHARED, fd, 0);
	close(fd);
	return page == MAP_FAILED ? NULL : page;
}

int xengnttab_unmap(xengnttab_handle *xgt, void *start, uint32_t count)
{
	(void)xgt;
	return munmap(start, (size_t)count * ORACLE_PAGE_BYTES);
}
