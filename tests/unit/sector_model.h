/* SPDX-License-Identifier: MIT */
/*
 * sector_model.h - what a disk may hold when operations overlap in time.
 *
 * Each write fills its 512-byte sectors with a tag of its own. A sector is a
 * register: a read may see a write unless another write began after that one
 * had ended, and ended before the read began. Whoever hands an operation to the
 * disk says model_*_begin before, and model_*_end when it is told that it is
 * over. Any thread. Nothing here knows what is between it and the disk.
 */
#ifndef TESTS_UNIT_SECTOR_MODEL_H
#define TESTS_UNIT_SECTOR_MODEL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR_WORDS (512 / sizeof(uint64_t))
#define NEVER	     UINT64_MAX

struct model_write {
	uint64_t tag, begun, ended;
	bool perhaps; /* it may have left the sector as it was */
};

struct model_sector {
	struct model_write *writes;
	unsigned nr, room;
};

struct model {
	pthread_mutex_t lock;
	struct model_sector *sectors;
	uint64_t nr_sectors, now, next_tag;
	unsigned nr_wrong;
};

/* An operation on [first, first + nr). tag 0: zeros (a discard). */
struct model_op {
	uint64_t first, nr, tag, begun;
};

static inline void model_add(struct model_sector *s, struct model_write w)
{
	if (s->nr == s->room) {
		s->room = s->room ? 2 * s->room : 4;
		s->writes = realloc(s->writes, s->room * sizeof(*s->writes));
		if (!s->writes)
			abort();
	}
	s->writes[s->nr++] = w;
}

/* Everything is zero. */
static inline void model_init(struct model *m, uint64_t nr_sectors)
{
	memset(m, 0, sizeof(*m));
	pthread_mutex_init(&m->lock, NULL);
	m->nr_sectors = nr_sectors;
	m->sectors = calloc(nr_sectors, sizeof(*m->sectors));
	if (!m->sectors)
		abort();
	for (uint64_t i = 0; i < nr_sectors; i++)
		model_add(&m->sectors[i], (struct model_write){ 0 });
	m->now = m->next_tag = 1;
}

static inline void model_fini(struct model *m)
{
	for (uint64_t i = 0; i < m->nr_sectors; i++)
		free(m->sectors[i].writes);
	free(m->sectors);
	pthread_mutex_destroy(&m->lock);
}

static inline uint64_t model_word(uint64_t tag, size_t i)
{
	return tag && i ? tag * 0x9e3779b97f4a7c15u + i : tag;
}

static inline void model_fill(void *sector, uint64_t tag)
{
	uint64_t words[SECTOR_WORDS];

	for (size_t i = 0; i < SECTOR_WORDS; i++)
		words[i] = model_word(tag, i);
	memcpy(sector, words, sizeof(words));
}

static inline struct model_op model_begin(struct model *m, uint64_t first,
					  uint64_t nr, uint64_t tag)
{
	return (struct model_op){
		.first = first, .nr = nr, .tag = tag, .begun = m->now++
	};
}

static inline struct model_op model_read_begin(struct model *m, uint64_t first,
					       uint64_t nr)
{
	struct model_op op;

	pthread_mutex_lock(&m->lock);
	op = model_begin(m, first, nr, 0);
	pthread_mutex_unlock(&m->lock);
	return op;
}

static inline struct model_op model_write_begin(struct model *m, uint64_t first,
						uint64_t nr)
{
	struct model_op op;

	pthread_mutex_lock(&m->lock);
	op = model_begin(m, first, nr, m->next_tag++);
	for (uint64_t i = first; i < first + nr; i++)
		model_add(&m->sectors[i],
			  (struct model_write){ .tag = op.tag,
						.begun = op.begun,
						.ended = NEVER });
	pthread_mutex_unlock(&m->lock);
	return op;
}

/* Zeros where there are whole units; at the edges zeros or what there was. */
static inline struct model_op
model_discard_begin(struct model *m, uint64_t first, uint64_t nr, uint64_t unit)
{
	uint64_t whole = (first + unit - 1) / unit * unit;
	uint64_t end = (first + nr) / unit * unit;
	struct model_op op;

	pthread_mutex_lock(&m->lock);
	op = model_begin(m, first, nr, 0);
	for (uint64_t i = first; i < first + nr; i++)
		model_add(&m->sectors[i],
			  (struct model_write){ .begun = op.begun,
						.ended = NEVER,
						.perhaps = i < whole ||
							   i >= end });
	pthread_mutex_unlock(&m->lock);
	return op;
}

/* Not called for one that failed: it may have changed any of its sectors. */
static inline void model_change_end(struct model *m, const struct model_op *op)
{
	pthread_mutex_lock(&m->lock);
	for (uint64_t i = op->first; i < op->first + op->nr; i++) {
		struct model_sector *s = &m->sectors[i];

		for (unsigned k = s->nr; k-- > 0;)
			if (s->writes[k].begun == op->begun) {
				s->writes[k].ended = m->now;
				break;
			}
	}
	m->now++;
	pthread_mutex_unlock(&m->lock);
}

/* May tag be there, when a write that began at newest certainly has been? */
static inline bool model_allows_since(const struct model_sector *s,
				      uint64_t tag, uint64_t newest)
{
	for (unsigned k = s->nr; k-- > 0;)
		if (s->writes[k].tag == tag && s->writes[k].ended >= newest)
			return true;
	return false;
}

/* May a read that began then have seen tag? */
static inline bool model_allows(const struct model_sector *s, uint64_t tag,
				uint64_t begun)
{
	uint64_t newest = 0; /* begin of what was over by then */

	for (unsigned k = 0; k < s->nr; k++)
		if (!s->writes[k].perhaps && s->writes[k].ended < begun &&
		    s->writes[k].begun > newest)
			newest = s->writes[k].begun;
	return model_allows_since(s, tag, newest);
}

static inline bool model_is_right(const struct model_sector *s,
				  const uint8_t *sector, uint64_t begun)
{
	uint64_t words[SECTOR_WORDS];

	memcpy(words, sector, sizeof(words));
	for (size_t i = 1; i < SECTOR_WORDS; i++)
		if (words[i] != model_word(words[0], i))
			return false; /* of two writes */
	return model_allows(s, words[0], begun);
}

/* Also of what lies on the disk, once nothing is under way. */
static inline bool model_read_end(struct model *m, const struct model_op *op,
				  const uint8_t *bytes)
{
	bool right = true;

	pthread_mutex_lock(&m->lock);
	for (uint64_t i = 0; i < op->nr; i++) {
		if (model_is_right(&m->sectors[op->first + i], bytes + i * 512,
				   op->begun))
			continue;
		if (!m->nr_wrong++)
			printf("sector %llu is wrong\n",
			       (unsigned long long)(op->first + i));
		right = false;
	}
	pthread_mutex_unlock(&m->lock);
	return right;
}

/*
 * Nothing is under way and the disk is as bytes say: is that right? From here
 * on it counts, and what came before is forgotten.
 */
static inline bool model_settle(struct model *m, const uint8_t *bytes)
{
	struct model_op all = model_read_begin(m, 0, m->nr_sectors);
	bool right = model_read_end(m, &all, bytes);

	for (uint64_t i = 0; i < m->nr_sectors; i++) {
		uint64_t tag;

		memcpy(&tag, bytes + i * 512, sizeof(tag));
		m->sectors[i].nr = 0;
		model_add(&m->sectors[i], (struct model_write){ .tag = tag });
	}
	return right;
}

#endif /* TESTS_UNIT_SECTOR_MODEL_H */
