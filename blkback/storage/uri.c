/* SPDX-License-Identifier: MIT */
/* uri.c - take a URI apart, see uri.h. */
#include "blkback/storage/uri.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>

#include "util/num.h"

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int decode(const char *from, size_t len, char *to, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int c = (unsigned char)from[i];

		if (c == '%') {
			int hi = i + 2 < len ? hex(from[i + 1]) : -1;
			int lo = hi >= 0 ? hex(from[i + 2]) : -1;

			if (lo < 0)
				return -EINVAL;
			c = hi << 4 | lo;
			i += 2;
		}
		if (!c || n + 1 >= size)
			return -EINVAL;
		to[n++] = (char)c;
	}
	to[n] = '\0';
	return 0;
}

/* [user@](host | [v6])[:port] */
static int parse_authority(const char *s, size_t len, struct uri *u)
{
	const char *at = memrchr(s, '@', len), *end = s + len, *host_end;
	uint32_t port;
	int err = 0;

	if (at) {
		err = decode(s, (size_t)(at - s), u->user, sizeof(u->user));
		s = at + 1;
	}
	if (s < end && *s == '[') {
		host_end = memchr(s, ']', (size_t)(end - s));
		if (!host_end)
			return -EINVAL;
		s++;
	} else {
		host_end = memchr(s, ':', (size_t)(end - s));
		if (!host_end)
			host_end = end;
	}
	if (!err)
		err = decode(s, (size_t)(host_end - s), u->host,
			     sizeof(u->host));
	if (host_end < end && *host_end == ']')
		host_end++;
	if (err || host_end == end)
		return err;
	if (*host_end != ':' ||
	    decode(host_end + 1, (size_t)(end - host_end - 1), u->port,
		   sizeof(u->port)) ||
	    num_parse_u32(u->port, 65535, &port) || !port)
		return -EINVAL;
	return 0;
}

int uri_parse(const char *text, struct uri *ret)
{
	const char *s = strstr(text, "://");
	struct uri u = { .scheme = "" };
	size_t len;
	int err;

	if (!s || (size_t)(s - text) >= sizeof(u.scheme))
		return -EINVAL;
	memcpy(u.scheme, text, (size_t)(s - text));
	s += 3;
	len = strcspn(s, "/?");
	err = parse_authority(s, len, &u);
	if (err)
		return err;
	s += len;
	if (*s == '/') {
		len = strcspn(++s, "?");
		err = decode(s, len, u.path, sizeof(u.path));
		if (err)
			return err;
		s += len;
	}
	if (*s == '?') {
		len = strlen(++s);
		if (len >= sizeof(u.query))
			return -EINVAL;
		memcpy(u.query, s, len + 1);
	}
	*ret = u;
	return 0;
}

int uri_next_option(struct uri *u, char key[32], char value[256])
{
	size_t len = strcspn(u->query, "&"), key_len;

	if (!u->query[0])
		return 0;
	key_len = strcspn(u->query, "=&");
	if (key_len == len || decode(u->query, key_len, key, 32) ||
	    decode(u->query + key_len + 1, len - key_len - 1, value, 256))
		return -EINVAL;
	len += u->query[len] == '&';
	memmove(u->query, u->query + len, strlen(u->query + len) + 1);
	return 1;
}

int uri_resolve(const char *host, const char *port,
		struct sockaddr_storage *ret, socklen_t *ret_bytes)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC,
					.ai_socktype = SOCK_STREAM,
					.ai_flags = AI_NUMERICSERV };
	struct addrinfo *found;

	if (getaddrinfo(host, port, &hints, &found))
		return -EHOSTUNREACH;
	memcpy(ret, found->ai_addr, found->ai_addrlen);
	*ret_bytes = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}
