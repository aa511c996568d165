/* SPDX-License-Identifier: MIT */
/* iov.h - bytes between one buffer and several. Any thread. */
#ifndef UTIL_IOV_H
#define UTIL_IOV_H

#include <sys/uio.h>

/* All bytes of iov to buf, and back. */
void iov_gather(void *buf, const struct iovec *iov, unsigned nr_iov);
void iov_scatter(const void *buf, const struct iovec *iov, unsigned nr_iov);

#endif /* UTIL_IOV_H */
