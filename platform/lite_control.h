/* SPDX-License-Identifier: MIT */
/*
 * lite_control.h - what the toolstack asks of the lite platform's broker:
 * making and ending domains. Works on a platform opened as domain 0.
 * Thread and errors: as platform.h.
 */
#ifndef PLATFORM_LITE_CONTROL_H
#define PLATFORM_LITE_CONTROL_H

#include <sys/types.h>

#include "platform/platform.h"

/* The domain ends when this platform's connection closes. */
#define LITE_DOMAIN_EPHEMERAL 0x1u

/*
 * Create a domain. name: 1..63 of [A-Za-z0-9._-], not all digits.
 * -EEXIST the name is in use; -EINVAL bad name; -EACCES not domain 0.
 */
int lite_domain_create(struct platform *p, const char *name, uid_t uid,
		       uint32_t flags, domid_t *ret) PV_MUST_CHECK;
/* -ENOENT no such domain; -EINVAL domain 0. */
int lite_domain_destroy(struct platform *p, domid_t domid) PV_MUST_CHECK;

#endif /* PLATFORM_LITE_CONTROL_H */
