/* SPDX-License-Identifier: MIT */
/*
 * grant.h - domain ids, event channel ports, grant references and entries.
 *
 * A granting domain writes entries in its grant table; the peer names an entry
 * by its index, the grant reference. Everything in an entry is the granting
 * domain's to change, apart from the two in-use bits.
 *
 * Source: xen/include/public/grant_table.h, event_channel.h, xen.h.
 */
#ifndef ABI_GRANT_H
#define ABI_GRANT_H

#include <stddef.h>
#include <stdint.h>

/* Pages of rings, grants and hypercalls are 4 KiB on every architecture. */
#define PV_PAGE_SHIFT 12
#define PV_PAGE_SIZE  4096u

typedef uint16_t domid_t;
typedef uint32_t grant_ref_t;
typedef uint32_t evtchn_port_t;

/* Ids from here on name no ordinary domain. */
#define DOMID_FIRST_RESERVED 0x7FF0u
#define DOMID_SELF	     0x7FF0u
#define DOMID_INVALID	     0x7FF4u

/* Version 1 of an entry: 8 bytes, 512 to a page. */
struct grant_entry_v1 {
	uint16_t flags; /* GTF_*; written last when granting */
	domid_t domid;	/* who may use it */
	uint32_t frame; /* the granted frame's number, in pages */
};

_Static_assert(sizeof(struct grant_entry_v1) == 8, "grant entry size");
_Static_assert(offsetof(struct grant_entry_v1, flags) == 0, "flags");
_Static_assert(offsetof(struct grant_entry_v1, domid) == 2, "domid");
_Static_assert(offsetof(struct grant_entry_v1, frame) == 4, "frame");

#define GRANT_ENTRIES_PER_PAGE (PV_PAGE_SIZE / sizeof(struct grant_entry_v1))

/* References 0..7 belong to the toolstack (console, store, ...). */
#define GNTTAB_NR_RESERVED_ENTRIES 8
#define GNTTAB_RESERVED_CONSOLE	   0
#define GNTTAB_RESERVED_XENSTORE   1

/* Entry types: the two low bits of flags. */
#define GTF_invalid	    0u
#define GTF_permit_access   1u
#define GTF_accept_transfer 2u
#define GTF_transitive	    3u
#define GTF_type_mask	    3u

/* Sub-flags of GTF_permit_access. */
#define GTF_readonly (1u << 2) /* set by the granting domain */
#define GTF_reading  (1u << 3) /* set by the mapping side while mapped */
#define GTF_writing  (1u << 4) /* the same, mapped writable */
#define GTF_sub_page (1u << 8) /* version 2 only */

/* Flags of a map operation. */
#define GNTMAP_device_map (1 << 0)
#define GNTMAP_host_map	  (1 << 1)
#define GNTMAP_readonly	  (1 << 2)

/* Flags of a copy operation: which sides are references. */
#define GNTCOPY_source_gref (1 << 0)
#define GNTCOPY_dest_gref   (1 << 1)

/* Status of one entry of a grant operation. Only okay is success. */
#define GNTST_okay		0
#define GNTST_general_error	(-1)
#define GNTST_bad_domain	(-2)
#define GNTST_bad_gntref	(-3)
#define GNTST_bad_handle	(-4)
#define GNTST_bad_virt_addr	(-5)
#define GNTST_bad_dev_addr	(-6)
#define GNTST_no_device_space	(-7)
#define GNTST_permission_denied (-8)
#define GNTST_bad_page		(-9)
#define GNTST_bad_copy_arg	(-10)
#define GNTST_address_too_big	(-11)
#define GNTST_eagain		(-12)
#define GNTST_no_space		(-13)

#endif /* ABI_GRANT_H */
