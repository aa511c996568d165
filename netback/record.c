/* SPDX-License-Identifier: MIT */
/* record.c - a queue's record; see record.h. Used by queue.c and vif_queues.c.
 */
#include "netback/record.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD_MAGIC 0x76696605u /* changes with the layout */

/* NULL and errno on failure. */
static struct queue_record *map_record(int fd)
{
	void *p = mmap(NULL, sizeof(struct queue_record),
		       PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

int record_create(const struct queue_params *params, struct queue_record **ret)
{
	struct queue_record *r;
	int fd = memfd_create("queue-record", MFD_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	r = ftruncate(fd, sizeof(*r)) < 0 ? NULL : map_record(fd);
	if (!r) {
		err = -errno;
		close(fd);
		return err;
	}
	r->params = *params;
	/* pairs with record_attach() in a successor */
	__atomic_store_n(&r->magic, RECORD_MAGIC, __ATOMIC_RELEASE);
	*ret = r;
	return fd;
}

static bool belongs(const struct queue_params *p, domid_t domid,
		    uint32_t handle, uint32_t queue)
{
	return p->domid == domid && p->handle == handle && p->queue == queue &&
	       queue < p->nr_queues && p->nr_queues <= RECORD_QUEUES_MAX;
}

int record_attach(int fd, domid_t domid, uint32_t handle, uint32_t queue,
		  struct queue_record **ret)
{
	struct queue_record *r;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size != sizeof(*r))
		return -EPROTO;
	r = map_record(fd);
	if (!r)
		return -errno;
	/* pairs with record_create() */
	if (__atomic_load_n(&r->magic, __ATOMIC_ACQUIRE) != RECORD_MAGIC ||
	    !belongs(&r->params, domid, handle, queue)) {
		record_unmap(r);
		return -EPROTO;
	}
	*ret = r;
	return 0;
}

void record_unmap(struct queue_record *record)
{
	if (record)
		munmap(record, sizeof(*record));
}

/* Put all answers up to the committed one, and say so before showing them. */
static void put_committed(struct half *h, uint32_t committed)
{
	while (h->ring.rsp_prod != committed) {
		uint32_t at = h->ring.rsp_prod;

		ring_back_put_many(&h->ring, half_answer(h, at),
				   ring_nr_before_end(h->ring.nr_slots, at,
						      committed - at));
	}
	/* pairs with half_init() in a successor */
	__atomic_store_n(&h->rec->rsp_prod, committed, __ATOMIC_RELEASE);
}

int half_init(struct half *h, struct record_ring *rec, void PV_SHARED *page,
	      uint32_t slot_bytes, bool resume)
{
	uint32_t nr_slots = ring_nr_slots(PV_PAGE_SIZE, slot_bytes);
	uint32_t committed, rsp_prod;
	int err;

	h->rec = rec;
	h->nr_staged = 0;
	if (nr_slots > RECORD_SLOTS ||
	    nr_slots * slot_bytes > sizeof(rec->answers))
		return -EINVAL;
	if (!resume) {
		ring_back_init(&h->ring, page, PV_PAGE_SIZE, slot_bytes);
		return 0;
	}
	/* both pair with half_commit() in the predecessor */
	committed = __atomic_load_n(&rec->committed, __ATOMIC_ACQUIRE);
	rsp_prod = __atomic_load_n(&rec->rsp_prod, __ATOMIC_ACQUIRE);
	err = ring_back_attach(&h->ring, page, PV_PAGE_SIZE, slot_bytes,
			       committed, rsp_prod);
	if (err)
		return err;
	put_committed(h, committed);
	/* The caller notifies in any case. */
	(void)!ring_back_push(&h->ring);
	return 0;
}

bool half_commit(struct half *h)
{
	uint32_t committed = h->ring.rsp_prod + h->nr_staged;

	if (!h->nr_staged)
		return false;
	h->nr_staged = 0;
	/* pairs with half_init() in a successor */
	__atomic_store_n(&h->rec->committed, committed, __ATOMIC_RELEASE);
	put_committed(h, committed);
	return ring_back_push(&h->ring);
}
