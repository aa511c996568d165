/* SPDX-License-Identifier: MIT */
/* iov.c - see iov.h. */
#include "util/iov.h"

#include <string.h>

void iov_gather(void *buf, const struct iovec *iov, unsigned nr_iov)
{
	char *to = buf;

	for (unsigned i = 0; i < nr_iov; i++) {
		memcpy(to, iov[i].iov_base, iov[i].iov_len);
		to += iov[i].iov_len;
	}
}

void iov_scatter(const void *buf, const struct iovec *iov, unsigned nr_iov)
{
	const char *from = buf;

	for (unsigned i = 0; i < nr_iov; i++) {
		memcpy(iov[i].iov_base, from, iov[i].iov_len);
		from += iov[i].iov_len;
	}
}
