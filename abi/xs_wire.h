/* SPDX-License-Identifier: MIT */
/*
 * xs_wire.h - the store's wire protocol.
 *
 * A message is a header of 16 bytes and len bytes of payload, usually strings
 * each ended by a NUL. A reply has its request's type, req_id and tx_id, or
 * type XS_ERROR and an error's name. Watch events come unasked with type
 * XS_WATCH_EVENT and req_id 0.
 *
 * Source: xen/include/public/io/xs_wire.h, docs/misc/xenstore.txt.
 */
#ifndef ABI_XS_WIRE_H
#define ABI_XS_WIRE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* xsd_sockmsg.type. 20 was XS_RESTRICT and is never valid. */
enum xsd_sockmsg_type {
	XS_CONTROL = 0,
	XS_DIRECTORY = 1,
	XS_READ = 2,
	XS_GET_PERMS = 3,
	XS_WATCH = 4,
	XS_UNWATCH = 5,
	XS_TRANSACTION_START = 6,
	XS_TRANSACTION_END = 7,
	XS_INTRODUCE = 8,
	XS_RELEASE = 9,
	XS_GET_DOMAIN_PATH = 10,
	XS_WRITE = 11,
	XS_MKDIR = 12,
	XS_RM = 13,
	XS_SET_PERMS = 14,
	XS_WATCH_EVENT = 15,
	XS_ERROR = 16,
	XS_IS_DOMAIN_INTRODUCED = 17,
	XS_RESUME = 18,
	XS_SET_TARGET = 19,
	XS_RESET_WATCHES = 21,
	XS_DIRECTORY_PART = 22,
	XS_GET_FEATURE = 23, /* optional: from here Xen 4.21 and later */
	XS_SET_FEATURE = 24,
	XS_GET_QUOTA = 25,
	XS_SET_QUOTA = 26,
	XS_TYPE_COUNT = 27, /* one past the last */

	XS_INVALID = 0xffff
};

struct xsd_sockmsg {
	uint32_t type;	 /* enum xsd_sockmsg_type */
	uint32_t req_id; /* the client's, echoed */
	uint32_t tx_id;	 /* transaction; 0 for none */
	uint32_t len;	 /* payload bytes, at most XENSTORE_PAYLOAD_MAX */
};

_Static_assert(sizeof(struct xsd_sockmsg) == 16, "sockmsg size");
_Static_assert(offsetof(struct xsd_sockmsg, type) == 0, "type");
_Static_assert(offsetof(struct xsd_sockmsg, req_id) == 4, "req_id");
_Static_assert(offsetof(struct xsd_sockmsg, tx_id) == 8, "tx_id");
_Static_assert(offsetof(struct xsd_sockmsg, len) == 12, "len");

/* Bytes. A longer payload ends the connection. */
#define XENSTORE_PAYLOAD_MAX 4096
/* Bytes of a path without its NUL. A longer one is EINVAL. */
#define XENSTORE_ABS_PATH_MAX 3072
#define XENSTORE_REL_PATH_MAX 2048

/* Index of the strings in a watch event's payload. */
enum xs_watch_type {
	XS_WATCH_PATH = 0,
	XS_WATCH_TOKEN = 1
};

/* The names that an XS_ERROR reply may carry, and their numbers here. */
struct xsd_errors {
	int errnum;
	const char *errstring;
};

static const struct xsd_errors xsd_errors[] __attribute__((unused)) = {
	{ EINVAL, "EINVAL" },	    { EACCES, "EACCES" },
	{ EEXIST, "EEXIST" },	    { EISDIR, "EISDIR" },
	{ ENOENT, "ENOENT" },	    { ENOMEM, "ENOMEM" },
	{ ENOSPC, "ENOSPC" },	    { EIO, "EIO" },
	{ ENOTEMPTY, "ENOTEMPTY" }, { ENOSYS, "ENOSYS" },
	{ EROFS, "EROFS" },	    { EBUSY, "EBUSY" },
	{ EAGAIN, "EAGAIN" },	    { EISCONN, "EISCONN" },
	{ E2BIG, "E2BIG" },	    { EPERM, "EPERM" },
};

#define XSD_NR_ERRORS (sizeof(xsd_errors) / sizeof(xsd_errors[0]))

/* The wire name of a (positive) errno; one that has none is EINVAL. */
static inline const char *xsd_error_name(int errnum)
{
	for (size_t i = 0; i < XSD_NR_ERRORS; i++)
		if (xsd_errors[i].errnum == errnum)
			return xsd_errors[i].errstring;
	return "EINVAL";
}

/*
 * The (positive) errno of a NUL-terminated wire name; EIO for a name that is
 * not in the table: the reply is an error whatever it is called.
 */
static inline int xsd_error_number(const char *name)
{
	for (size_t i = 0; i < XSD_NR_ERRORS; i++)
		if (strcmp(xsd_errors[i].errstring, name) == 0)
			return xsd_errors[i].errnum;
	return EIO;
}

/* ---- the shared page of a domain's store connection -------------------- */

#define XENSTORE_RING_SIZE 1024 /* bytes in each direction */

typedef uint32_t XENSTORE_RING_IDX;

struct xenstore_domain_interface {
	char req[XENSTORE_RING_SIZE]; /* to the daemon */
	char rsp[XENSTORE_RING_SIZE]; /* replies and watch events */
	XENSTORE_RING_IDX req_cons, req_prod;
	XENSTORE_RING_IDX rsp_cons, rsp_prod;
	uint32_t server_features; /* XENSTORE_SERVER_FEATURE_* */
	uint32_t connection;	  /* XENSTORE_CONNECTED, _RECONNECT */
	uint32_t error;		  /* XENSTORE_ERROR_* */
};

_Static_assert(sizeof(struct xenstore_domain_interface) == 2076, "page");
_Static_assert(offsetof(struct xenstore_domain_interface, rsp) == 1024, "rsp");
_Static_assert(offsetof(struct xenstore_domain_interface, req_cons) == 2048,
	       "req_cons");
_Static_assert(offsetof(struct xenstore_domain_interface, rsp_cons) == 2056,
	       "rsp_cons");
_Static_assert(offsetof(struct xenstore_domain_interface, error) == 2072,
	       "error");

#define XENSTORE_SERVER_FEATURE_RECONNECTION 1
#define XENSTORE_SERVER_FEATURE_ERROR	     2
#define XENSTORE_SERVER_FEATURE_WATCHDEPTH   4 /* XS_WATCH takes a depth */

#define XENSTORE_CONNECTED 0
#define XENSTORE_RECONNECT 1

#define XENSTORE_ERROR_NONE    0
#define XENSTORE_ERROR_COMM    1
#define XENSTORE_ERROR_RINGIDX 2
#define XENSTORE_ERROR_PROTO   3

#endif /* ABI_XS_WIRE_H */
