/* SPDX-License-Identifier: MIT */
/*
 * span.c - scattered pages of memfds as one contiguous range: a reserved range
 * of addresses, then each run of neighbours put over it. Used by lite and sim
 * for references that do not follow each other. Thread: any.
 */
#include "platform/private.h"

#include <errno.h>
#include <sys/mman.h>

static uint32_t run_length(const struct span_page *pages, uint32_t nr)
{
	uint32_t n = 1;

	while (n < nr && pages[n].fd == pages[0].fd &&
	       pages[n].offset_bytes ==
		       pages[0].offset_bytes + (uint64_t)n * PV_PAGE_SIZE)
		n++;
	return n;
}

int span_map(const struct span_page *pages, uint32_t nr, bool writable,
	     void **ret)
{
	int prot = writable ? PROT_READ | PROT_WRITE : PROT_READ;
	size_t size_bytes = (size_t)nr * PV_PAGE_SIZE;
	char *base = mmap(NULL, size_bytes, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return -errno;
	for (uint32_t i = 0, n; i < nr; i += n) {
		n = run_length(pages + i, nr - i);
		if (mmap(base + (size_t)i * PV_PAGE_SIZE,
			 (size_t)n * PV_PAGE_SIZE, prot, MAP_SHARED | MAP_FIXED,
			 pages[i].fd,
			 (off_t)pages[i].offset_bytes) == MAP_FAILED) {
			int err = -errno;

			munmap(base, size_bytes);
			return err;
		}
	}
	*ret = base;
	return 0;
}

void span_unmap(void *base, uint32_t nr)
{
	munmap(base, (size_t)nr * PV_PAGE_SIZE);
}
