/* SPDX-License-Identifier: MIT */
/*
 * net_rss.c - netback/rss.c: Toeplitz's hash against the vectors that the
 * makers of receive-side scaling published ("Verifying the RSS Hash
 * Calculation") and against the definition in netif.h; which type applies;
 * and a mapping whose bounds nobody can leave (XSA-270, CVE-2018-15471).
 */
#include "netback/rss.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/rss_vectors.h"
#include "tests/unit/unit.h"

static struct flow flow_of(const struct rss_vector *v, bool tcp)
{
	struct flow f = { .ipv6 = strchr(v->src, ':') != NULL, .tcp = tcp };
	uint8_t each = f.ipv6 ? 16 : 4;
	int family = f.ipv6 ? AF_INET6 : AF_INET;
	uint16_t src = htons(v->src_port), dst = htons(v->dst_port);

	UNIT_CHECK(inet_pton(family, v->src, f.bytes) == 1);
	UNIT_CHECK(inet_pton(family, v->dst, f.bytes + each) == 1);
	f.addr_bytes = (uint8_t)(2 * each);
	memcpy(f.bytes + f.addr_bytes, &src, 2);
	memcpy(f.bytes + f.addr_bytes + 2, &dst, 2);
	f.size_bytes = (uint8_t)(f.addr_bytes + 4);
	return f;
}

static void the_published_vectors_come_out(void)
{
	struct rss rss = { .algorithm = 1, .types = 0xf };
	struct rss_table table;

	UNIT_REQUIRE(
		!rss_set_key(&rss, rss_vector_key, sizeof(rss_vector_key)));
	rss_table_init(&table, rss.key);
	for (unsigned i = 0; i < NR_RSS_VECTORS; i++) {
		struct flow f = flow_of(&rss_vectors[i], true);
		uint32_t hash;
		uint8_t type;

		UNIT_CHECK(rss_hash(&rss, &table, &f, &type, &hash));
		UNIT_CHECK(hash == rss_vectors[i].tcp &&
			   type == (f.ipv6 ? 3 : 1));
		/* UDP has no type with ports. */
		f.tcp = false;
		UNIT_CHECK(rss_hash(&rss, &table, &f, &type, &hash));
		UNIT_CHECK(hash == rss_vectors[i].plain &&
			   type == (f.ipv6 ? 2 : 0));
	}
}

/* As netif.h defines it: bit by bit, from the left. */
static uint32_t by_definition(const uint8_t *k, size_t key_bytes,
			      const uint8_t *data, size_t size_bytes)
{
	uint32_t value = 0;

	for (size_t bit = 0; bit < 8 * size_bytes; bit++) {
		uint32_t left = 0;

		if (!(data[bit / 8] & 0x80 >> bit % 8))
			continue;
		for (size_t i = bit; i < bit + 32; i++) {
			unsigned one =
				i / 8 < key_bytes && k[i / 8] & 0x80 >> i % 8;

			left = left << 1 | one;
		}
		value ^= left;
	}
	return value;
}

static void any_key_and_data_agree_with_the_definition(void)
{
	srandom(1);
	for (unsigned run = 0; run < 2000; run++) {
		uint32_t nr = (uint32_t)random() % (RSS_KEY_BYTES + 1);
		size_t size = (size_t)random() % (FLOW_BYTES_MAX + 1);
		uint8_t k[RSS_KEY_BYTES], data[FLOW_BYTES_MAX];
		struct rss rss = { .algorithm = 1 };
		struct rss_table table;

		for (unsigned i = 0; i < sizeof(k); i++)
			k[i] = (uint8_t)random();
		for (unsigned i = 0; i < sizeof(data); i++)
			data[i] = (uint8_t)random();
		UNIT_REQUIRE(!rss_set_key(&rss, k, nr));
		rss_table_init(&table, rss.key);
		UNIT_REQUIRE(rss_toeplitz(&table, data, size) ==
			     by_definition(k, nr, data, size));
	}
}

static void the_largest_type_asked_for_is_taken(void)
{
	struct rss rss = { .algorithm = 1 };
	struct rss_table table;
	struct flow v4 = flow_of(&rss_vectors[0], true),
		    v6 = flow_of(&rss_vectors[5], true), other = v4;
	uint32_t hash = 1;
	uint8_t type;

	UNIT_REQUIRE(
		!rss_set_key(&rss, rss_vector_key, sizeof(rss_vector_key)));
	rss_table_init(&table, rss.key);
	UNIT_CHECK(!rss_active(&rss));
	UNIT_REQUIRE(!rss_set_types(&rss, 1));
	UNIT_CHECK(rss_active(&rss));
	UNIT_CHECK(rss_hash(&rss, &table, &v4, &type, &hash) && type == 0 &&
		   hash == rss_vectors[0].plain);
	UNIT_CHECK(!rss_hash(&rss, &table, &v6, &type, &hash) && !hash);
	/* Only TCP's: others have none. */
	UNIT_REQUIRE(!rss_set_types(&rss, 2));
	UNIT_CHECK(rss_hash(&rss, &table, &v4, &type, &hash) && type == 1);
	v4.tcp = false;
	UNIT_CHECK(!rss_hash(&rss, &table, &v4, &type, &hash) && !hash);
	UNIT_REQUIRE(!rss_set_types(&rss, 0xf));
	other.addr_bytes = 0;
	UNIT_CHECK(!rss_hash(&rss, &table, &other, &type, &hash) && !hash);
	UNIT_CHECK(rss_set_types(&rss, 0x10) == -EINVAL);
	UNIT_CHECK(rss_set_types(&rss, 0xffffffff) == -EINVAL);
	UNIT_CHECK(rss.types == 0xf);
	UNIT_CHECK(rss_set_algorithm(&rss, 2) == -EINVAL && rss.algorithm == 1);
}

static void a_shorter_key_leaves_nothing_of_a_longer_one(void)
{
	struct rss rss = { 0 };

	UNIT_REQUIRE(
		!rss_set_key(&rss, rss_vector_key, sizeof(rss_vector_key)));
	UNIT_REQUIRE(!rss_set_key(&rss, rss_vector_key, 3));
	UNIT_CHECK(!memcmp(rss.key, rss_vector_key, 3) && !rss.key[3] &&
		   !rss.key[39]);
	UNIT_REQUIRE(!rss_set_key(&rss, rss_vector_key, 0));
	UNIT_CHECK(!rss.key[0]);
	UNIT_CHECK(rss_set_key(&rss, rss_vector_key, RSS_KEY_BYTES + 1) ==
		   -EOVERFLOW);
}

static void the_mapping_stays_within_its_bounds(void)
{
	static const struct {
		uint32_t nr, offset;
		int err;
	} cases[] = {
		{ 0, 0, 0 },
		{ 8, 0, 0 },
		{ 1, 7, 0 },
		{ 0, 8, 0 },
		{ 9, 0, -EINVAL },
		{ 1, 8, -EINVAL },
		{ 2, 0xffffffff, -EINVAL },
		{ 2, 0xfffffffe, -EINVAL },
		{ 0xffffffff, 2, -EINVAL },
		{ 0, 9, -EINVAL },
	};
	uint32_t queues[RSS_MAPPING_MAX] = { 0 }, wrong = 4;
	struct rss rss = { 0 };

	UNIT_CHECK(rss_set_mapping_size(&rss, RSS_MAPPING_MAX + 1) == -EINVAL);
	UNIT_CHECK(rss_set_mapping_size(&rss, 0xffffffff) == -EINVAL);
	UNIT_REQUIRE(!rss_set_mapping_size(&rss, 8));
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		UNIT_CHECK(rss_set_mapping(&rss, queues, cases[i].nr,
					   cases[i].offset, 4) == cases[i].err);
	UNIT_CHECK(rss_set_mapping(&rss, &wrong, 1, 0, 4) == -EINVAL);
	wrong = 0xffffffff;
	UNIT_CHECK(rss_set_mapping(&rss, &wrong, 1, 0, 4) == -EINVAL);
	for (unsigned i = 0; i < RSS_MAPPING_MAX; i++)
		UNIT_CHECK(rss.mapping[i] == 0);
}

static void the_mapping_names_the_queue(void)
{
	const uint32_t queues[] = { 3, 1, 2 }, one[] = { 0 };
	struct rss rss = { 0 };

	/* Without one: modulo the number of queues. */
	UNIT_CHECK(rss_queue(&rss, 7, 4) == 3);
	UNIT_REQUIRE(!rss_set_mapping_size(&rss, 3));
	UNIT_CHECK(rss_queue(&rss, 7, 4) == 0);
	UNIT_REQUIRE(!rss_set_mapping(&rss, queues, 3, 0, 4));
	UNIT_CHECK(rss_queue(&rss, 0, 4) == 3 && rss_queue(&rss, 7, 4) == 1 &&
		   rss_queue(&rss, 0xffffffff, 4) == 3);
	/* A part leaves the rest; another size forgets all. */
	UNIT_REQUIRE(!rss_set_mapping(&rss, one, 1, 1, 4));
	UNIT_CHECK(rss_queue(&rss, 0, 4) == 3 && rss_queue(&rss, 1, 4) == 0);
	UNIT_REQUIRE(!rss_set_mapping_size(&rss, 3));
	UNIT_CHECK(rss_queue(&rss, 0, 4) == 0);
}

UNIT_MAIN("net_rss", UNIT_TEST(the_published_vectors_come_out),
	  UNIT_TEST(any_key_and_data_agree_with_the_definition),
	  UNIT_TEST(the_largest_type_asked_for_is_taken),
	  UNIT_TEST(a_shorter_key_leaves_nothing_of_a_longer_one),
	  UNIT_TEST(the_mapping_stays_within_its_bounds),
	  UNIT_TEST(the_mapping_names_the_queue))
