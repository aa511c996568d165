/* SPDX-License-Identifier: MIT */
/* fuzz.h - the entry point of every fuzz target, as libFuzzer calls it. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Never fails: a defect shows as a crash or a sanitiser's report. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif /* TESTS_FUZZ_FUZZ_H */
