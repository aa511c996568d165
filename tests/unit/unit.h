/* SPDX-License-Identifier: MIT */
/*
 * unit.h - one CUnit suite per program.
 *
 *	static void rejects_a_bad_thing(void) { UNIT_CHECK(1 + 1 == 2); }
 *	UNIT_MAIN("thing", UNIT_TEST(rejects_a_bad_thing), ...)
 *
 * UNIT_CHECK goes on after a failure, UNIT_REQUIRE ends the test case.
 * The last line printed is "NAME: N passed, N failed"; the exit status is 0
 * only when nothing failed and something ran.
 */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include <CUnit/Basic.h>
#include <stdio.h>

struct unit_case {
	const char *name;
	void (*fn)(void);
};

#define UNIT_TEST(fn)                                                          \
	{                                                                      \
#fn, fn                                                        \
	}

#define UNIT_CHECK(cond)                                                       \
	((void)CU_assertImplementation((cond) ? CU_TRUE : CU_FALSE, __LINE__,  \
				       #cond, __FILE__, "", CU_FALSE))
#define UNIT_REQUIRE(cond)                                                     \
	do {                                                                   \
		int unit_ok = (cond) ? 1 : 0;                                  \
		CU_assertImplementation(unit_ok ? CU_TRUE : CU_FALSE,          \
					__LINE__, #cond, __FILE__, "",         \
					CU_FALSE);                             \
		if (!unit_ok)                                                  \
			return;                                                \
	} while (0)

static inline int unit_run(const char *name, const struct unit_case *cases,
			   unsigned nr)
{
	CU_pSuite suite;
	unsigned failed, passed;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	suite = CU_add_suite(name, NULL, NULL);
	if (!suite)
		return 1;
	for (unsigned i = 0; i < nr; i++)
		if (!CU_add_test(suite, cases[i].name, cases[i].fn))
			return 1;
	CU_basic_set_mode(CU_BRM_SILENT);
	CU_basic_run_tests();
	failed = CU_get_number_of_tests_failed();
	passed = CU_get_number_of_tests_run() - failed;
	if (failed)
		CU_basic_show_failures(CU_get_failure_list());
	printf("%s%s: %u passed, %u failed\n", failed ? "\n" : "", name, passed,
	       failed);
	CU_cleanup_registry();
	return failed || !passed;
}

#define UNIT_MAIN(name, ...)                                                   \
	int main(void)                                                         \
	{                                                                      \
		static const struct unit_case cases[] = { __VA_ARGS__ };       \
		return unit_run(name, cases,                                   \
				sizeof(cases) / sizeof(cases[0]));             \
	}

#endif /* TESTS_UNIT_UNIT_H */
