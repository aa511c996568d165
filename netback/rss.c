/* SPDX-License-Identifier: MIT */
/* rss.c - hashes and their queues; see rss.h. Called by port.c and ctrl.c. */
#include "netback/rss.h"

#include <errno.h>
#include <string.h>

/* The 32 bits of the key from bit number bit on. */
static uint32_t key_bits(const uint8_t *key, unsigned bit)
{
	uint64_t word = 0;

	for (unsigned i = 0; i < 5; i++) {
		unsigned at = bit / 8 + i;

		word = word << 8 | (at < RSS_KEY_BYTES ? key[at] : 0);
	}
	return (uint32_t)(word >> (8 - bit % 8));
}

void rss_table_init(struct rss_table *table, const uint8_t key[RSS_KEY_BYTES])
{
	for (unsigned half = 0; half < 2 * FLOW_BYTES_MAX; half++)
		for (unsigned value = 0; value < 16; value++) {
			uint32_t part = 0;

			for (unsigned bit = 0; bit < 4; bit++)
				if (value & 8 >> bit)
					part ^= key_bits(key, half * 4 + bit);
			table->part[half][value] = part;
		}
}

uint32_t rss_toeplitz(const struct rss_table *table, const uint8_t *data,
		      size_t size_bytes)
{
	uint32_t hash = 0;

	for (size_t i = 0; i < size_bytes; i++) {
		hash ^= table->part[2 * i][data[i] >> 4];
		hash ^= table->part[2 * i + 1][data[i] & 0xf];
	}
	return hash;
}

bool rss_hash(const struct rss *rss, const struct rss_table *table,
	      const struct flow *flow, uint8_t *ret_type, uint32_t *ret_hash)
{
	uint8_t plain = flow->ipv6 ? 2 : 0; /* bit numbers of the types */
	uint8_t tcp = plain + 1;

	*ret_hash = 0;
	if (!flow->addr_bytes)
		return false;
	if (flow->tcp && rss->types & 1u << tcp) {
		*ret_type = tcp;
		*ret_hash = rss_toeplitz(table, flow->bytes, flow->size_bytes);
		return true;
	}
	if (!(rss->types & 1u << plain))
		return false;
	*ret_type = plain;
	*ret_hash = rss_toeplitz(table, flow->bytes, flow->addr_bytes);
	return true;
}

uint32_t rss_queue(const struct rss *rss, uint32_t hash, uint32_t nr_queues)
{
	if (!rss->mapping_size)
		return hash % nr_queues;
	return rss->mapping[hash % rss->mapping_size] % nr_queues;
}

int rss_set_algorithm(struct rss *rss, uint32_t algorithm)
{
	if (algorithm != XEN_NETIF_CTRL_HASH_ALGORITHM_NONE &&
	    algorithm != XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ)
		return -EINVAL;
	rss->algorithm = algorithm;
	return 0;
}

int rss_set_types(struct rss *rss, uint32_t types)
{
	if (types & ~(uint32_t)RSS_TYPES)
		return -EINVAL;
	rss->types = types;
	return 0;
}

int rss_set_key(struct rss *rss, const uint8_t *key, uint32_t size_bytes)
{
	if (size_bytes > RSS_KEY_BYTES)
		return -EOVERFLOW;
	memset(rss->key, 0, sizeof(rss->key));
	memcpy(rss->key, key, size_bytes);
	return 0;
}

int rss_set_mapping_size(struct rss *rss, uint32_t size)
{
	if (size > RSS_MAPPING_MAX)
		return -EINVAL;
	memset(rss->mapping, 0, sizeof(rss->mapping));
	rss->mapping_size = size;
	return 0;
}

int rss_set_mapping(struct rss *rss, const uint32_t *queues, uint32_t nr,
		    uint32_t offset, uint32_t nr_queues)
{
	/* In this form neither can wrap. */
	if (nr > rss->mapping_size || offset > rss->mapping_size - nr)
		return -EINVAL;
	for (uint32_t i = 0; i < nr; i++)
		if (queues[i] >= nr_queues)
			return -EINVAL;
	memcpy(rss->mapping + offset, queues, nr * sizeof(*queues));
	return 0;
}
