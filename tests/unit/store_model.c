/* SPDX-License-Identifier: MIT */
/*
 * store_model.c - the store against its model: random histories of several
 * domains, every answer, event and counter compared.
 *
 * STORE_MODEL_HISTORIES: how many (12, with SOAK 400). STORE_MODEL_SEED: the
 * first seed; a failure prints the one that it had.
 */
#include "tests/unit/soak.h"
#include "tests/unit/store_steps_run.h"
#include "tests/unit/unit.h"

static void answers_as_the_model_does(void)
{
	static struct history h;
	unsigned long seed = history_setting("STORE_MODEL_SEED", 1);
	unsigned long last = seed + history_setting("STORE_MODEL_HISTORIES",
						    soak_rounds(12, 400));

	for (; seed < last; seed++) {
		history_fill(&h, seed % 4 ? 300 : 1500, seed);
		h.audit = 16;
		if (!history_holds(&h)) {
			printf("STORE_MODEL_SEED=%lu\n", seed);
			UNIT_REQUIRE(0);
		}
	}
	UNIT_CHECK(1);
}

UNIT_MAIN("store_model", UNIT_TEST(answers_as_the_model_does))
