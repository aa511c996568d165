/* SPDX-License-Identifier: MIT */
/*
 * facts_x86_32.h - the block layouts of a 32-bit guest: SIZE(Xen's tag, our
 * tag), FIELD(Xen's tag, our tag, member). No guard.
 */
/* clang-format off */
SIZE(blkif_request, blkif_x86_32_request)
FIELD(blkif_request, blkif_x86_32_request, operation)
FIELD(blkif_request, blkif_x86_32_request, nr_segments)
FIELD(blkif_request, blkif_x86_32_request, handle)
FIELD(blkif_request, blkif_x86_32_request, id)
FIELD(blkif_request, blkif_x86_32_request, sector_number)
FIELD(blkif_request, blkif_x86_32_request, seg)
SIZE(blkif_request_discard, blkif_x86_32_request_discard)
FIELD(blkif_request_discard, blkif_x86_32_request_discard, operation)
FIELD(blkif_request_discard, blkif_x86_32_request_discard, flag)
FIELD(blkif_request_discard, blkif_x86_32_request_discard, handle)
FIELD(blkif_request_discard, blkif_x86_32_request_discard, id)
FIELD(blkif_request_discard, blkif_x86_32_request_discard, sector_number)
FIELD(blkif_request_discard, blkif_x86_32_request_discard, nr_sectors)
SIZE(blkif_request_indirect, blkif_x86_32_request_indirect)
FIELD(blkif_request_indirect, blkif_x86_32_request_indirect, operation)
FIELD(blkif_request_indirect, blkif_x86_32_request_indirect, indirect_op)
FIELD(blkif_request_indirect, blkif_x86_32_request_indirect, nr_segments)
FIELD(blkif_request_indirect, blkif_x86_32_request_indirect, id)
FIELD(blkif_request_indirect, blkif_x86_32_request_indirect, sector_number)
FIELD(blkif_request_indirect, blkif_x86_32_request_indirect, handle)
FIELD(blkif_request_indirect, blkif_x86_32_request_indirect, indirect_grefs)
SIZE(blkif_response, blkif_x86_32_response)
FIELD(blkif_response, blkif_x86_32_response, id)
FIELD(blkif_response, blkif_x86_32_response, operation)
FIELD(blkif_response, blkif_x86_32_response, status)
