/* SPDX-License-Identifier: MIT */
/*
 * nbd_target.c - the monitor's half of the nbd driver: what a target's URI
 * says, and sockets to it. No byte of the server's is read here.
 *
 * The name is looked up once, when the disk is attached. See nbd.c for the
 * rest.
 */
#include "blkback/storage/nbd.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "blkback/storage/uri.h"
#include "util/num.h"

#define PORT "10809"
/* A host that is silent for 20 s is gone. */
#define KEEPALIVE_IDLE_S     5
#define KEEPALIVE_INTERVAL_S 5
#define KEEPALIVE_NR	     3
#define UNACKED_MS	     20000u

static bool has_scheme(const char *target, const char *scheme)
{
	size_t len = strlen(scheme);

	return strncmp(target, scheme, len) == 0 &&
	       strncmp(target + len, "://", 3) == 0;
}

bool nbd_target_claims(const char *target)
{
	return has_scheme(target, "nbd") || has_scheme(target, "nbds") ||
	       has_scheme(target, "nbd+unix") ||
	       has_scheme(target, "nbds+unix");
}

static int copy(char *to, size_t size, const char *from)
{
	int err = str_printf(to, size, "%s", from);

	return err < 0 ? err : 0;
}

static int set_unix_address(struct nbd_target *t, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int err = copy(address.sun_path, sizeof(address.sun_path), path);

	memcpy(&t->address, &address, sizeof(address));
	t->address_bytes = sizeof(address);
	return err;
}

static int set_option(struct nbd_target *t, const char *key, const char *value)
{
	if (strcmp(key, "socket") == 0)
		return set_unix_address(t, value);
	if (strcmp(key, "fail-after") == 0)
		return num_parse_u32(value, 86400, &t->fail_after_s);
	if (strcmp(key, "tls-psk-file") == 0 && t->tls && value[0] == '/')
		return copy(t->tls_psk_file, sizeof(t->tls_psk_file), value);
	return -EINVAL;
}

static int set_options(struct nbd_target *t, struct uri *u, const char *target,
		       char *why, size_t why_size)
{
	char key[32] = "", value[256];
	int n;

	while ((n = uri_next_option(u, key, value)) > 0) {
		if (set_option(t, key, value)) {
			n = -EINVAL;
			break;
		}
	}
	if (n < 0)
		snprintf(why, why_size,
			 "%.100s: the option '%s' is not known or has a wrong "
			 "value: there are socket=PATH, fail-after=SECONDS and "
			 "tls-psk-file=PATH",
			 target, key);
	return n;
}

static int find_address(struct nbd_target *t, const struct uri *u,
			const char *target, char *why, size_t why_size)
{
	socklen_t bytes;
	int err;

	if (strstr(u->scheme, "+unix")) {
		if (t->address_bytes && !u->host[0])
			return 0;
		snprintf(why, why_size,
			 "%.100s: a Unix socket is written as "
			 "nbd+unix:///EXPORT?socket=/PATH",
			 target);
		return -EINVAL;
	}
	if (t->address_bytes || !u->host[0]) {
		snprintf(why, why_size,
			 "%.100s: a server is written as "
			 "nbd://HOST[:PORT]/EXPORT",
			 target);
		return -EINVAL;
	}
	err = uri_resolve(u->host, u->port[0] ? u->port : PORT, &t->address,
			  &bytes);
	if (err)
		snprintf(why, why_size,
			 "%.100s: no address is known for the host '%.60s': is "
			 "the name right?",
			 target, u->host);
	else
		t->address_bytes = bytes;
	return err;
}

static int check_tls(const struct nbd_target *t, const char *target, char *why,
		     size_t why_size)
{
	if (!t->tls || (t->tls_psk_file[0] && t->tls_user[0]))
		return 0;
	snprintf(why, why_size,
		 "%.100s: TLS is with a pre-shared key here: write "
		 "nbds://USER@HOST/EXPORT?tls-psk-file=/PATH",
		 target);
	return -EINVAL;
}

static int parse(const char *target, struct nbd_target *t, char *why,
		 size_t why_size)
{
	struct uri u;
	int err = uri_parse(target, &u);

	if (err || copy(t->export, sizeof(t->export), u.path) ||
	    copy(t->tls_user, sizeof(t->tls_user), u.user)) {
		snprintf(why, why_size,
			 "%.100s: is not a URI of an NBD export, such as "
			 "nbd://HOST:10809/EXPORT",
			 target);
		return -EINVAL;
	}
	t->tls = strncmp(u.scheme, "nbds", 4) == 0;
	err = set_options(t, &u, target, why, why_size);
	if (!err)
		err = check_tls(t, target, why, why_size);
	if (!err)
		err = find_address(t, &u, target, why, why_size);
	return err;
}

int nbd_target_acquire(const char *target, uint32_t flags,
		       struct storage_desc *desc, int fds[STORAGE_FDS_MAX],
		       char *why, size_t why_size)
{
	struct storage_desc d = {
		.driver = "nbd",
		.sector_bytes = 512,
		.physical_bytes = 512,
		.flags = (flags & STORAGE_READONLY) | STORAGE_UNSEEN,
		.align_bytes = 1,
	};
	struct nbd_target t = { .tls = 0 };
	int err;

	(void)fds;
	err = parse(target, &t, why, why_size);
	if (err)
		return err;
	if (t.tls) {
		struct nbd_handle *h = nbd_create();
		bool can = h && nbd_supports_tls(h) == 1;

		nbd_close(h);
		if (!can) {
			snprintf(why, why_size,
				 "%.100s: this libnbd has no TLS", target);
			return -EOPNOTSUPP;
		}
	}
	memcpy(d.private_data, &t, sizeof(t));
	snprintf(d.target, sizeof(d.target), "%s", target);
	*desc = d;
	return 0;
}

/* Failing to set one of them changes only how soon a dead host is noticed. */
static void set_tcp_options(int fd)
{
	const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S },
		{ IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_NR },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKED_MS },
	};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		setsockopt(fd, options[i].level, options[i].name,
			   &options[i].value, sizeof(options[i].value));
}

int nbd_target_connect(const struct storage_desc *desc)
{
	struct nbd_target t;
	int fd, err;

	memcpy(&t, desc->private_data, sizeof(t));
	fd = socket(t.address.ss_family,
		    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (t.address.ss_family != AF_UNIX)
		set_tcp_options(fd);
	if (connect(fd, (struct sockaddr *)&t.address, t.address_bytes) == 0 ||
	    errno == EINPROGRESS)
		return fd;
	err = -errno;
	close(fd);
	return err;
}
