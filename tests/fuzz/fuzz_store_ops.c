/* SPDX-License-Identifier: MIT */
/*
 * fuzz_store_ops.c - what several domains do to the store, one operation after
 * another, over several connections each: the input is the steps of a history
 * (tests/unit/store_words.h), six bytes each. The store must answer as its
 * model does, tell the same events, and count right after every step.
 */
#include "tests/fuzz/fuzz.h"

#include "tests/unit/store_steps_run.h"

#define STEPS_MAX 256u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct history h;
	char why[512];

	memset(&h, 0, sizeof(h));
	h.nr = (unsigned)(size / sizeof(h.steps[0]));
	if (h.nr > STEPS_MAX)
		h.nr = STEPS_MAX;
	if (h.nr)
		memcpy(h.steps, data, h.nr * sizeof(h.steps[0]));
	history_run(&h, NULL, why);
	if (!why[0])
		return 0;
	history_run(&h, stderr, why);
	fprintf(stderr, "%s\n", why);
	abort();
}
