/* SPDX-License-Identifier: MIT */
/*
 * ring.c - the rules of the request ring, each with its limits.
 *
 * One thread plays both ends over one page. A hostile peer is the test itself
 * writing the shared header, which only a test may do.
 */
#include "ring/ring.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "tests/unit/unit.h"

#define PAGE	  4096u
#define NR	  32u
#define SLOT	  112u
#define PAGES_MAX 16u

static _Alignas(4096) unsigned char memory[PAGES_MAX * PAGE];

static struct ring_header *const header = (struct ring_header *)(void *)memory;
static struct ring_front front;
static struct ring_back back;

struct entry {
	uint64_t words[14];
};

static void PV_SHARED *shared(void)
{
	return (void PV_SHARED *)memory;
}

static void fresh(size_t size_bytes, size_t slot_bytes)
{
	memset(memory, 0, sizeof(memory));
	ring_front_init(&front, shared(), size_bytes, slot_bytes);
	ring_back_init(&back, shared(), size_bytes, slot_bytes);
}

/* A ring that has carried `start` requests, all answered. */
static void fresh_at(uint32_t start)
{
	fresh(PAGE, SLOT);
	front.req_prod = front.req_pushed = start;
	front.rsp_cons = front.rsp_prod = start;
	header->req_prod = header->rsp_prod = start;
	header->req_event = header->rsp_event = start + 1;
	back.req_cons = back.req_prod = start;
	back.rsp_prod = back.rsp_pushed = start;
}

static struct entry pattern(uint64_t seed)
{
	struct entry e;

	for (unsigned i = 0; i < 14; i++)
		e.words[i] = seed * 0x9E3779B97F4A7C15ull + i;
	return e;
}

static bool same(const struct entry *a, const struct entry *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static void put(unsigned nr)
{
	struct entry e = pattern(1);

	for (unsigned i = 0; i < nr; i++)
		ring_front_put(&front, &e, sizeof(e));
}

/* The backend consumes nr requests that are there and answers nr_answers. */
static void serve(unsigned nr, unsigned nr_answers)
{
	struct entry e;

	for (unsigned i = 0; i < nr; i++) {
		UNIT_REQUIRE(ring_back_pending(&back) > 0);
		ring_back_get(&back, &e, sizeof(e));
	}
	for (unsigned i = 0; i < nr_answers; i++)
		ring_back_put(&back, &e, 16);
}

static void counts_the_slots_that_fit(void)
{
	UNIT_CHECK(ring_nr_slots(4096, 112) == 32);
	UNIT_CHECK(ring_nr_slots(4096, 108) == 32);
	UNIT_CHECK(ring_nr_slots(4096, 12) == 256);
	UNIT_CHECK(ring_nr_slots(4096, 8) == 256);
	UNIT_CHECK(ring_nr_slots(2 * 4096, 112) == 64);
	UNIT_CHECK(ring_nr_slots(16 * 4096, 112) == 512);
	UNIT_CHECK(ring_nr_slots(3 * 4096, 112) == 64);
	UNIT_CHECK(ring_nr_slots(64 + 112, 112) == 1);
	UNIT_CHECK(ring_nr_slots(64 + 111, 112) == 0);
	UNIT_CHECK(ring_nr_slots(64, 1) == 0);
	UNIT_CHECK(ring_nr_slots(63, 1) == 0);
	UNIT_CHECK(ring_nr_slots(0, 112) == 0);
	UNIT_CHECK(ring_nr_slots(4096, 0) == 0);
	UNIT_CHECK(ring_nr_slots(SIZE_MAX, 1) == RING_NR_SLOTS_MAX);
}

static void carries_requests_and_responses_in_order(void)
{
	struct entry e, got;

	fresh(PAGE, SLOT);
	for (uint64_t i = 0; i < 1000; i++) {
		e = pattern(i);
		ring_front_put(&front, &e, sizeof(e));
		(void)!ring_front_push(&front);
		UNIT_REQUIRE(ring_back_pending(&back) == 1);
		ring_back_get(&back, &got, sizeof(got));
		UNIT_REQUIRE(same(&e, &got));
		e = pattern(~i);
		ring_back_put(&back, &e, 16);
		(void)!ring_back_push(&back);
		UNIT_REQUIRE(ring_front_pending(&front) == 1);
		ring_front_get(&front, &got, 16);
		UNIT_REQUIRE(memcmp(&e, &got, 16) == 0);
	}
	UNIT_CHECK(ring_back_pending(&back) == 0);
	UNIT_CHECK(ring_front_pending(&front) == 0);
	UNIT_CHECK(header->req_prod == 1000 && header->rsp_prod == 1000);
}

static void shows_nothing_before_a_push(void)
{
	fresh(PAGE, SLOT);
	put(3);
	UNIT_CHECK(header->req_prod == 0);
	UNIT_CHECK(ring_back_pending(&back) == 0);
	(void)!ring_front_push(&front);
	UNIT_CHECK(ring_back_pending(&back) == 3);
	serve(3, 2);
	UNIT_CHECK(ring_front_pending(&front) == 0);
	(void)!ring_back_push(&back);
	UNIT_CHECK(ring_front_pending(&front) == 2);
}

static void a_push_of_nothing_is_silent(void)
{
	fresh(PAGE, SLOT);
	header->req_event = header->rsp_event = 0;
	UNIT_CHECK(!ring_front_push(&front));
	UNIT_CHECK(!ring_back_push(&back));
}

static void counts_free_slots_until_the_ring_is_full(void)
{
	fresh(PAGE, SLOT);
	UNIT_CHECK(ring_front_free(&front) == NR);
	put(NR);
	UNIT_CHECK(ring_front_free(&front) == 0);
	(void)!ring_front_push(&front);
	serve(NR, NR);
	(void)!ring_back_push(&back);
	UNIT_CHECK(ring_front_free(&front) == 0);
	UNIT_CHECK(ring_front_pending(&front) == (int)NR);
	for (unsigned i = 0; i < NR; i++) {
		struct entry e;

		ring_front_get(&front, &e, 16);
		UNIT_CHECK(ring_front_free(&front) == i + 1);
	}
}

/* ---- a lying frontend -------------------------------------------------- */

/* Starting points, several of them just before the indices wrap. */
static const uint32_t starts[] = { 0,	       1,	    31,
				   32,	       1000,	    0x7FFFFFF0u,
				   0x80000000, 0xFFFFFFE0u, 0xFFFFFFF5u,
				   0xFFFFFFFFu };
#define NR_STARTS (sizeof(starts) / sizeof(starts[0]))

/* With `consumed` taken and `answered` put, the producer reads cons + step. */
static int producer_at(uint32_t start, uint32_t consumed, uint32_t answered,
		       uint32_t step)
{
	fresh_at(start);
	back.req_cons = back.req_prod = start + consumed;
	back.rsp_prod = start + answered;
	header->req_prod = back.req_cons + step;
	return ring_back_pending(&back);
}

static void accepts_a_full_ring(void)
{
	for (unsigned i = 0; i < NR_STARTS; i++) {
		UNIT_CHECK(producer_at(starts[i], 0, 0, NR) == (int)NR);
		UNIT_CHECK(producer_at(starts[i], 5, 5, NR) == (int)NR);
		UNIT_CHECK(producer_at(starts[i], 5, 2, NR - 3) == (int)NR - 3);
		UNIT_CHECK(producer_at(starts[i], NR, 0, 0) == 0);
		UNIT_CHECK(!back.broken);
	}
}

static void rejects_a_producer_past_the_ring(void)
{
	static const uint32_t beyond[] = { NR + 1,     NR + 2,	   0x7FFFFFFF,
					   0x80000000, 0x80000001, 0xFFFFFFFE,
					   0xFFFFFFFF };

	for (unsigned i = 0; i < NR_STARTS; i++) {
		for (unsigned k = 0; k < 7; k++) {
			UNIT_CHECK(producer_at(starts[i], 0, 0, beyond[k]) ==
				   -EPROTO);
			UNIT_CHECK(back.broken);
			UNIT_CHECK(back.req_prod == back.req_cons);
		}
		UNIT_CHECK(producer_at(starts[i], 5, 2, NR - 2) == -EPROTO);
		UNIT_CHECK(producer_at(starts[i], NR, 0, 1) == -EPROTO);
	}
}

/* Xen's own overflow test lets these through and replays stale slots. */
static void rejects_a_producer_moved_backwards(void)
{
	for (unsigned i = 0; i < NR_STARTS; i++)
		for (uint32_t back_by = 1; back_by <= 2 * NR; back_by++)
			UNIT_CHECK(producer_at(starts[i], 20, 10,
					       0 - back_by) == -EPROTO);
}

static void a_broken_ring_stays_broken(void)
{
	UNIT_CHECK(producer_at(0, 0, 0, NR + 1) == -EPROTO);
	header->req_prod = 1;
	UNIT_CHECK(ring_back_pending(&back) == -EPROTO);
	UNIT_CHECK(ring_back_arm(&back) == -EPROTO);
	UNIT_CHECK(header->req_event == 1);

	fresh(PAGE, SLOT);
	put(1);
	(void)!ring_front_push(&front);
	serve(1, 1);
	header->req_prod = 0;
	UNIT_CHECK(ring_back_pending(&back) == -EPROTO);
	UNIT_CHECK(!ring_back_push(&back));
	UNIT_CHECK(header->rsp_prod == 0);

	fresh(PAGE, SLOT);
	header->rsp_prod = 1;
	UNIT_CHECK(ring_front_pending(&front) == -EPROTO);
	header->rsp_prod = 0;
	UNIT_CHECK(ring_front_pending(&front) == -EPROTO);
	UNIT_CHECK(ring_front_arm(&front) == -EPROTO);
	UNIT_CHECK(header->rsp_event == 1);
	put(1);
	UNIT_CHECK(!ring_front_push(&front));
	UNIT_CHECK(header->req_prod == 0);
}

static void arming_rejects_an_impossible_producer_too(void)
{
	fresh(PAGE, SLOT);
	header->req_prod = NR + 1;
	UNIT_CHECK(ring_back_arm(&back) == -EPROTO);
	fresh(PAGE, SLOT);
	header->rsp_prod = 1;
	UNIT_CHECK(ring_front_arm(&front) == -EPROTO);
}

static void answers_that_were_not_shown_free_no_frontend_slots(void)
{
	fresh(PAGE, SLOT);
	put(NR);
	(void)!ring_front_push(&front);
	serve(NR, NR);
	UNIT_CHECK(ring_front_pending(&front) == 0);
	UNIT_CHECK(ring_front_free(&front) == 0);
}

/* ---- a lying backend --------------------------------------------------- */

/* `shown` requests are out, one of `consumed` responses taken back. */
static int responder_at(uint32_t start, uint32_t shown, uint32_t consumed,
			uint32_t step)
{
	fresh_at(start);
	front.req_prod = start + shown + 1; /* one more put, not shown */
	front.req_pushed = start + shown;
	front.rsp_cons = front.rsp_prod = start + consumed;
	header->rsp_prod = front.rsp_cons + step;
	return ring_front_pending(&front);
}

static void accepts_answers_to_all_that_was_shown(void)
{
	for (unsigned i = 0; i < NR_STARTS; i++) {
		UNIT_CHECK(responder_at(starts[i], NR - 1, 0, NR - 1) ==
			   (int)NR - 1);
		UNIT_CHECK(responder_at(starts[i], 7, 3, 4) == 4);
		UNIT_CHECK(responder_at(starts[i], 7, 7, 0) == 0);
		UNIT_CHECK(!front.broken);
	}
}

static void rejects_answers_to_requests_that_were_not_shown(void)
{
	static const uint32_t beyond[] = { 5, 6, NR, 0x7FFFFFFF, 0x80000000 };

	for (unsigned i = 0; i < NR_STARTS; i++) {
		for (unsigned k = 0; k < 5; k++) {
			UNIT_CHECK(responder_at(starts[i], 7, 3, beyond[k]) ==
				   -EPROTO);
			UNIT_CHECK(front.broken);
			UNIT_CHECK(front.rsp_prod == front.rsp_cons);
		}
		UNIT_CHECK(responder_at(starts[i], 0, 0, 1) == -EPROTO);
	}
}

static void rejects_a_response_index_moved_backwards(void)
{
	for (unsigned i = 0; i < NR_STARTS; i++)
		for (uint32_t back_by = 1; back_by <= 2 * NR; back_by++)
			UNIT_CHECK(responder_at(starts[i], 20, 10,
						0 - back_by) == -EPROTO);
}

/* ---- wrap, pages ------------------------------------------------------- */

/* Batches of every size through the ring; checks content and order. */
static void pump(uint64_t total)
{
	uint64_t put_seq = 0, got_seq = 0, rsp_seq = 0, ans_seq = 0;
	struct entry e, want;

	for (unsigned round = 0; got_seq < total; round++) {
		unsigned batch = 1 + round % front.nr_slots;

		while (batch-- && ring_front_free(&front)) {
			e = pattern(put_seq++);
			ring_front_put(&front, &e, front.slot_bytes);
		}
		(void)!ring_front_push(&front);
		while (ring_back_pending(&back) > 0) {
			ring_back_get(&back, &e, back.slot_bytes);
			want = pattern(got_seq++);
			UNIT_REQUIRE(memcmp(&e, &want, back.slot_bytes) == 0);
		}
		UNIT_REQUIRE(ring_back_pending(&back) == 0);
		while (ans_seq < got_seq) {
			e = pattern(~ans_seq++);
			ring_back_put(&back, &e, 8);
		}
		(void)!ring_back_push(&back);
		while (ring_front_pending(&front) > 0) {
			ring_front_get(&front, &e, 8);
			want = pattern(~rsp_seq++);
			UNIT_REQUIRE(memcmp(&e, &want, 8) == 0);
		}
		UNIT_REQUIRE(ring_front_pending(&front) == 0);
	}
}

static void goes_on_across_the_wrap_of_the_indices(void)
{
	fresh_at(0xFFFFFFFFu - 500);
	pump(2000);
	UNIT_CHECK(front.req_prod < 5000);
	UNIT_CHECK(header->req_prod == front.req_prod);
}

/* From every place in the ring, so across its end as well. */
static void carries_many_at_once(void)
{
	static struct entry got[32];

	for (unsigned start = 0; start < 32; start++) {
		fresh_at(0xFFFFFFF0u + start);
		for (unsigned i = 0; i < 31; i++) {
			struct entry e = pattern(100 + i);

			ring_front_put(&front, &e, sizeof(e));
		}
		(void)!ring_front_push(&front);
		UNIT_REQUIRE(ring_back_pending(&back) == 31);
		ring_back_get_many(&back, got, 30);
		UNIT_CHECK(ring_back_pending(&back) == 1);
		ring_back_put_many(&back, got, 30);
		(void)!ring_back_push(&back);
		UNIT_REQUIRE(ring_front_pending(&front) == 30);
		for (unsigned i = 0; i < 30; i++) {
			struct entry e, expected = pattern(100 + i);

			ring_front_get(&front, &e, sizeof(e));
			UNIT_CHECK(same(&e, &expected));
		}
	}
}

static void uses_all_slots_of_a_ring_of_many_pages(void)
{
	for (unsigned pages = 1; pages <= PAGES_MAX; pages *= 2) {
		fresh((size_t)pages * PAGE, SLOT);
		UNIT_CHECK(front.nr_slots == pages * NR);
		UNIT_CHECK(ring_front_free(&front) == pages * NR);
		put(pages * NR);
		(void)!ring_front_push(&front);
		UNIT_CHECK(ring_back_pending(&back) == (int)(pages * NR));
		fresh((size_t)pages * PAGE, SLOT);
		pump(5000);
	}
}

static void carries_the_slots_of_a_network_ring(void)
{
	fresh(PAGE, 12);
	pump(5000);
	fresh(PAGE, 8);
	pump(5000);
}

static void never_writes_outside_its_memory(void)
{
	memset(memory, 0xA5, sizeof(memory));
	memset(memory, 0, PAGE);
	ring_front_init(&front, shared(), PAGE, SLOT);
	ring_back_init(&back, shared(), PAGE, SLOT);
	pump(1000);
	for (size_t i = PAGE; i < sizeof(memory); i++)
		UNIT_REQUIRE(memory[i] == 0xA5);
	for (size_t i = 64 + (size_t)NR * SLOT; i < PAGE; i++)
		UNIT_REQUIRE(memory[i] == 0);
}

/* ---- attach in the middle ---------------------------------------------- */

static int attach(uint32_t req_cons, uint32_t rsp_prod)
{
	return ring_back_attach(&back, shared(), PAGE, SLOT, req_cons,
				rsp_prod);
}

static void a_successor_goes_on_where_its_predecessor_died(void)
{
	struct entry e, want;

	fresh_at(0xFFFFFFF0u);
	for (uint64_t i = 0; i < 20; i++) {
		e = pattern(i);
		ring_front_put(&front, &e, sizeof(e));
	}
	(void)!ring_front_push(&front);
	serve(12, 5);
	memset(&back, 0xEE, sizeof(back));
	UNIT_REQUIRE(attach(0xFFFFFFF0u + 12, 0xFFFFFFF0u + 5) == 0);
	UNIT_CHECK(ring_back_pending(&back) == 8);
	for (uint64_t i = 12; i < 20; i++) {
		ring_back_get(&back, &e, sizeof(e));
		want = pattern(i);
		UNIT_CHECK(same(&e, &want));
	}
	for (unsigned i = 0; i < 15; i++)
		ring_back_put(&back, &e, 16);
	UNIT_CHECK(ring_back_push(&back));
	UNIT_CHECK(ring_front_pending(&front) == 20);
}

static void a_successor_shows_what_its_predecessor_put_and_did_not_show(void)
{
	fresh(PAGE, SLOT);
	put(4);
	(void)!ring_front_push(&front);
	serve(4, 4);
	UNIT_REQUIRE(attach(4, 4) == 0);
	UNIT_CHECK(ring_front_arm(&front) == 0);
	UNIT_CHECK(ring_back_push(&back));
	UNIT_CHECK(ring_front_pending(&front) == 4);
	UNIT_CHECK(!ring_back_push(&back));

	header->rsp_event = 5; /* asks for more than there is to show again */
	UNIT_REQUIRE(attach(4, 4) == 0);
	UNIT_CHECK(!ring_back_push(&back));
}

static void attaching_accepts_the_indices_of_any_possible_ring(void)
{
	for (unsigned i = 0; i < NR_STARTS; i++)
		for (uint32_t open = 0; open <= NR; open++)
			UNIT_CHECK(attach(starts[i] + open, starts[i]) == 0);
}

static bool same_bytes(const void *a, const void *b, size_t size_bytes)
{
	return memcmp(a, b, size_bytes) == 0;
}

static void attaching_rejects_indices_that_no_ring_can_have(void)
{
	static const uint32_t apart[] = { NR + 1, NR + 2, 0x7FFFFFFF,
					  0x80000000, 0xFFFFFFFF };
	struct ring_back before;

	for (unsigned i = 0; i < NR_STARTS; i++) {
		for (unsigned k = 0; k < 5; k++) {
			memset(&back, 0x77, sizeof(back));
			memcpy(&before, &back, sizeof(back));
			UNIT_CHECK(attach(starts[i] + apart[k], starts[i]) ==
				   -EPROTO);
			UNIT_CHECK(same_bytes(&before, &back, sizeof(back)));
		}
	}
	UNIT_CHECK(ring_back_attach(&back, shared(), 64, SLOT, 0, 0) ==
		   -EPROTO);
}

static void attaching_still_checks_the_producer(void)
{
	fresh(PAGE, SLOT);
	header->req_prod = 11;
	UNIT_REQUIRE(attach(12, 5) == 0);
	UNIT_CHECK(ring_back_pending(&back) == -EPROTO);
}

/* ---- events ------------------------------------------------------------ */

static void a_busy_backend_is_not_notified(void)
{
	fresh(PAGE, SLOT);
	put(1);
	UNIT_CHECK(ring_front_push(&front)); /* fresh: asks for the first */
	put(1);
	UNIT_CHECK(!ring_front_push(&front)); /* not armed again */
	serve(2, 0);
	put(1);
	UNIT_CHECK(!ring_front_push(&front));
	serve(1, 0);
	UNIT_CHECK(ring_back_arm(&back) == 0);
	put(5);
	UNIT_CHECK(ring_front_push(&front)); /* once per batch */
	put(1);
	UNIT_CHECK(!ring_front_push(&front));
}

static void a_busy_frontend_is_not_notified(void)
{
	fresh(PAGE, SLOT);
	put(20);
	(void)!ring_front_push(&front);
	serve(20, 1);
	UNIT_CHECK(ring_back_push(&back));
	serve(0, 3);
	UNIT_CHECK(!ring_back_push(&back));
	UNIT_CHECK(ring_front_arm(&front) == 4);
	for (unsigned i = 0; i < 4; i++) {
		struct entry e;

		ring_front_get(&front, &e, 16);
	}
	UNIT_CHECK(ring_front_arm(&front) == 0);
	serve(0, 5);
	UNIT_CHECK(ring_back_push(&back));
	serve(0, 1);
	UNIT_CHECK(!ring_back_push(&back));
}

static void arming_finds_what_came_since_the_last_look(void)
{
	fresh(PAGE, SLOT);
	UNIT_CHECK(ring_back_pending(&back) == 0);
	put(2);
	(void)!ring_front_push(&front);
	UNIT_CHECK(ring_back_arm(&back) == 2);
	serve(2, 2);
	UNIT_CHECK(ring_front_pending(&front) == 0);
	(void)!ring_back_push(&back);
	UNIT_CHECK(ring_front_arm(&front) == 2);
}

static void arming_asks_for_the_next_entry(void)
{
	fresh_at(0xFFFFFFFFu);
	UNIT_CHECK(ring_back_arm(&back) == 0);
	UNIT_CHECK(header->req_event == 0);
	UNIT_CHECK(ring_front_arm(&front) == 0);
	UNIT_CHECK(header->rsp_event == 0);
	put(1);
	UNIT_CHECK(ring_front_push(&front));
	serve(1, 1);
	UNIT_CHECK(ring_back_push(&back));
}

/* Neither the first response after it nor any before the quarter. */
static void who_waits_for_room_is_woken_by_a_quarter_of_the_answers(void)
{
	for (unsigned nr = 1; nr <= 32; nr++) {
		unsigned quarter = nr / 4 + 1;

		fresh_at(0xFFFFFFF0u);
		put(nr);
		(void)!ring_front_push(&front);
		UNIT_CHECK(ring_front_arm_quarter(&front) == 0);
		serve(nr, 0);
		for (unsigned i = 1; i <= nr; i++) {
			serve(0, 1);
			UNIT_CHECK(ring_back_push(&back) == (i == quarter));
		}
		UNIT_CHECK(ring_front_arm_quarter(&front) == (int)nr);
	}
}

static void a_wild_event_index_costs_at_most_a_wake_up(void)
{
	fresh(PAGE, SLOT);
	for (unsigned i = 0; i < NR_STARTS; i++) {
		header->req_event = starts[i];
		put(1);
		UNIT_CHECK(ring_front_push(&front) ==
			   (starts[i] == front.req_prod));
	}
}

/* ---- copies ------------------------------------------------------------ */

static void a_slot_rewritten_after_the_copy_is_harmless(void)
{
	struct entry e = pattern(7), got, want = e;

	fresh(PAGE, SLOT);
	ring_front_put(&front, &e, sizeof(e));
	memset(&e, 0, sizeof(e));
	(void)!ring_front_push(&front);
	UNIT_REQUIRE(ring_back_pending(&back) == 1);
	ring_back_get(&back, &got, sizeof(got));
	memset(memory + 64, 0xFF, PAGE - 64);
	UNIT_CHECK(same(&got, &want));
	ring_back_put(&back, &got, 16);
	(void)!ring_back_push(&back);
	UNIT_REQUIRE(ring_front_pending(&front) == 1);
	ring_front_get(&front, &e, 16);
	memset(memory + 64, 0xFF, PAGE - 64);
	UNIT_CHECK(memcmp(&e, &want, 16) == 0);
}

static void own_indices_are_never_read_back(void)
{
	fresh(PAGE, SLOT);
	put(3);
	(void)!ring_front_push(&front);
	header->rsp_prod = 77; /* the frontend scribbles over ours */
	header->req_event = 99;
	serve(3, 3);
	(void)!ring_back_push(&back);
	UNIT_CHECK(header->rsp_prod == 3);
	header->req_prod = 55; /* and the backend over the frontend's */
	header->rsp_event = 99;
	put(1);
	(void)!ring_front_push(&front);
	UNIT_CHECK(header->req_prod == 4);
	UNIT_CHECK(ring_front_pending(&front) == 3);
}

UNIT_MAIN(
	"ring", UNIT_TEST(counts_the_slots_that_fit),
	UNIT_TEST(carries_requests_and_responses_in_order),
	UNIT_TEST(shows_nothing_before_a_push),
	UNIT_TEST(a_push_of_nothing_is_silent),
	UNIT_TEST(counts_free_slots_until_the_ring_is_full),
	UNIT_TEST(accepts_a_full_ring),
	UNIT_TEST(rejects_a_producer_past_the_ring),
	UNIT_TEST(rejects_a_producer_moved_backwards),
	UNIT_TEST(a_broken_ring_stays_broken),
	UNIT_TEST(arming_rejects_an_impossible_producer_too),
	UNIT_TEST(answers_that_were_not_shown_free_no_frontend_slots),
	UNIT_TEST(accepts_answers_to_all_that_was_shown),
	UNIT_TEST(rejects_answers_to_requests_that_were_not_shown),
	UNIT_TEST(rejects_a_response_index_moved_backwards),
	UNIT_TEST(goes_on_across_the_wrap_of_the_indices),
	UNIT_TEST(carries_many_at_once),
	UNIT_TEST(uses_all_slots_of_a_ring_of_many_pages),
	UNIT_TEST(carries_the_slots_of_a_network_ring),
	UNIT_TEST(never_writes_outside_its_memory),
	UNIT_TEST(a_successor_goes_on_where_its_predecessor_died),
	UNIT_TEST(a_successor_shows_what_its_predecessor_put_and_did_not_show),
	UNIT_TEST(attaching_accepts_the_indices_of_any_possible_ring),
	UNIT_TEST(attaching_rejects_indices_that_no_ring_can_have),
	UNIT_TEST(attaching_still_checks_the_producer),
	UNIT_TEST(a_busy_backend_is_not_notified),
	UNIT_TEST(a_busy_frontend_is_not_notified),
	UNIT_TEST(arming_finds_what_came_since_the_last_look),
	UNIT_TEST(arming_asks_for_the_next_entry),
	UNIT_TEST(who_waits_for_room_is_woken_by_a_quarter_of_the_answers),
	UNIT_TEST(a_wild_event_index_costs_at_most_a_wake_up),
	UNIT_TEST(a_slot_rewritten_after_the_copy_is_harmless),
	UNIT_TEST(own_indices_are_never_read_back))
