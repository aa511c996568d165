/* SPDX-License-Identifier: MIT */
/*
 * fault_spec.h - what a fault filter does to which ios, written as text:
 *
 *	SPEC	"off", or CLAUSE[+CLAUSE]...
 *	CLAUSE	seed=N, or OP[:KEY[=VALUE]]...
 *	OP	read, write, flush, discard or any
 * which ios:
 *	sectors=A-B	that touch these sectors of 512 bytes (not flushes)
 *	one-in=N	each with the chance 1/N
 *	after=N		not the N first of them
 *	times=N		then N of them and no more
 * what happens to them:
 *	error=NAME	EIO, ENOSPC, ENOMEM, ETIMEDOUT, EROFS, EOPNOTSUPP
 *	delay=T[-T]	later; T is a number with us, ms or s; of two, between
 *	hang		not before other faults are set
 *	torn=N, torn	only the N first sectors of a write (a drawn number)
 *			reach the medium; without error it is called good
 *	reorder=N	1 to N later ios go first, or 2 ms pass
 *
 * The first clause that fits an io decides. delay, error and torn may be
 * together. The same seed and ios draw the same. Pure but for *spec; the
 * caller's lock.
 */
#ifndef BLKBACK_STORAGE_FAULT_SPEC_H
#define BLKBACK_STORAGE_FAULT_SPEC_H

#include "blkback/storage.h"

#define FAULT_RULES_MAX 8u
#define FAULT_TORN_NO	UINT32_MAX
#define FAULT_TORN_ANY	(UINT32_MAX - 1)

struct fault_rule {
	unsigned ops; /* bits: 1 << enum storage_op */
	bool by_sector;
	uint64_t first_sector, last_sector;
	uint32_t one_in;       /* 0: all */
	uint32_t after, times; /* times 0: for ever */
	int error;
	uint64_t delay_min_ns, delay_max_ns;
	bool hang;
	uint32_t torn_sectors; /* FAULT_TORN_... */
	uint32_t reorder;
	uint64_t nr_matched;
};

struct fault_spec {
	struct fault_rule rules[FAULT_RULES_MAX];
	unsigned nr_rules;
	uint64_t random;
};

struct fault_verdict {
	int error;
	uint64_t delay_ns;
	bool hang;
	uint32_t torn_sectors; /* FAULT_TORN_NO, or fewer than it has */
	uint32_t reorder;
};

/* Returns 0; -EINVAL or -E2BIG, with one sentence in why. */
int fault_spec_parse(const char *text, struct fault_spec *ret, char *why,
		     size_t why_size) PV_MUST_CHECK;

/* What happens to io; counts it and draws. */
void fault_spec_judge(struct fault_spec *spec, const struct storage_io *io,
		      struct fault_verdict *ret);

#endif /* BLKBACK_STORAGE_FAULT_SPEC_H */
