/* SPDX-License-Identifier: MIT */
/*
 * netif.h - the split network device: both rings and the control ring.
 *
 * Transmit: the frontend's packets. The first request of a packet carries the
 * whole packet's size, the following ones their own piece's; extra slots come
 * right after the first request. Receive: the frontend posts empty buffers,
 * the backend answers with what it put there.
 * Offsets and sizes are in bytes. Padding is spelled out.
 *
 * Source: xen/include/public/io/netif.h; XDP: Linux's copy of the same file.
 */
#ifndef ABI_NETIF_H
#define ABI_NETIF_H

#include <stddef.h>
#include <stdint.h>

#include "abi/grant.h"

/* Slots of one packet that every backend must take (extras not counted). */
#define XEN_NETIF_NR_SLOTS_MIN 18
/* Largest packet, in bytes. */
#define XEN_NETIF_MAX_TX_SIZE 0xFFFF

/* netif_tx_request.flags */
#define NETTXF_csum_blank     (1u << 0) /* checksum field to be filled in */
#define NETTXF_data_validated (1u << 1) /* data checked against checksum */
#define NETTXF_more_data      (1u << 2) /* packet goes on in the next slot */
#define NETTXF_extra_info     (1u << 3) /* an extra slot follows */

struct netif_tx_request {
	grant_ref_t gref;
	uint16_t offset; /* in the page */
	uint16_t flags;	 /* NETTXF_* */
	uint16_t id;	 /* echoed in the response */
	uint16_t size;	 /* first slot: the packet; others: this piece */
};

struct netif_tx_response {
	uint16_t id;
	int16_t status; /* NETIF_RSP_* */
};

struct netif_rx_request {
	uint16_t id;
	uint16_t pad;
	grant_ref_t gref; /* a whole page, writable */
};

/* netif_rx_response.flags */
#define NETRXF_data_validated (1u << 0)
#define NETRXF_csum_blank     (1u << 1)
#define NETRXF_more_data      (1u << 2)
#define NETRXF_extra_info     (1u << 3)
#define NETRXF_gso_prefix     (1u << 4) /* deprecated */

struct netif_rx_response {
	uint16_t id;
	uint16_t offset; /* in the page */
	uint16_t flags;	 /* NETRXF_* */
	int16_t status;	 /* bytes in this slot, or NETIF_RSP_* below 0 */
};

/* status */
#define NETIF_RSP_DROPPED (-2)
#define NETIF_RSP_ERROR	  (-1)
#define NETIF_RSP_OKAY	  0
#define NETIF_RSP_NULL	  1 /* answers an extra slot */

/* netif_extra_info.type */
#define XEN_NETIF_EXTRA_TYPE_NONE      0
#define XEN_NETIF_EXTRA_TYPE_GSO       1
#define XEN_NETIF_EXTRA_TYPE_MCAST_ADD 2
#define XEN_NETIF_EXTRA_TYPE_MCAST_DEL 3
#define XEN_NETIF_EXTRA_TYPE_HASH      4
#define XEN_NETIF_EXTRA_TYPE_XDP       5
#define XEN_NETIF_EXTRA_TYPE_MAX       6 /* first value that is no type */

/* netif_extra_info.flags */
#define XEN_NETIF_EXTRA_FLAG_MORE (1u << 0) /* another extra slot follows */

/* netif_extra_info.u.gso.type */
#define XEN_NETIF_GSO_TYPE_NONE	 0
#define XEN_NETIF_GSO_TYPE_TCPV4 1
#define XEN_NETIF_GSO_TYPE_TCPV6 2

/* Fits the slots of both rings. */
struct netif_extra_info {
	uint8_t type;
	uint8_t flags;
	union {
		struct {
			uint16_t size; /* segment payload, bytes */
			uint8_t type;  /* XEN_NETIF_GSO_TYPE_* */
			uint8_t pad;
			uint16_t features; /* 0 */
		} gso;
		struct {
			uint8_t addr[6];
		} mcast;
		struct {
			uint8_t type;	   /* bit number of a HASH_TYPE */
			uint8_t algorithm; /* XEN_NETIF_CTRL_HASH_ALGORITHM_* */
			uint8_t value[4];
		} hash;
		struct {
			uint16_t headroom; /* bytes before the packet */
			uint16_t pad[2];
		} xdp;
		uint16_t pad[3];
	} u;
};

_Static_assert(sizeof(struct netif_tx_request) == 12, "tx request");
_Static_assert(offsetof(struct netif_tx_request, offset) == 4, "offset");
_Static_assert(offsetof(struct netif_tx_request, flags) == 6, "flags");
_Static_assert(offsetof(struct netif_tx_request, id) == 8, "id");
_Static_assert(offsetof(struct netif_tx_request, size) == 10, "size");
_Static_assert(sizeof(struct netif_tx_response) == 4, "tx response");
_Static_assert(offsetof(struct netif_tx_response, status) == 2, "status");
_Static_assert(sizeof(struct netif_rx_request) == 8, "rx request");
_Static_assert(offsetof(struct netif_rx_request, gref) == 4, "gref");
_Static_assert(sizeof(struct netif_rx_response) == 8, "rx response");
_Static_assert(offsetof(struct netif_rx_response, offset) == 2, "offset");
_Static_assert(offsetof(struct netif_rx_response, flags) == 4, "flags");
_Static_assert(offsetof(struct netif_rx_response, status) == 6, "status");
_Static_assert(sizeof(struct netif_extra_info) == 8, "extra info");
_Static_assert(offsetof(struct netif_extra_info, u) == 2, "u");
_Static_assert(offsetof(struct netif_extra_info, u.gso.type) == 4, "gso type");
_Static_assert(offsetof(struct netif_extra_info, u.gso.features) == 6, "gso");
_Static_assert(offsetof(struct netif_extra_info, u.hash.value) == 4, "hash");

/* ---- control ring ------------------------------------------------------ */

#define XEN_NETIF_CTRL_HASH_TYPE_IPV4	  (1 << 0)
#define XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP (1 << 1)
#define XEN_NETIF_CTRL_HASH_TYPE_IPV6	  (1 << 2)
#define XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP (1 << 3)

#define XEN_NETIF_CTRL_HASH_ALGORITHM_NONE     0
#define XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ 1

/* xen_netif_ctrl_request.type */
#define XEN_NETIF_CTRL_TYPE_INVALID		  0
#define XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS	  1
#define XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS	  2
#define XEN_NETIF_CTRL_TYPE_SET_HASH_KEY	  3
#define XEN_NETIF_CTRL_TYPE_GET_HASH_MAPPING_SIZE 4
#define XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE 5
#define XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING	  6
#define XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM	  7
#define XEN_NETIF_CTRL_TYPE_GET_GREF_MAPPING_SIZE 8
#define XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING	  9
#define XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING	  10

/* xen_netif_ctrl_response.status, xen_netif_gref.status */
#define XEN_NETIF_CTRL_STATUS_SUCCESS		0
#define XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED	1
#define XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER 2
#define XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW	3

struct xen_netif_ctrl_request {
	uint16_t id;
	uint16_t type;
	uint32_t data[3]; /* meaning by type */
};

struct xen_netif_ctrl_response {
	uint16_t id;
	uint16_t type;
	uint32_t status;
	uint32_t data;
};

/* One entry of the page that ADD/DEL_GREF_MAPPING names. */
struct xen_netif_gref {
	grant_ref_t ref;
	uint16_t flags;	 /* XEN_NETIF_CTRLF_GREF_readonly */
	uint16_t status; /* out */
};

#define XEN_NETIF_CTRLF_GREF_readonly (1u << 0)

_Static_assert(sizeof(struct xen_netif_ctrl_request) == 16, "ctrl request");
_Static_assert(offsetof(struct xen_netif_ctrl_request, data) == 4, "data");
_Static_assert(sizeof(struct xen_netif_ctrl_response) == 12, "ctrl response");
_Static_assert(offsetof(struct xen_netif_ctrl_response, status) == 4, "status");
_Static_assert(offsetof(struct xen_netif_ctrl_response, data) == 8, "data");
_Static_assert(sizeof(struct xen_netif_gref) == 8, "gref entry");
_Static_assert(offsetof(struct xen_netif_gref, flags) == 4, "flags");
_Static_assert(offsetof(struct xen_netif_gref, status) == 6, "status");

#endif /* ABI_NETIF_H */
