/* SPDX-License-Identifier: MIT */
/*
 * spec_private.h - the fields of a specification, between spec.c (disks, and
 * what both have) and spec_vif.c (interfaces). Pure.
 */
#ifndef PVSPLIT_SPEC_PRIVATE_H
#define PVSPLIT_SPEC_PRIVATE_H

#include "pvsplit/spec.h"

struct spec_parse {
	const char *rest;
	bool guest;
	char key[32];
	char value[PATH_MAX];
	bool has_key;
	char *why;
};

/* Write why; returns -EINVAL. */
int spec_refuse(char *why, const char *fmt, ...) PV_PRINTF(2, 3);
/* len bytes of from as a string; what: its name in why. */
int spec_copy_text(char *to, size_t size, const char *what, const char *from,
		   size_t len, char *why) PV_MUST_CHECK;
/* The next "value" or "key=value". Returns 1, 0 at the end, -EINVAL. */
int spec_next_field(struct spec_parse *p) PV_MUST_CHECK;

/*
 * "RATE/s[@INTERVAL]": "10Mb/s", "1MB/s@20ms". What may be saved up is the
 * interval's worth, 50 ms by default. -EINVAL, outputs only on success.
 */
int spec_rate_parse(const char *text, uint64_t *ret_bytes,
		    uint32_t *ret_ms) PV_MUST_CHECK;

#endif /* PVSPLIT_SPEC_PRIVATE_H */
