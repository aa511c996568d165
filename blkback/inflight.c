/* SPDX-License-Identifier: MIT */
/*
 * inflight.c - the in-flight record of inflight.h.
 *
 * Only one thread writes, and its reader comes after its death; so what counts
 * is the order in which the stores are carried out, nothing else. Each store
 * that publishes is atomic with release order: the compiler keeps what comes
 * before it before it, and a killed thread has carried out a prefix of its
 * instructions. The partner of every one is inflight_attach() in a successor.
 */
#include "blkback/inflight.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ring/ring.h"

#define MAGIC 0x746867696c66626bull
#define INFLIGHT_FEATURES                                                      \
	(INFLIGHT_PERSISTENT | INFLIGHT_LARGE_SECTORS | INFLIGHT_DISCARD)
#define VERSION	     2u
#define RECORD_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* An entry's word: the request's index and what became of it. */
#define STATE_FREE     0ull
#define STATE_CONSUMED 1ull
#define STATE_ANSWERED 2ull
#define STATE_MASK     3ull
#define STATE_BITS     2

struct record_entry {
	_Atomic uint64_t word;
	uint64_t rsp_idx; /* of the response, before the word says answered */
	struct blk_raw raw;
};

struct record {
	uint64_t magic;
	uint32_t version;
	uint32_t size_bytes;
	struct inflight_params params;
	uint32_t nr_slots;
	_Atomic uint64_t consumed;
	_Atomic uint64_t answered;
	struct record_entry entries[];
};

struct inflight {
	struct record *rec;
	size_t size_bytes;
	int fd;
	struct inflight_params params;
	uint32_t nr_slots;
	/* Our own; the record is written, never read back. */
	uint64_t consumed, answered;
};

static uint64_t word_of(uint64_t idx, uint64_t state)
{
	return idx << STATE_BITS | state;
}

static bool params_in_bounds(const struct inflight_params *params)
{
	return params->ring_order <= INFLIGHT_RING_ORDER_MAX &&
	       params->layout < BLK_NR_LAYOUTS && params->nr_queues >= 1 &&
	       params->nr_queues <= INFLIGHT_QUEUES_MAX &&
	       params->queue < params->nr_queues &&
	       params->domid < DOMID_FIRST_RESERVED &&
	       !(params->features & ~INFLIGHT_FEATURES);
}

uint32_t inflight_nr_slots(const struct inflight_params *params)
{
	return ring_nr_slots((size_t)PV_PAGE_SIZE << params->ring_order,
			     blk_slot_bytes((enum blk_layout)params->layout));
}

static size_t record_bytes(uint32_t nr_slots)
{
	return sizeof(struct record) + nr_slots * sizeof(struct record_entry);
}

/* Map size_bytes of fd, which it takes over on success. NULL: no memory. */
static struct inflight *map_record(int fd, size_t size_bytes)
{
	struct inflight *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->rec = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		      0);
	if (f->rec == MAP_FAILED) {
		free(f);
		return NULL;
	}
	f->size_bytes = size_bytes;
	f->fd = fd;
	return f;
}

int inflight_create(const struct inflight_params *params, struct inflight **ret)
{
	uint32_t nr_slots;
	struct inflight *f;
	size_t size_bytes;
	int fd, err;

	if (!params_in_bounds(params))
		return -EINVAL;
	nr_slots = inflight_nr_slots(params);
	assert(nr_slots && nr_slots <= INFLIGHT_SLOTS_MAX);
	size_bytes = record_bytes(nr_slots);
	fd = memfd_create("pvsplit-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size_bytes) ||
	    fcntl(fd, F_ADD_SEALS, RECORD_SEALS)) {
		err = -errno;
		goto fail;
	}
	f = map_record(fd, size_bytes);
	if (!f) {
		err = -ENOMEM;
		goto fail;
	}
	f->params = *params;
	f->nr_slots = nr_slots;
	f->rec->magic = MAGIC;
	f->rec->version = VERSION;
	f->rec->size_bytes = (uint32_t)size_bytes;
	f->rec->params = *params;
	f->rec->nr_slots = nr_slots;
	*ret = f;
	return 0;

fail:
	close(fd);
	return err;
}

/* Is the entry an unanswered request? f->consumed and f->answered are set. */
static bool is_live(const struct inflight *f, uint64_t word, uint64_t rsp_idx)
{
	if (word >> STATE_BITS >= f->consumed)
		return false;
	if ((word & STATE_MASK) == STATE_CONSUMED)
		return true;
	return (word & STATE_MASK) == STATE_ANSWERED && rsp_idx >= f->answered;
}

/* The record's bounds and indices. Copies what will be used. */
static int check_header(struct inflight *f, domid_t domid, uint32_t handle,
			uint32_t queue)
{
	const struct record *r = f->rec;

	if (r->magic != MAGIC || r->version != VERSION ||
	    r->size_bytes != f->size_bytes)
		return -EPROTO;
	f->params = r->params;
	f->nr_slots = r->nr_slots;
	if (!params_in_bounds(&f->params) || f->params.domid != domid ||
	    f->params.handle != handle || f->params.queue != queue ||
	    f->nr_slots != inflight_nr_slots(&f->params) ||
	    f->size_bytes != record_bytes(f->nr_slots))
		return -EPROTO;
	/* Pair with the stores in inflight_consume() and inflight_answer(). */
	f->consumed = atomic_load_explicit(&r->consumed, memory_order_acquire);
	f->answered = atomic_load_explicit(&r->answered, memory_order_acquire);
	if (f->answered > f->consumed ||
	    f->consumed - f->answered > f->nr_slots ||
	    f->consumed > UINT64_MAX >> STATE_BITS)
		return -EPROTO;
	return 0;
}

/* As many unanswered requests as the indices say. */
static int check_entries(const struct inflight *f)
{
	uint64_t nr_live = 0;

	for (uint32_t i = 0; i < f->nr_slots; i++) {
		const struct record_entry *e = &f->rec->entries[i];

		/* Pairs with the stores to word in consume and answer. */
		nr_live += is_live(
			f, atomic_load_explicit(&e->word, memory_order_acquire),
			e->rsp_idx);
	}
	return nr_live == f->consumed - f->answered ? 0 : -EPROTO;
}

int inflight_attach(int fd, domid_t domid, uint32_t handle, uint32_t queue,
		    struct inflight **ret)
{
	struct inflight *f;
	struct stat st;
	int err, seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & RECORD_SEALS) != RECORD_SEALS ||
	    fstat(fd, &st) || st.st_size < (off_t)sizeof(struct record) ||
	    st.st_size > (off_t)record_bytes(INFLIGHT_SLOTS_MAX))
		return -EPROTO;
	f = map_record(fd, (size_t)st.st_size);
	if (!f)
		return -ENOMEM;
	err = check_header(f, domid, handle, queue);
	if (!err)
		err = check_entries(f);
	if (err) {
		f->fd = -1;
		inflight_close(f);
		return err;
	}
	*ret = f;
	return 0;
}

void inflight_close(struct inflight *f)
{
	if (!f)
		return;
	munmap(f->rec, f->size_bytes);
	if (f->fd >= 0)
		close(f->fd);
	free(f);
}

int inflight_fd(const struct inflight *f)
{
	return f->fd;
}

const struct inflight_params *inflight_params(const struct inflight *f)
{
	return &f->params;
}

uint64_t inflight_consumed(const struct inflight *f)
{
	return f->consumed;
}

uint64_t inflight_answered(const struct inflight *f)
{
	return f->answered;
}

void inflight_consume(struct inflight *f, uint32_t slot,
		      const struct blk_raw *raw)
{
	struct record_entry *e = &f->rec->entries[slot];

	assert(slot < f->nr_slots);
	e->raw = *raw;
	/* Still nobody's: its index is not below `consumed`. */
	atomic_store_explicit(&e->word, word_of(f->consumed, STATE_CONSUMED),
			      memory_order_release);
	/* Pairs with inflight_attach(). */
	atomic_store_explicit(&f->rec->consumed, ++f->consumed,
			      memory_order_release);
}

void inflight_answer(struct inflight *f, uint32_t slot)
{
	struct record_entry *e = &f->rec->entries[slot];
	uint64_t word;

	assert(slot < f->nr_slots);
	/* Our own word: only the state in it is about to change. */
	word = atomic_load_explicit(&e->word, memory_order_relaxed);
	e->rsp_idx = f->answered;
	/* Still unanswered: its response is not below `answered`. */
	atomic_store_explicit(&e->word, (word & ~STATE_MASK) | STATE_ANSWERED,
			      memory_order_release);
	/* Pairs with inflight_attach(). */
	atomic_store_explicit(&f->rec->answered, ++f->answered,
			      memory_order_release);
}

/* Insertion by age: at most INFLIGHT_SLOTS_MAX, and once in a worker's life. */
static void insert(uint32_t *slots, uint64_t *idx, uint32_t nr, uint32_t slot,
		   uint64_t at)
{
	while (nr && idx[nr - 1] > at) {
		slots[nr] = slots[nr - 1];
		idx[nr] = idx[nr - 1];
		nr--;
	}
	slots[nr] = slot;
	idx[nr] = at;
}

uint32_t inflight_recover(struct inflight *f, uint32_t *slots,
			  struct blk_raw *raws)
{
	uint64_t idx[INFLIGHT_SLOTS_MAX];
	uint32_t nr = 0;

	for (uint32_t i = 0; i < f->nr_slots; i++) {
		struct record_entry *e = &f->rec->entries[i];
		/* Pairs with the stores to word in consume and answer. */
		uint64_t word =
			atomic_load_explicit(&e->word, memory_order_acquire);
		bool live = is_live(f, word, e->rsp_idx);

		/*
		 * What does not count now must not begin to when the indices
		 * move on, and what counts must not cease to.
		 */
		atomic_store_explicit(&e->word,
				      live ? (word & ~STATE_MASK) |
						      STATE_CONSUMED
					   : STATE_FREE,
				      memory_order_release);
		if (live)
			insert(slots, idx, nr++, i, word >> STATE_BITS);
	}
	for (uint32_t i = 0; i < nr; i++)
		raws[i] = f->rec->entries[slots[i]].raw;
	return nr;
}
