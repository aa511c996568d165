/* SPDX-License-Identifier: MIT */
/*
 * rss.h - the hash that a frontend asks for, and the queue that it names: what
 * the control ring sets and port.c uses.
 *
 * Pure; every setter leaves the configuration as it was when it fails. Thread:
 * the data thread. Logs: never.
 * Source: xen/include/public/io/netif.h, "Hash types", "Control messages".
 */
#ifndef NETBACK_RSS_H
#define NETBACK_RSS_H

#include "abi/netif.h"
#include "netback/flow.h"

/* For every bit of a flow there are 32 of the key. */
#define RSS_KEY_BYTES	(FLOW_BYTES_MAX + 4u)
#define RSS_MAPPING_MAX 128u
/* The types that we can calculate. */
#define RSS_TYPES                                                              \
	(XEN_NETIF_CTRL_HASH_TYPE_IPV4 | XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP |   \
	 XEN_NETIF_CTRL_HASH_TYPE_IPV6 | XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP)

/* What was asked for: in the vif's record. Zero: nothing. */
struct rss {
	uint32_t algorithm;    /* XEN_NETIF_CTRL_HASH_ALGORITHM_* */
	uint32_t types;	       /* XEN_NETIF_CTRL_HASH_TYPE_* */
	uint32_t mapping_size; /* 0: the hash modulo the number of queues */
	uint32_t mapping[RSS_MAPPING_MAX];
	uint8_t key[RSS_KEY_BYTES]; /* zeros behind what was given */
};

/* The key, prepared: what each half byte of a flow adds to the hash. */
struct rss_table {
	uint32_t part[2 * FLOW_BYTES_MAX][16];
};

/* A key of zeros makes a table of zeros. */
void rss_table_init(struct rss_table *table, const uint8_t key[RSS_KEY_BYTES]);
/* Toeplitz's hash of size_bytes <= FLOW_BYTES_MAX. */
uint32_t rss_toeplitz(const struct rss_table *table, const uint8_t *data,
		      size_t size_bytes);

/* May queues be chosen by it? */
static inline bool rss_active(const struct rss *rss)
{
	return rss->algorithm && rss->types;
}
/*
 * The hash of the largest type that was asked for and that the flow has; its
 * bit number goes to *ret_type. false: there is none, and the hash is 0.
 */
bool rss_hash(const struct rss *rss, const struct rss_table *table,
	      const struct flow *flow, uint8_t *ret_type, uint32_t *ret_hash);
/* In the mapping, or modulo nr_queues; always below nr_queues. */
uint32_t rss_queue(const struct rss *rss, uint32_t hash, uint32_t nr_queues);

/* Each returns 0, -EINVAL, or -EOVERFLOW: larger than we can keep. */
int rss_set_algorithm(struct rss *rss, uint32_t algorithm) PV_MUST_CHECK;
int rss_set_types(struct rss *rss, uint32_t types) PV_MUST_CHECK;
int rss_set_key(struct rss *rss, const uint8_t *key,
		uint32_t size_bytes) PV_MUST_CHECK;
int rss_set_mapping_size(struct rss *rss, uint32_t size) PV_MUST_CHECK;
/* Entries offset .. offset + nr - 1; queues are those below nr_queues. */
int rss_set_mapping(struct rss *rss, const uint32_t *queues, uint32_t nr,
		    uint32_t offset, uint32_t nr_queues) PV_MUST_CHECK;

#endif /* NETBACK_RSS_H */
