/* SPDX-License-Identifier: MIT */
/*
 * access.h - what one domain may do to the tree: the only way from a request
 * to a node, and the one place where rights and quotas are checked, the root
 * included.
 *
 * A node that does not exist is told apart from one that may not be seen only
 * to those who have the right in question on its nearest ancestor: -ENOENT for
 * them, -EACCES for the others.
 *
 * Steps that change need a transaction; those that only read may go to the
 * committed tree (txn NULL). Each is all or nothing.
 *
 * Thread: the store's. Logs: never.
 */
#ifndef XENSTORE_LITE_ACCESS_H
#define XENSTORE_LITE_ACCESS_H

#include <stddef.h>
#include <stdint.h>

#include "util/annotate.h"
#include "xenstore-lite/transaction.h"

struct access {
	struct store *store;
	struct xsd_domain *domain;
	struct txn *txn;
};

/* The value stays the node's; valid until the next change. NULL: empty. */
int access_read(const struct access *ax, const struct xpath *path,
		const struct blob **ret) PV_MUST_CHECK;
/* As txn_list. */
int access_list(const struct access *ax, const struct xpath *path, char **ret,
		size_t *ret_bytes, uint64_t *generation) PV_MUST_CHECK;
int access_get_perms(const struct access *ax, const struct xpath *path,
		     const struct perms **ret) PV_MUST_CHECK;

/* Makes the node and its missing parents. -ENOSPC a quota; -ENOMEM that of
 * memory, in what follows too. */
int access_write(const struct access *ax, const struct xpath *path,
		 const void *data, uint32_t len) PV_MUST_CHECK;
/* The same with an empty value; leaves a node alone that exists. */
int access_mkdir(const struct access *ax,
		 const struct xpath *path) PV_MUST_CHECK;
/* With all below it. A node that is missing is fine when its parent is there.
 * -EINVAL the root. */
int access_rm(const struct access *ax, const struct xpath *path) PV_MUST_CHECK;
/* Only the owner; only domain 0 makes another the owner (-EPERM), but not of
 * the root (-EINVAL). Takes its own reference to perms. */
int access_set_perms(const struct access *ax, const struct xpath *path,
		     struct perms *perms) PV_MUST_CHECK;

#endif /* XENSTORE_LITE_ACCESS_H */
