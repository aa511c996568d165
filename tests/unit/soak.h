/* SPDX-License-Identifier: MIT */
/*
 * soak.h - how long tests go on that find more the longer they run: the few
 * rounds of `make check`, or the many of `make soak`, which sets SOAK.
 */
#ifndef TESTS_UNIT_SOAK_H
#define TESTS_UNIT_SOAK_H

#include <stdlib.h>

static inline unsigned soak_rounds(unsigned few, unsigned many)
{
	return getenv("SOAK") ? many : few;
}

#endif /* TESTS_UNIT_SOAK_H */
