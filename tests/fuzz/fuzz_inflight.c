/* SPDX-License-Identifier: MIT */
/*
 * fuzz_inflight.c - any bytes as a dead worker's in-flight record: refused, or
 * read without leaving its bounds. Each input is laid over a good record, so
 * that the checks behind the magic number are reached too.
 */
#include <assert.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blkback/inflight.h"
#include "tests/fuzz/fuzz.h"

#define DOMID  7
#define HANDLE 51712u

static struct inflight *good_record(void)
{
	const struct inflight_params params = { .domid = DOMID,
						.handle = HANDLE,
						.nr_queues = 1,
						.evtchn_port = 3 };
	struct inflight *f;
	int err = inflight_create(&params, &f);

	assert(!err);
	return f;
}

/* Input: pairs of (16-bit position in 8-byte units, 8-byte value). */
static void overlay(uint8_t *at, size_t room, const uint8_t *data, size_t size)
{
	for (; size >= 10; data += 10, size -= 10) {
		size_t pos = (data[0] | (size_t)data[1] << 8) * 8 % room;

		for (unsigned i = 0; i < 8 && pos + i < room; i++)
			at[pos + i] = data[2 + i];
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint32_t slots[INFLIGHT_SLOTS_MAX];
	static struct blk_raw raws[INFLIGHT_SLOTS_MAX];
	struct inflight *f = good_record(), *copy;
	int fd = dup(inflight_fd(f));
	struct stat st;
	uint8_t *base;
	uint32_t nr;

	assert(fd >= 0 && fstat(fd, &st) == 0);
	base = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE,
		    MAP_SHARED, fd, 0);
	assert(base != MAP_FAILED);
	overlay(base, (size_t)st.st_size, data, size);
	if (inflight_attach(fd, DOMID, HANDLE, 0, &copy)) {
		close(fd);
	} else {
		nr = inflight_recover(copy, slots, raws);
		assert(nr <= inflight_nr_slots(inflight_params(copy)));
		for (uint32_t i = 0; i < nr; i++)
			inflight_answer(copy, slots[i]);
		assert(inflight_consumed(copy) == inflight_answered(copy));
		inflight_close(copy);
	}
	munmap(base, (size_t)st.st_size);
	inflight_close(f);
	return 0;
}
