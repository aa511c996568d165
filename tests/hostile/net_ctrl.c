/* SPDX-License-Identifier: MIT */
/*
 * net_ctrl.c - a vif's control ring: what it sets is what frames get, and what
 * a guest lies there harms nobody. THREATS.md section A: XSA-270
 * (CVE-2018-15471: a mapping past its table), CVE-2010-4247 (the ring's own
 * indices), references that are not granted.
 */
#include "grant/grant.h"
#include "tests/hostile/net_guest.h"

static const struct guest_config four = {
	.features = ALL,
	.nr_queues = 4,
	.ctrl = true,
};

#define NO_ANSWER 0xffffffffu

/* The answer's status; its data in *data, unless that is NULL. */
static uint32_t ask(uint16_t type, uint32_t d0, uint32_t d1, uint32_t d2,
		    uint32_t *data)
{
	static uint16_t id;
	struct xen_netif_ctrl_request req = { .id = ++id,
					      .type = type,
					      .data = { d0, d1, d2 } };
	struct xen_netif_ctrl_response rsp;

	ring_front_put(&b.ctrl, &req, sizeof(req));
	if (ring_front_push(&b.ctrl))
		evtchn_notify(b.ctrl_ev);
	if (!AWAIT(ring_front_pending(&b.ctrl) > 0))
		return NO_ANSWER;
	ring_front_get(&b.ctrl, &rsp, sizeof(rsp));
	UNIT_CHECK(rsp.id == id && rsp.type == type);
	if (data)
		*data = rsp.data;
	return rsp.status;
}

#define ASK(what, ...) ask(XEN_NETIF_CTRL_TYPE_##what, __VA_ARGS__)
#define OKAY	       XEN_NETIF_CTRL_STATUS_SUCCESS
#define INVALID	       XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER
#define OVERFLOWS      XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW
#define UNSUPPORTED    XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED

/* Toeplitz, all types, a key that is not zero. */
static void use_hash(void)
{
	for (unsigned i = 0; i < 40; i++)
		((uint8_t *)b.ctrl_page)[i] = (uint8_t)(i * 37 + 11);
	UNIT_CHECK(ASK(SET_HASH_ALGORITHM, 1, 0, 0, NULL) == OKAY);
	UNIT_CHECK(ASK(SET_HASH_FLAGS, 0xf, 0, 0, NULL) == OKAY);
	UNIT_CHECK(ASK(SET_HASH_KEY, b.ctrl_page_ref, 40, 0, NULL) == OKAY);
}

static uint32_t hash_of(const uint8_t *frame)
{
	struct rss rss = { .algorithm = 1, .types = 0xf };
	struct rss_table table;
	struct flow flow;
	uint32_t hash;
	uint8_t type;

	for (unsigned i = 0; i < 40; i++)
		rss.key[i] = (uint8_t)(i * 37 + 11);
	rss_table_init(&table, rss.key);
	flow_parse(frame, 100, &flow);
	UNIT_CHECK(rss_hash(&rss, &table, &flow, &type, &hash) && type == 1);
	return hash;
}

/* Send an IPv4 TCP frame of that flow to b; its bytes. */
static const uint8_t *send_flow(unsigned flow)
{
	struct netif_tx_request r = tx_frame(&a, &b, 6, 100);
	uint8_t *p = (uint8_t *)a.send.base + 6 * PV_PAGE_SIZE;
	uint16_t id;

	p[12] = 8;
	p[13] = 0;
	p[14] = 0x45;
	p[16] = 0;
	p[17] = 86;
	p[20] = p[21] = 0;
	p[23] = 6;
	p[35] = (uint8_t)flow;
	tx_request(&a, r);
	tx_show(&a);
	UNIT_CHECK(tx_status(&a, &id) == NETIF_RSP_OKAY);
	return p;
}

/* The queue that the one frame came out of; its hash in *hash, if it has one
 * (and 0 in *has). */
static int receive(bool *has, uint32_t *hash)
{
	int where = -1;

	*has = false;
	for (uint32_t i = 0; i < b.nr_queues; i++) {
		struct netif_rx_response rsp;
		struct netif_extra_info extra;

		if (ring_front_pending(&b.q[i].rx) <= 0)
			continue;
		ring_front_get(&b.q[i].rx, &rsp, sizeof(rsp));
		UNIT_CHECK(where < 0 && rsp.status == 100);
		where = (int)i;
		if (!(rsp.flags & NETRXF_extra_info))
			continue;
		memset(&extra, 0, sizeof(extra));
		if (ring_front_pending(&b.q[i].rx) > 0)
			ring_front_get(&b.q[i].rx, &extra, sizeof(extra));
		UNIT_CHECK(extra.type == XEN_NETIF_EXTRA_TYPE_HASH &&
			   !extra.flags && extra.u.hash.type == 1 &&
			   extra.u.hash.algorithm == 1);
		memcpy(hash, extra.u.hash.value, sizeof(*hash));
		*has = true;
	}
	return where;
}

static void begin(void)
{
	setup_as(&four);
	for (uint32_t i = 0; i < 4; i++)
		rx_post_queue(&b, i, 200);
}

static void frames_come_with_the_hash_and_into_the_queue_asked_for(void)
{
	uint32_t mapping[8], hash = 0, data = 0;
	bool has;

	begin();
	UNIT_CHECK(ASK(GET_HASH_FLAGS, 0, 0, 0, NULL) == UNSUPPORTED);
	UNIT_CHECK(ASK(SET_HASH_FLAGS, 1, 0, 0, NULL) == UNSUPPORTED);
	use_hash();
	UNIT_CHECK(ASK(GET_HASH_FLAGS, 0, 0, 0, &data) == OKAY && data == 0xf);
	/* No mapping: modulo the queues. */
	for (unsigned f = 0; f < 16; f++) {
		uint32_t want = hash_of(send_flow(f));

		UNIT_CHECK(receive(&has, &hash) == (int)(want % 4));
		UNIT_CHECK(has && hash == want);
	}
	UNIT_CHECK(ASK(GET_HASH_MAPPING_SIZE, 0, 0, 0, &data) == OKAY &&
		   data == RSS_MAPPING_MAX);
	UNIT_CHECK(ASK(SET_HASH_MAPPING_SIZE, 8, 0, 0, NULL) == OKAY);
	for (uint32_t i = 0; i < 8; i++)
		mapping[i] = i % 2 ? 3 : 1;
	memcpy(b.ctrl_page, mapping, sizeof(mapping));
	UNIT_CHECK(ASK(SET_HASH_MAPPING, b.ctrl_page_ref, 8, 0, NULL) == OKAY);
	for (unsigned f = 0; f < 16; f++) {
		uint32_t want = hash_of(send_flow(f));

		UNIT_CHECK(receive(&has, &hash) == (want % 2 ? 3 : 1));
		UNIT_CHECK(has && hash == want);
	}
	/* And no more. */
	UNIT_CHECK(ASK(SET_HASH_ALGORITHM, 0, 0, 0, NULL) == OKAY);
	send_flow(1);
	UNIT_CHECK(receive(&has, &hash) >= 0 && !has);
	teardown();
}

static void wrong_requests_are_answered_and_change_nothing(void)
{
	static const struct {
		uint16_t type;
		uint32_t d0, d1, d2, status;
	} wrong[] = {
		{ 0, 0, 0, 0, UNSUPPORTED },
		{ 11, 0, 0, 0, UNSUPPORTED },
		{ 0xffff, 0, 0, 0, UNSUPPORTED },
		{ XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM, 2, 0, 0, INVALID },
		{ XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS, 0x10, 0, 0, INVALID },
		{ XEN_NETIF_CTRL_TYPE_SET_HASH_KEY, 0x7fffffff, 40, 0,
		  INVALID },
		{ XEN_NETIF_CTRL_TYPE_SET_HASH_KEY, 0, 41, 0, OVERFLOWS },
		{ XEN_NETIF_CTRL_TYPE_SET_HASH_KEY, 0, 0xffffffff, 0,
		  OVERFLOWS },
		{ XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE, 129, 0, 0,
		  INVALID },
		{ XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING, 0x7fffffff, 4, 0,
		  INVALID },
		{ XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING, 0, 129, 0, OVERFLOWS },
		{ XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING, 0, 0xffffffff, 0,
		  OVERFLOWS },
		{ XEN_NETIF_CTRL_TYPE_GET_GREF_MAPPING_SIZE, 4, 0, 0, INVALID },
		{ XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, 4, 0, 0, INVALID },
		{ XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, 0, 0, 513, INVALID },
		{ XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, 0, 0, 0xffffffff,
		  INVALID },
		{ XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, 0, 0x7fffffff, 1,
		  INVALID },
		{ XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING, 0xffffffff, 0, 0,
		  INVALID },
		{ XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING, 0, 0, 513, INVALID },
		{ XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING, 0, 0x7fffffff, 1,
		  INVALID },
	};
	uint32_t hash = 0, want;
	bool has;

	begin();
	use_hash();
	UNIT_CHECK(ASK(SET_HASH_MAPPING_SIZE, 8, 0, 0, NULL) == OKAY);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		UNIT_CHECK(ask(wrong[i].type, wrong[i].d0, wrong[i].d1,
			       wrong[i].d2, NULL) == wrong[i].status);
	/* XSA-270: the page is there, the place is not. */
	memset(b.ctrl_page, 0, PV_PAGE_SIZE);
	UNIT_CHECK(ASK(SET_HASH_MAPPING, b.ctrl_page_ref, 2, 0xffffffff,
		       NULL) == INVALID);
	UNIT_CHECK(ASK(SET_HASH_MAPPING, b.ctrl_page_ref, 2, 7, NULL) ==
		   INVALID);
	UNIT_CHECK(ASK(SET_HASH_MAPPING, b.ctrl_page_ref, 9, 0, NULL) ==
		   INVALID);
	((uint32_t *)b.ctrl_page)[1] = 4; /* no such queue */
	UNIT_CHECK(ASK(SET_HASH_MAPPING, b.ctrl_page_ref, 2, 0, NULL) ==
		   INVALID);
	want = hash_of(send_flow(3));
	UNIT_CHECK(receive(&has, &hash) == 0 && has && hash == want);
	UNIT_CHECK(!atomic_load(&b.fault) && served(&a, &b));
	teardown();
}

static void a_lie_about_the_control_ring_ends_the_vif_once(void)
{
	static const uint32_t lies[] = { 129, 0x80000000u, 0xffffffffu };

	for (unsigned i = 0; i < 3; i++) {
		begin();
		__atomic_store_n((uint32_t *)b.ctrl_pages.base, lies[i],
				 __ATOMIC_RELEASE);
		evtchn_notify(b.ctrl_ev);
		UNIT_CHECK(broken(&b, -EPROTO));
		for (int n = 0; n < 20; n++)
			UNIT_CHECK(served(&a, &b));
		UNIT_CHECK(atomic_load(&b.nr_faults) == 1);
		teardown();
	}
}

static unsigned drain_answers(void)
{
	struct xen_netif_ctrl_response rsp;
	unsigned nr = 0;

	while (ring_front_pending(&b.ctrl) > 0) {
		ring_front_get(&b.ctrl, &rsp, sizeof(rsp));
		nr++;
	}
	return nr;
}

static void full_rings_of_requests_do_not_hold_up_others(void)
{
	struct xen_netif_ctrl_request req = {
		.type = XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING,
		.data = { 0, 0, 512 },
	};
	unsigned nr_asked = 0, nr = 0;

	begin();
	req.data[1] = b.ctrl_page_ref;
	for (unsigned round = 0; round < 20; round++) {
		for (; ring_front_free(&b.ctrl); nr_asked++)
			ring_front_put(&b.ctrl, &req, sizeof(req));
		if (ring_front_push(&b.ctrl))
			evtchn_notify(b.ctrl_ev);
		UNIT_CHECK(served(&a, &b));
		nr += drain_answers();
	}
	UNIT_CHECK(AWAIT((nr += drain_answers()) == nr_asked));
	UNIT_CHECK(!atomic_load(&b.fault));
	teardown();
}

/* ---- pages that stay mapped ---------------------------------------------- */

static struct xen_netif_gref *gref_list(void)
{
	return b.ctrl_page;
}

static int count_pages(void *arg)
{
	const struct queue_record *record = arg;

	return (int)record->pages.nr;
}

/* Those of b's third queue, as its own thread sees them. */
static int nr_pages(void)
{
	return worker_call(worker, count_pages, b.records[2]);
}

static void pages_are_added_all_or_none_and_taken_away(void)
{
	struct xen_netif_gref *list;
	uint32_t data = 0;

	begin();
	list = gref_list();
	UNIT_CHECK(ASK(GET_GREF_MAPPING_SIZE, 2, 0, 0, &data) == OKAY &&
		   data == RECORD_PAGES_MAX);
	for (uint32_t i = 0; i < 30; i++)
		list[i] = (struct xen_netif_gref){
			.ref = b.recv.first_ref + 2 * RX_PAGES + i,
		};
	UNIT_CHECK(ASK(ADD_GREF_MAPPING, 2, b.ctrl_page_ref, 30, NULL) == OKAY);
	UNIT_CHECK(nr_pages() == 30);
	/* One that is not granted, one that may only be read, one flag. */
	for (unsigned kind = 0; kind < 3; kind++) {
		list[0].ref = b.recv.first_ref + 2 * RX_PAGES + 40;
		list[29] = (struct xen_netif_gref){ .ref = 0x7fffffff };
		if (kind == 1)
			list[29].ref = b.send.first_ref;
		if (kind == 2)
			list[29] =
				(struct xen_netif_gref){ .ref = list[0].ref + 1,
							 .flags = 2 };
		UNIT_CHECK(ASK(ADD_GREF_MAPPING, 2, b.ctrl_page_ref, 30,
			       NULL) == INVALID);
		UNIT_CHECK(nr_pages() == 30);
	}
	list[29] = (struct xen_netif_gref){
		.ref = b.send.first_ref, .flags = XEN_NETIF_CTRLF_GREF_readonly
	};
	UNIT_CHECK(ASK(ADD_GREF_MAPPING, 2, b.ctrl_page_ref, 30, NULL) == OKAY);
	UNIT_CHECK(nr_pages() == 32);
	/* Of another queue it is not; of this one, once. */
	UNIT_CHECK(ASK(DEL_GREF_MAPPING, 1, b.ctrl_page_ref, 30, &data) ==
			   OKAY &&
		   data == 0 && list[3].status == INVALID);
	list[7].ref = list[6].ref;
	UNIT_CHECK(ASK(DEL_GREF_MAPPING, 2, b.ctrl_page_ref, 30, &data) ==
			   OKAY &&
		   data == 29);
	UNIT_CHECK(list[6].status == OKAY && list[7].status == INVALID);
	UNIT_CHECK(nr_pages() == 3);
	teardown();
}

static void a_page_taken_away_is_no_longer_mapped(void)
{
	struct xen_netif_gref *list;
	struct share extra;
	uint32_t data;

	begin();
	list = gref_list();
	UNIT_REQUIRE(!platform_share(b.platform, back_id, 4, 0, &extra));
	for (uint32_t i = 0; i < 4; i++)
		list[i].ref = extra.first_ref + i;
	UNIT_CHECK(ASK(ADD_GREF_MAPPING, 0, b.ctrl_page_ref, 4, NULL) == OKAY);
	UNIT_CHECK(platform_unshare(b.platform, &extra) == -EBUSY);
	UNIT_CHECK(ASK(DEL_GREF_MAPPING, 0, b.ctrl_page_ref, 4, &data) ==
			   OKAY &&
		   data == 4);
	teardown();
}

static void no_more_pages_are_kept_than_was_said(void)
{
	struct xen_netif_gref *list;
	struct share extra;

	begin();
	list = gref_list();
	UNIT_REQUIRE(!platform_share(b.platform, back_id, RECORD_PAGES_MAX + 1,
				     0, &extra));
	for (uint32_t i = 0; i < RECORD_PAGES_MAX; i++)
		list[i].ref = extra.first_ref + i;
	UNIT_CHECK(ASK(ADD_GREF_MAPPING, 0, b.ctrl_page_ref, RECORD_PAGES_MAX,
		       NULL) == OKAY);
	list[0].ref = extra.first_ref + RECORD_PAGES_MAX;
	UNIT_CHECK(ASK(ADD_GREF_MAPPING, 0, b.ctrl_page_ref, 1, NULL) ==
		   INVALID);
	UNIT_CHECK(served(&a, &b));
	/* Still mapped, so it will not be used again. */
	UNIT_CHECK(platform_unshare(b.platform, &extra) == -EBUSY);
	teardown();
}

static void a_successor_knows_all_that_was_asked_for(void)
{
	struct xen_netif_gref *list;
	uint32_t hash = 0, data = 0;
	bool has;

	begin();
	list = gref_list();
	use_hash();
	UNIT_CHECK(ASK(SET_HASH_MAPPING_SIZE, 2, 0, 0, NULL) == OKAY);
	memcpy(b.ctrl_page, (uint32_t[]){ 2, 2 }, 8);
	UNIT_CHECK(ASK(SET_HASH_MAPPING, b.ctrl_page_ref, 2, 0, NULL) == OKAY);
	list[0] = (struct xen_netif_gref){ .ref = b.recv.first_ref };
	UNIT_CHECK(ASK(ADD_GREF_MAPPING, 0, b.ctrl_page_ref, 1, NULL) == OKAY);
	for (unsigned i = 0; i < 3; i++) {
		uint32_t want;

		port_end(&b, true);
		UNIT_REQUIRE(!port_make(&b, true));
		want = hash_of(send_flow(i));
		UNIT_CHECK(receive(&has, &hash) == 2 && has && hash == want);
	}
	UNIT_CHECK(ASK(DEL_GREF_MAPPING, 0, b.ctrl_page_ref, 1, &data) ==
			   OKAY &&
		   data == 1);
	teardown();
}

/* ---- deaths in the middle of a list ---------------------------------------
 */

/* All that b's backend leaves, as it was at some instant. */
static struct death {
	/* Changes of what is mapped before that instant; 0: it has come. */
	atomic_uint countdown;
	struct queue_record records[GUEST_QUEUES_MAX];
	uint8_t pages[2 * PV_PAGE_SIZE]; /* the control ring's, and b's list */
} death;

/* What the guest may write meanwhile: a race by design. */
__attribute__((no_sanitize("thread"))) static void copy_pages(uint8_t *to)
{
	const volatile uint8_t *from = b.ctrl_pages.base;

	for (size_t i = 0; i < sizeof(death.pages); i++)
		to[i] = from[i];
}

/* Something is about to be mapped or unmapped. */
static void maybe_die(void)
{
	/* Armed before the request is shown, which nobody else does. */
	if (!atomic_load(&death.countdown) ||
	    atomic_fetch_sub(&death.countdown, 1) > 1)
		return;
	for (uint32_t i = 0; i < b.nr_queues; i++)
		memcpy(&death.records[i], b.records[i],
		       sizeof(death.records[i]));
	copy_pages(death.pages);
}

int __real_grant_cache_get(struct grant_cache *cache, grant_ref_t ref,
			   bool writable, void PV_SHARED **ret);
int __wrap_grant_cache_get(struct grant_cache *cache, grant_ref_t ref,
			   bool writable, void PV_SHARED **ret);
int __wrap_grant_cache_get(struct grant_cache *cache, grant_ref_t ref,
			   bool writable, void PV_SHARED **ret)
{
	maybe_die();
	return __real_grant_cache_get(cache, ref, writable, ret);
}

void __real_grant_cache_forget(struct grant_cache *cache, grant_ref_t ref);
void __wrap_grant_cache_forget(struct grant_cache *cache, grant_ref_t ref);
void __wrap_grant_cache_forget(struct grant_cache *cache, grant_ref_t ref)
{
	maybe_die();
	__real_grant_cache_forget(cache, ref);
}

/* What a request came to: its answer, the list, how many pages are mapped. */
struct outcome {
	struct xen_netif_ctrl_response rsp;
	struct xen_netif_gref list[8];
	uint32_t nr_pages;
};

static bool outcome_take(struct outcome *o)
{
	if (!AWAIT(ring_front_pending(&b.ctrl) > 0))
		return false;
	memset(o, 0, sizeof(*o));
	ring_front_get(&b.ctrl, &o->rsp, sizeof(o->rsp));
	memcpy(o->list, b.ctrl_page, sizeof(o->list));
	o->nr_pages = nr_pages();
	return true;
}

/* Eight entries: some of them are there, one twice, one is granted to nobody
 * when bad. */
static void fill_list(bool bad)
{
	struct xen_netif_gref *list = gref_list();

	for (uint32_t i = 0; i < 8; i++)
		list[i].ref = b.recv.first_ref + i;
	list[5].ref = list[2].ref;
	if (bad)
		list[7].ref = 0x7fffffff;
}

/*
 * Ask, let the worker die at the nth change, and have a successor answer. 0:
 * there are not so many changes; -1 the two answers differ; else 1.
 */
static int ask_and_die(uint16_t type, bool bad, unsigned nth)
{
	struct xen_netif_ctrl_request req = {
		.id = 9, .type = type, .data = { 2, b.ctrl_page_ref, 8 }
	};
	struct outcome want, got;
	struct ring_front asked;

	fill_list(bad);
	atomic_store(&death.countdown, nth);
	ring_front_put(&b.ctrl, &req, sizeof(req));
	if (ring_front_push(&b.ctrl))
		evtchn_notify(b.ctrl_ev);
	asked = b.ctrl;
	if (!outcome_take(&want))
		return -1;
	if (atomic_exchange(&death.countdown, 0))
		return 0;
	port_end(&b, true);
	for (uint32_t i = 0; i < b.nr_queues; i++)
		memcpy(b.records[i], &death.records[i],
		       sizeof(death.records[i]));
	memcpy(b.ctrl_pages.base, death.pages, sizeof(death.pages));
	b.ctrl = asked;
	if (port_make(&b, true) || !outcome_take(&got))
		return -1;
	return memcmp(&want, &got, sizeof(got)) ? -1 : 1;
}

static void a_list_is_answered_alike_whoever_dies_in_the_middle_of_it(void)
{
	static const struct {
		uint16_t type;
		bool bad;
	} kinds[] = {
		{ XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, false },
		{ XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, true },
		{ XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING, false },
	};

	for (unsigned kind = 0; kind < 3; kind++)
		for (unsigned nth = 1, died = 1; died; nth++) {
			struct xen_netif_gref *list;
			int ret;

			begin();
			/* Two are there, and for a deletion all but one. */
			fill_list(false);
			UNIT_CHECK(ASK(ADD_GREF_MAPPING, 2, b.ctrl_page_ref,
				       kind == 2 ? 7 : 2, NULL) == OKAY);
			list = gref_list();
			list[0].ref = b.recv.first_ref + 20;
			UNIT_CHECK(ASK(ADD_GREF_MAPPING, 2, b.ctrl_page_ref, 1,
				       NULL) == OKAY);
			ret = ask_and_die(kinds[kind].type, kinds[kind].bad,
					  nth);
			UNIT_CHECK(ret >= 0);
			UNIT_CHECK(ret != 0 || nth > 4);
			died = ret != 0 && nth < 20;
			UNIT_CHECK(served(&a, &b));
			teardown();
		}
}

UNIT_MAIN("net_ctrl",
	  UNIT_TEST(frames_come_with_the_hash_and_into_the_queue_asked_for),
	  UNIT_TEST(wrong_requests_are_answered_and_change_nothing),
	  UNIT_TEST(a_lie_about_the_control_ring_ends_the_vif_once),
	  UNIT_TEST(full_rings_of_requests_do_not_hold_up_others),
	  UNIT_TEST(pages_are_added_all_or_none_and_taken_away),
	  UNIT_TEST(a_page_taken_away_is_no_longer_mapped),
	  UNIT_TEST(no_more_pages_are_kept_than_was_said),
	  UNIT_TEST(a_successor_knows_all_that_was_asked_for),
	  UNIT_TEST(a_list_is_answered_alike_whoever_dies_in_the_middle_of_it))
