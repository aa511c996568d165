/* SPDX-License-Identifier: MIT */
/*
 * abi.c - our wire formats against Xen's own headers (package libxen-dev).
 *
 * One translation unit sees both: first Xen's headers with their tags renamed
 * and facts.h evaluated into a table, then everything of Xen's is forgotten,
 * then our headers and facts.h again. The tables must be equal.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tests/unit/unit.h"

struct fact {
	const char *name;
	long long value;
};

#define FIELD_SIZE(tag, member) sizeof(((struct tag *)0)->member)

/* ---- Xen's side -------------------------------------------------------- */

#include "tests/abi/rename.h"

#include <xen/xen.h>

#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/io/blkif.h>
#include <xen/io/netif.h>
#include <xen/io/protocols.h>
#include <xen/io/ring.h>
#include <xen/io/xenbus.h>
#include <xen/io/xs_wire.h>

#define CONST(c)  { #c, (long long)(c) },
#define SIZE(tag) { "sizeof " #tag, (long long)sizeof(struct tag) },
#define FIELD(tag, m)                                                          \
	{ "offset " #tag "." #m, (long long)offsetof(struct tag, m) },         \
		{ "size " #tag "." #m, (long long)FIELD_SIZE(tag, m) },

static const struct fact xen_facts[] = {
#include "tests/abi/facts.h"
};

static const struct fact xen_specials[] = {
	{ "page shift", XEN_PAGE_SHIFT },
	{ "ring header", (long long)offsetof(struct blkif_sring, ring) },
	{ "req_prod", (long long)offsetof(struct blkif_sring, req_prod) },
	{ "req_event", (long long)offsetof(struct blkif_sring, req_event) },
	{ "rsp_prod", (long long)offsetof(struct blkif_sring, rsp_prod) },
	{ "rsp_event", (long long)offsetof(struct blkif_sring, rsp_event) },
	{ "index", (long long)sizeof(RING_IDX) },
	{ "domid_t", (long long)sizeof(domid_t) },
	{ "grant_ref_t", (long long)sizeof(grant_ref_t) },
	{ "evtchn_port_t", (long long)sizeof(evtchn_port_t) },
	{ "blkif slot", (long long)sizeof(union blkif_sring_entry) },
	{ "tx slot", (long long)sizeof(union netif_tx_sring_entry) },
	{ "rx slot", (long long)sizeof(union netif_rx_sring_entry) },
	{ "blkif slots", __CONST_RING_SIZE(blkif, 4096) },
	{ "blkif slots of 16 pages", __CONST_RING_SIZE(blkif, 65536) },
	{ "tx slots", __CONST_RING_SIZE(netif_tx, 4096) },
	{ "rx slots", __CONST_RING_SIZE(netif_rx, 4096) },
};

/* Index values of a ring that Xen's macros have just initialised. */
static void xen_ring_init(void *page)
{
	struct blkif_sring *s = page;

	SHARED_RING_INIT(s);
}

enum {
	XEN_SIDE_EXTRA_TYPE_MAX = XEN_NETIF_EXTRA_TYPE_MAX,
	XEN_SIDE_TYPE_COUNT = XS_TYPE_COUNT,
};

static const char *const xen_protocols[] = { XEN_IO_PROTO_ABI_X86_32,
					     XEN_IO_PROTO_ABI_X86_64 };

static int xen_errnum(size_t i)
{
	return i < sizeof(xsd_errors) / sizeof(xsd_errors[0])
		       ? xsd_errors[i].errnum
		       : 0;
}

static const char *xen_errstring(size_t i)
{
	return xsd_errors[i].errstring;
}

#undef SIZE
#undef FIELD

/*
 * A 32-bit guest aligns 64-bit members to 4 bytes: Xen's header once more,
 * packed to that, under other tags.
 */
#undef __XEN_PUBLIC_IO_BLKIF_H__
#undef blkif_vdev_t
#undef blkif_sector_t
#undef blkif_request_segment
#undef blkif_request
#undef blkif_request_discard
#undef blkif_request_indirect
#undef blkif_response
#define blkif_request_segment	 xen32_blkif_request_segment
#define blkif_request		 xen32_blkif_request
#define blkif_request_discard	 xen32_blkif_request_discard
#define blkif_request_indirect	 xen32_blkif_request_indirect
#define blkif_response		 xen32_blkif_response
#define blkif_request_t		 xen32_blkif_request_t
#define blkif_request_discard_t	 xen32_blkif_request_discard_t
#define blkif_request_indirect_t xen32_blkif_request_indirect_t
#define blkif_response_t	 xen32_blkif_response_t
#define blkif_sring		 xen32_blkif_sring
#define blkif_sring_t		 xen32_blkif_sring_t
#define blkif_sring_entry	 xen32_blkif_sring_entry
#define blkif_front_ring	 xen32_blkif_front_ring
#define blkif_front_ring_t	 xen32_blkif_front_ring_t
#define blkif_back_ring		 xen32_blkif_back_ring
#define blkif_back_ring_t	 xen32_blkif_back_ring_t
#undef DEFINE_RING_TYPES
#define DEFINE_RING_TYPES(name, req, rsp) struct xen32_##name
#define __i386__			  1
#pragma pack(push, 4)
#include <xen/io/blkif.h>
#pragma pack(pop)
#undef __i386__

#define SIZE(xen, ours)                                                        \
	{ "x86_32 sizeof " #ours, (long long)sizeof(struct xen) },
#define FIELD(xen, ours, m)                                                    \
	{ "x86_32 offset " #ours "." #m, (long long)offsetof(struct xen, m) }, \
		{ "x86_32 size " #ours "." #m,                                 \
		  (long long)FIELD_SIZE(xen, m) },

static const struct fact xen_facts_x86_32[] = {
#include "tests/abi/facts_x86_32.h"
};

#undef CONST
#undef SIZE
#undef FIELD

/* ---- nothing of Xen's is left ------------------------------------------ */

#include "tests/abi/forget.h"

#define STRING(x) #x
#define CONST(c)  { #c, STRING(c) },
#define SIZE(tag) { #tag, STRING(tag) },
#define FIELD(tag, m)

/* A name that is still a macro differs from its own expansion. */
static const struct {
	const char *name, *expansion;
} forgotten[] = {
#include "tests/abi/facts.h"
};

#undef CONST
#undef SIZE
#undef FIELD

/* ---- our side ---------------------------------------------------------- */

#include "abi/blkif.h"
#include "abi/grant.h"
#include "abi/netif.h"
#include "abi/ring.h"
#include "abi/xenbus.h"
#include "abi/xs_wire.h"

#define CONST(c)  { #c, (long long)(c) },
#define SIZE(tag) { "sizeof " #tag, (long long)sizeof(struct tag) },
#define FIELD(tag, m)                                                          \
	{ "offset " #tag "." #m, (long long)offsetof(struct tag, m) },         \
		{ "size " #tag "." #m, (long long)FIELD_SIZE(tag, m) },

static const struct fact our_facts[] = {
#include "tests/abi/facts.h"
};

#undef CONST
#undef SIZE
#undef FIELD

#define SIZE(xen, ours)                                                        \
	{ "x86_32 sizeof " #ours, (long long)sizeof(struct ours) },
#define FIELD(xen, ours, m)                                                    \
	{ "x86_32 offset " #ours "." #m,                                       \
	  (long long)offsetof(struct ours, m) },                               \
		{ "x86_32 size " #ours "." #m,                                 \
		  (long long)FIELD_SIZE(ours, m) },

static const struct fact our_facts_x86_32[] = {
#include "tests/abi/facts_x86_32.h"
};

#include "ring/ring.h"

static void same(const struct fact *ours, const struct fact *xens, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		UNIT_CHECK(strcmp(ours[i].name, xens[i].name) == 0);
		UNIT_CHECK(ours[i].value == xens[i].value);
		if (ours[i].value != xens[i].value)
			printf("%s: ours %lld, Xen's %lld\n", ours[i].name,
			       ours[i].value, xens[i].value);
	}
}

#define NR(array) (sizeof(array) / sizeof((array)[0]))

static void xens_names_are_forgotten_before_ours_are_read(void)
{
	for (size_t i = 0; i < NR(forgotten); i++)
		UNIT_CHECK(strcmp(forgotten[i].name, forgotten[i].expansion) ==
			   0);
}

static void every_native_number_is_xens(void)
{
	_Static_assert(NR(our_facts) == NR(xen_facts), "one list");
	same(our_facts, xen_facts, NR(our_facts));
}

static void every_x86_32_block_layout_is_xens(void)
{
	_Static_assert(NR(our_facts_x86_32) == NR(xen_facts_x86_32), "list");
	same(our_facts_x86_32, xen_facts_x86_32, NR(our_facts_x86_32));
}

static void the_ring_header_and_slot_counts_are_xens(void)
{
	const struct fact ours[] = {
		{ "page shift", PV_PAGE_SHIFT },
		{ "ring header", sizeof(struct ring_header) },
		{ "req_prod", offsetof(struct ring_header, req_prod) },
		{ "req_event", offsetof(struct ring_header, req_event) },
		{ "rsp_prod", offsetof(struct ring_header, rsp_prod) },
		{ "rsp_event", offsetof(struct ring_header, rsp_event) },
		{ "index", FIELD_SIZE(ring_header, req_prod) },
		{ "domid_t", sizeof(domid_t) },
		{ "grant_ref_t", sizeof(grant_ref_t) },
		{ "evtchn_port_t", sizeof(evtchn_port_t) },
		{ "blkif slot", sizeof(struct blkif_request) },
		{ "tx slot", sizeof(struct netif_tx_request) },
		{ "rx slot", sizeof(struct netif_rx_response) },
		{ "blkif slots", ring_nr_slots(PV_PAGE_SIZE, 112) },
		{ "blkif slots of 16 pages",
		  ring_nr_slots(16 * PV_PAGE_SIZE, 112) },
		{ "tx slots", ring_nr_slots(PV_PAGE_SIZE, 12) },
		{ "rx slots", ring_nr_slots(PV_PAGE_SIZE, 8) },
	};

	_Static_assert(NR(ours) == NR(xen_specials), "one list");
	same(ours, xen_specials, NR(ours));
	UNIT_CHECK(PV_PAGE_SIZE == 1u << PV_PAGE_SHIFT);
}

static void a_fresh_ring_looks_as_xens_macros_leave_it(void)
{
	static _Alignas(4096) unsigned char xens[4096], ours[4096];
	struct ring_front front;

	xen_ring_init(xens);
	ring_front_init(&front, (void PV_SHARED *)ours, sizeof(ours), 112);
	UNIT_CHECK(memcmp(xens, ours, sizeof(ours)) == 0);
}

static void the_error_names_are_xens_in_xens_order(void)
{
	for (size_t i = 0; i < XSD_NR_ERRORS; i++) {
		UNIT_CHECK(xsd_errors[i].errnum == xen_errnum(i));
		UNIT_REQUIRE(xen_errnum(i) != 0);
		UNIT_CHECK(strcmp(xsd_errors[i].errstring, xen_errstring(i)) ==
			   0);
		UNIT_CHECK(xsd_error_number(xen_errstring(i)) == xen_errnum(i));
		UNIT_CHECK(strcmp(xsd_error_name(xen_errnum(i)),
				  xen_errstring(i)) == 0);
	}
	UNIT_CHECK(xen_errnum(XSD_NR_ERRORS) == 0);
	UNIT_CHECK(strcmp(xsd_error_name(EPROTO), "EINVAL") == 0);
	UNIT_CHECK(xsd_error_number("ENOTHING") == EIO);
}

static void the_protocol_names_are_xens(void)
{
	UNIT_CHECK(strcmp(xen_protocols[0], XEN_IO_PROTO_ABI_X86_32) == 0);
	UNIT_CHECK(strcmp(xen_protocols[1], XEN_IO_PROTO_ABI_X86_64) == 0);
}

/* Newer than the installed headers: they must lie beyond what those know. */
static void additions_start_where_these_headers_end(void)
{
	UNIT_CHECK(XS_GET_FEATURE == 23 && XS_SET_FEATURE == 24);
	UNIT_CHECK(XS_GET_QUOTA == 25 && XS_SET_QUOTA == 26);
	UNIT_CHECK(XENSTORE_SERVER_FEATURE_WATCHDEPTH == 4);
	UNIT_CHECK(XS_TYPE_COUNT == XS_SET_QUOTA + 1);
	UNIT_CHECK((int)XEN_SIDE_TYPE_COUNT == (int)XS_GET_FEATURE ||
		   (int)XEN_SIDE_TYPE_COUNT >= (int)XS_TYPE_COUNT);
	UNIT_CHECK(XEN_NETIF_EXTRA_TYPE_MAX == XEN_NETIF_EXTRA_TYPE_XDP + 1);
	UNIT_CHECK((int)XEN_SIDE_EXTRA_TYPE_MAX == XEN_NETIF_EXTRA_TYPE_XDP ||
		   (int)XEN_SIDE_EXTRA_TYPE_MAX >= XEN_NETIF_EXTRA_TYPE_MAX);
	UNIT_CHECK(offsetof(struct netif_extra_info, u.xdp.headroom) == 2);
}

UNIT_MAIN("abi", UNIT_TEST(xens_names_are_forgotten_before_ours_are_read),
	  UNIT_TEST(every_native_number_is_xens),
	  UNIT_TEST(every_x86_32_block_layout_is_xens),
	  UNIT_TEST(the_ring_header_and_slot_counts_are_xens),
	  UNIT_TEST(a_fresh_ring_looks_as_xens_macros_leave_it),
	  UNIT_TEST(the_error_names_are_xens_in_xens_order),
	  UNIT_TEST(the_protocol_names_are_xens),
	  UNIT_TEST(additions_start_where_these_headers_end))
