/* SPDX-License-Identifier: MIT */
/*
 * net_chains.c - random transmit chains, good and bad, through the parser and
 * the switch into the rings of a guest with random features: what arrives, byte
 * by byte, how chains are answered and what is counted, against a model that
 * has nothing of netback's. A failure prints its seed and step.
 */
#include "tests/unit/net_chain.h"
#include "tests/unit/soak.h"

#define SLOTS_MAX    XEN_NETIF_NR_SLOTS_MIN
#define STEPS	     60u
#define SEGMENTS_MAX 30u
#define BUFFERS	     60u

/* What is wrong with a chain. */
enum fault {
	GOOD,
	PAST_PAGE,
	UNKNOWN_FLAG,
	SIZES_CONTRADICT,
	GSO_SIZE_0,
	GSO_TYPE,
	EXTRA_TYPE,
	NOT_GRANTED,
	TOO_SHORT,
	BLANK_OF_NOTHING,
	NR_FAULTS
};

static struct {
	struct netif_tx_request reqs[SLOTS_MAX];
	struct netif_extra_info extras[2];
	unsigned nr_reqs, nr_extras;
	enum fault fault;
	struct chain_meta meta;
	bool ip, right_csum;
} chain;

/* What must have been counted. */
static struct {
	uint64_t sent, sent_bytes, errors, came, came_bytes, cut, unable;
} expected;

static uint32_t features;
static struct test_frame frame, want, got;

/* ---- making a chain -------------------------------------------------------
 */

static void make_frame(void)
{
	struct frame_wish wish = { .tcp = frame_random(3),
				   .ipv6 = frame_random(2),
				   .vlan = !frame_random(5) };

	memcpy(wish.dst, b.mac, 6);
	memcpy(wish.src, a.mac, 6);
	wish.payload_bytes = frame_random(frame_random(2) ? 1400 : 60000);
	chain.ip = frame_random(5);
	frame_make(&frame, &wish);
	if (!chain.ip)
		frame_put16(frame.b + 12, 0x88b5);
	chain.right_csum = true;
	if (chain.ip && !frame_random(8)) {
		frame.b[frame.l4 + (wish.tcp ? 16 : 6)] ^= 0x10;
		chain.right_csum = false;
	}
}

static void make_meta(void)
{
	struct chain_meta *m = &chain.meta;
	uint32_t payload = frame.size - frame.payload, least;

	*m = (struct chain_meta){ .validated = frame_random(2) };
	if (!chain.ip)
		return;
	m->blank = frame_random(2);
	if (!frame.tcp || !payload || frame_random(3) == 0)
		return;
	least = payload / SEGMENTS_MAX + 1;
	m->gso_type = frame.ipv6 ? XEN_NETIF_GSO_TYPE_TCPV6
				 : XEN_NETIF_GSO_TYPE_TCPV4;
	m->gso_size = (uint16_t)(least + frame_random(3000));
}

/* Each piece at a random place in a page of its own. */
static void make_slots(void)
{
	uint32_t left = frame.size, done = 0;
	unsigned least = (left + PV_PAGE_SIZE - 1) / PV_PAGE_SIZE, nr;

	nr = least + frame_random(SLOTS_MAX + 1 - least);
	for (unsigned i = 0; i < nr; i++) {
		uint32_t others = (nr - 1 - i) * PV_PAGE_SIZE;
		uint32_t low = left > others ? left - others : 0;
		uint32_t high = left < PV_PAGE_SIZE ? left : PV_PAGE_SIZE;
		uint32_t n =
			i == nr - 1 ? left : low + frame_random(high - low + 1);
		uint32_t offset = frame_random(PV_PAGE_SIZE - n + 1);

		memcpy((uint8_t *)a.send.base + i * PV_PAGE_SIZE + offset,
		       frame.b + done, n);
		chain.reqs[i] = (struct netif_tx_request){
			.gref = a.send.first_ref + i,
			.offset = (uint16_t)offset,
			.id = (uint16_t)frame_random(65536),
			.size = (uint16_t)n,
			.flags = i < nr - 1 ? NETTXF_more_data : 0,
		};
		done += n;
		left -= n;
	}
	chain.nr_reqs = nr;
	chain.reqs[0].size = (uint16_t)frame.size;
}

static void make_extras(void)
{
	const struct chain_meta *m = &chain.meta;

	chain.nr_extras = 0;
	if (m->gso_type)
		chain.extras[chain.nr_extras++] = (struct netif_extra_info){
			.type = XEN_NETIF_EXTRA_TYPE_GSO,
			.u.gso.type = m->gso_type,
			.u.gso.size = m->gso_size,
		};
	if (!frame_random(4))
		chain.extras[chain.nr_extras++] = (struct netif_extra_info){
			.type = XEN_NETIF_EXTRA_TYPE_HASH,
		};
	if (chain.nr_extras == 2)
		chain.extras[0].flags = XEN_NETIF_EXTRA_FLAG_MORE;
	if (m->blank)
		chain.reqs[0].flags |= NETTXF_csum_blank;
	if (m->validated)
		chain.reqs[0].flags |= NETTXF_data_validated;
	if (chain.nr_extras)
		chain.reqs[0].flags |= NETTXF_extra_info;
}

/* One thing wrong; GOOD when this chain has no place for it. */
static enum fault spoil(enum fault fault)
{
	unsigned i = frame_random(chain.nr_reqs);
	struct netif_tx_request *req = &chain.reqs[i];
	struct netif_extra_info *extra = &chain.extras[0];

	switch (fault) {
	case GOOD:
	case NR_FAULTS: break;
	case PAST_PAGE:
		req->offset = (uint16_t)(4097 + frame_random(999));
		break;
	case UNKNOWN_FLAG:
		req->flags |= (uint16_t)(0x10 << frame_random(12));
		break;
	case SIZES_CONTRADICT:
		if (chain.nr_reqs == 1)
			return GOOD;
		chain.reqs[1].size = (uint16_t)(frame.size + 1);
		return frame.size < 65535 ? fault : GOOD;
	case GSO_SIZE_0:
		if (!chain.meta.gso_type)
			return GOOD;
		extra->u.gso.size = 0;
		break;
	case GSO_TYPE:
		if (!chain.meta.gso_type)
			return GOOD;
		/* The other one, or none that there is. */
		extra->u.gso.type = frame_random(2)
					    ? (uint8_t)(3 - chain.meta.gso_type)
					    : (uint8_t)(3 + frame_random(250));
		break;
	case EXTRA_TYPE:
		if (!chain.nr_extras)
			return GOOD;
		extra->type =
			(uint8_t)(XEN_NETIF_EXTRA_TYPE_XDP + frame_random(99));
		break;
	case NOT_GRANTED:
		if (!(i ? req->size : 1u))
			return GOOD;
		req->gref = 0x0ffffff0;
		break;
	case TOO_SHORT:
		chain.nr_reqs = 1;
		chain.reqs[0].size = (uint16_t)frame_random(14);
		chain.reqs[0].flags &= (uint16_t)~NETTXF_more_data;
		break;
	case BLANK_OF_NOTHING:
		if (chain.ip)
			return GOOD;
		chain.reqs[0].flags |= NETTXF_csum_blank;
		break;
	}
	return fault;
}

/* The first slot's own piece is what the others leave, and may be nothing. */
static bool first_is_empty(void)
{
	uint32_t rest = 0;

	for (unsigned i = 1; i < chain.nr_reqs; i++)
		rest += chain.reqs[i].size;
	return rest >= chain.reqs[0].size;
}

static void make_chain(void)
{
	memset(&chain, 0, sizeof(chain));
	make_frame();
	make_meta();
	do {
		make_slots();
	} while (first_is_empty());
	make_extras();
	if (frame_random(3) == 0)
		chain.fault = spoil(1 + frame_random(NR_FAULTS - 1));
}

/* ---- through the rings ----------------------------------------------------
 */

static void put_chain(void)
{
	for (unsigned i = 0; i < chain.nr_reqs; i++) {
		tx_request(&a, chain.reqs[i]);
		for (unsigned x = 0; !i && x < chain.nr_extras; x++)
			ring_front_put(&a.q[0].tx, &chain.extras[x],
				       sizeof(chain.extras[x]));
	}
	tx_show(&a);
}

static bool answered(int status)
{
	uint16_t id;

	for (unsigned i = 0; i < chain.nr_reqs; i++) {
		if (tx_status(&a, &id) != status || id != chain.reqs[i].id)
			return false;
		for (unsigned x = 0; !i && x < chain.nr_extras; x++)
			if (tx_status(&a, &id) != NETIF_RSP_NULL)
				return false;
	}
	return true;
}

/* The next frame is want's bytes; its checksum may be left to the guest. */
static bool comes(bool may_be_blank, const struct chain_meta *meta)
{
	struct chain_meta m;
	uint32_t before = b.q[0].rx.rsp_cons;
	bool ok = chain_recv(&b, got.b, &got.size, &m);

	rx_post(&b, b.q[0].rx.rsp_cons - before);
	expected.came++;
	expected.came_bytes += got.size;
	if (!ok || got.size != want.size || (m.blank && !may_be_blank) ||
	    m.gso_type != meta->gso_type || m.gso_size != meta->gso_size)
		return false;
	if (m.blank) {
		got.l3 = want.l3;
		got.l4 = want.l4;
		got.ipv6 = want.ipv6;
		got.tcp = want.tcp;
		slow_fill(&got);
		slow_fill(&want);
	}
	return !memcmp(got.b, want.b, want.size);
}

/* ---- the model ------------------------------------------------------------
 */

static bool takes_gso(void)
{
	return features & (frame.ipv6 ? QUEUE_GSO_TCPV6 : QUEUE_GSO_TCPV4);
}

static bool takes_blank(void)
{
	return features & (frame.ipv6 ? QUEUE_CSUM_IPV6 : QUEUE_CSUM_IPV4);
}

static bool comes_in_pieces(uint32_t mss, uint32_t most)
{
	static const struct chain_meta none;

	if (mss > most - frame.payload)
		mss = most - frame.payload;
	expected.cut++;
	for (uint32_t i = 0; slow_segment(&frame, mss, i, &want); i++)
		if (!comes(takes_blank(), &none))
			return false;
	return true;
}

static bool arrives(void)
{
	struct chain_meta m = chain.meta;
	uint32_t most = features & QUEUE_SG ? FRAME_BYTES_MAX : PV_PAGE_SIZE;
	bool blank = m.blank || m.gso_type, can_cut = chain.ip && frame.tcp;

	if (m.gso_type && frame.size - frame.payload <= m.gso_size)
		m.gso_type = m.gso_size = 0;
	if (m.gso_type && (!takes_gso() || !takes_blank() || frame.size > most))
		return comes_in_pieces(m.gso_size, most);
	if (frame.size > most && can_cut &&
	    (blank || m.validated || chain.right_csum))
		return comes_in_pieces(most, most);
	if (frame.size > most) {
		expected.unable++;
		return true;
	}
	want = frame;
	if (blank && !m.gso_type && !takes_blank())
		slow_fill(&want);
	return comes(blank, &m);
}

static bool step(void)
{
	int status;

	make_chain();
	status = chain.fault == GOOD ? NETIF_RSP_OKAY : NETIF_RSP_ERROR;
	put_chain();
	if (!answered(status))
		return false;
	if (chain.fault != GOOD) {
		expected.errors++;
		return ring_front_pending(&b.q[0].rx) == 0;
	}
	expected.sent++;
	expected.sent_bytes += frame.size;
	return arrives() && ring_front_pending(&b.q[0].rx) == 0;
}

static bool counted(void)
{
	struct traffic t = port_traffic(&a, 0);

	if (t.tx_packets != expected.sent || t.tx_errors != expected.errors ||
	    t.tx_bytes != expected.sent_bytes || traffic_tx_dropped(&t))
		return false;
	t = port_traffic(&b, 0);
	return t.rx_packets == expected.came && t.rx_cut == expected.cut &&
	       t.rx_bytes == expected.came_bytes && t.rx_errors == 0 &&
	       t.rx_drops[TRAFFIC_DROP_UNABLE] == expected.unable &&
	       traffic_rx_dropped(&t) == expected.unable;
}

static bool run(uint32_t seed)
{
	bool ok = true;
	uint32_t i;

	frame_seed(seed);
	memset(&expected, 0, sizeof(expected));
	features = frame_random(ALL + 1);
	setup_with(features);
	rx_post(&b, BUFFERS);
	for (i = 0; ok && i < STEPS; i++)
		ok = step();
	if (!ok)
		fprintf(stderr, "seed %u, step %u, fault %d\n", seed, i,
			(int)chain.fault);
	ok = ok && !atomic_load(&b.fault) && !atomic_load(&a.fault) &&
	     counted();
	teardown();
	return ok;
}

static void random_chains_arrive_as_the_model_says(void)
{
	uint32_t rounds = soak_rounds(40, 20000);

	for (uint32_t seed = 0; seed < rounds; seed++) {
		bool ok = run(seed);

		if (!ok)
			fprintf(stderr, "seed %u\n", seed);
		UNIT_REQUIRE(ok);
	}
}

UNIT_MAIN("net_chains", UNIT_TEST(random_chains_arrive_as_the_model_says))
