/* SPDX-License-Identifier: MIT */
/*
 * ctrl_serve.c - what control requests mean; see ctrl.h. Neighbours: rss.c,
 * queue_pages.c (what they change), frame.c (copies from a guest's page);
 * ctrl.c calls. Data thread.
 */
#include <errno.h>
#include <string.h>

#include "netback/ctrl.h"

#define GREFS_MAX (PV_PAGE_SIZE / sizeof(struct xen_netif_gref))
_Static_assert(GREFS_MAX <= RECORD_PAGES_MAX, "a list fits the record");

/* The one place where an errno becomes a control ring's status. */
static uint32_t ctrl_status(int err)
{
	switch (-err) {
	case 0: return XEN_NETIF_CTRL_STATUS_SUCCESS;
	case EOPNOTSUPP: return XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED;
	case EOVERFLOW: return XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW;
	default: return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
	}
}

static int map_page(const struct ctrl_subject *s, grant_ref_t ref,
		    bool writable, struct grant_map *ret)
{
	return platform_map(s->common->platform, s->common->domid, &ref, 1,
			    writable, ret);
}

/* Copy the beginning of the page called ref; nothing of it when size is 0. */
static int read_page(const struct ctrl_subject *s, grant_ref_t ref, void *buf,
		     size_t size_bytes)
{
	struct grant_map map;
	int err;

	if (!size_bytes)
		return 0;
	err = map_page(s, ref, false, &map);
	if (err)
		return err;
	frame_read_shared(buf, map.base, size_bytes);
	platform_unmap(s->common->platform, &map);
	return 0;
}

/* ---- the hash ---------------------------------------------------------- */

static int serve_types(const struct ctrl_subject *s, uint32_t types)
{
	if (s->rss->algorithm == XEN_NETIF_CTRL_HASH_ALGORITHM_NONE)
		return -EOPNOTSUPP;
	return rss_set_types(s->rss, types);
}

static int serve_key(const struct ctrl_subject *s, grant_ref_t ref,
		     uint32_t size_bytes)
{
	uint8_t key[RSS_KEY_BYTES];
	int err;

	if (size_bytes > sizeof(key))
		return -EOVERFLOW;
	err = read_page(s, ref, key, size_bytes);
	if (!err)
		err = rss_set_key(s->rss, key, size_bytes);
	if (!err)
		rss_table_init(s->table, s->rss->key);
	return err;
}

static int serve_mapping(const struct ctrl_subject *s, grant_ref_t ref,
			 uint32_t nr, uint32_t offset)
{
	uint32_t queues[RSS_MAPPING_MAX];
	int err;

	if (nr > RSS_MAPPING_MAX)
		return -EOVERFLOW;
	err = read_page(s, ref, queues, nr * sizeof(*queues));
	if (err)
		return err;
	return rss_set_mapping(s->rss, queues, nr, offset, s->nr_queues);
}

/* ---- pages that stay mapped -------------------------------------------- */

/* Did a predecessor die in the middle of this very request? */
static bool was_begun(const struct ctrl_subject *s, uint32_t idx)
{
	/* pairs with begin() and ctrl_served() in the predecessor */
	return __atomic_load_n(&s->change->pending, __ATOMIC_ACQUIRE) &&
	       s->change->request == idx;
}

/* From here on a successor goes by the record. */
static void begin(const struct ctrl_subject *s, uint32_t idx)
{
	s->change->request = idx;
	/* pairs with was_begun() in a successor */
	__atomic_store_n(&s->change->pending, 1, __ATOMIC_RELEASE);
}

void ctrl_served(const struct ctrl_subject *subject)
{
	/* pairs with was_begun() in a successor */
	__atomic_store_n(&subject->change->pending, 0, __ATOMIC_RELEASE);
}

static int serve_add_grefs(const struct ctrl_subject *s, uint32_t idx,
			   const uint32_t data[3])
{
	struct xen_netif_gref list[GREFS_MAX];
	struct queue *q;
	int err;

	if (data[0] >= s->nr_queues || data[2] > GREFS_MAX)
		return -EINVAL;
	q = s->queues[data[0]];
	if (was_begun(s, idx)) {
		queue_keep_pages(q, s->change->nr_before);
	} else {
		s->change->nr_before = queue_nr_pages(q);
		begin(s, idx);
	}
	err = read_page(s, data[1], list, data[2] * sizeof(*list));
	return err ? err : queue_add_pages(q, list, data[2]);
}

/* Only one of several that name the same page takes it away. */
static bool named_before(const struct xen_netif_gref *list, uint32_t i)
{
	for (uint32_t k = 0; k < i; k++)
		if (list[k].ref == list[i].ref)
			return true;
	return false;
}

/* What will come of each entry, before anything is done. */
static void judge(const struct queue *q, struct xen_netif_gref *list,
		  uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++) {
		bool there = queue_has_page(q, list[i].ref) &&
			     !named_before(list, i);

		list[i].status = (uint16_t)ctrl_status(there ? 0 : -EINVAL);
	}
}

static int serve_del_grefs(const struct ctrl_subject *s, uint32_t idx,
			   const uint32_t data[3], uint32_t *ret_nr)
{
	struct record_change *change = s->change;
	struct xen_netif_gref *list = change->list;
	struct grant_map map;
	struct queue *q;
	int err;

	if (data[0] >= s->nr_queues || data[2] > GREFS_MAX)
		return -EINVAL;
	if (!data[2])
		return 0;
	err = map_page(s, data[1], true, &map);
	if (err)
		return err;
	q = s->queues[data[0]];
	if (!was_begun(s, idx)) {
		change->nr = data[2];
		frame_read_shared(list, map.base, data[2] * sizeof(*list));
		judge(q, list, change->nr);
		begin(s, idx);
	}
	for (uint32_t i = 0; i < change->nr; i++) {
		if (list[i].status != XEN_NETIF_CTRL_STATUS_SUCCESS)
			continue;
		queue_del_page(q, list[i].ref);
		++*ret_nr;
	}
	frame_write_shared(map.base, list, change->nr * sizeof(*list));
	platform_unmap(s->common->platform, &map);
	return 0;
}

static int serve_grefs(const struct ctrl_subject *s, uint32_t idx,
		       const struct xen_netif_ctrl_request *req,
		       uint32_t *ret_data)
{
	switch (req->type) {
	case XEN_NETIF_CTRL_TYPE_GET_GREF_MAPPING_SIZE:
		if (req->data[0] >= s->nr_queues)
			return -EINVAL;
		*ret_data = RECORD_PAGES_MAX;
		return 0;
	case XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING:
		return serve_add_grefs(s, idx, req->data);
	case XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING:
		return serve_del_grefs(s, idx, req->data, ret_data);
	default: return -EOPNOTSUPP;
	}
}

static int serve(const struct ctrl_subject *s, uint32_t idx,
		 const struct xen_netif_ctrl_request *req, uint32_t *ret_data)
{
	switch (req->type) {
	case XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM:
		return rss_set_algorithm(s->rss, req->data[0]);
	case XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS:
		if (s->rss->algorithm == XEN_NETIF_CTRL_HASH_ALGORITHM_NONE)
			return -EOPNOTSUPP;
		*ret_data = RSS_TYPES;
		return 0;
	case XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS:
		return serve_types(s, req->data[0]);
	case XEN_NETIF_CTRL_TYPE_SET_HASH_KEY:
		return serve_key(s, req->data[0], req->data[1]);
	case XEN_NETIF_CTRL_TYPE_GET_HASH_MAPPING_SIZE:
		*ret_data = RSS_MAPPING_MAX;
		return 0;
	case XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE:
		return rss_set_mapping_size(s->rss, req->data[0]);
	case XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING:
		return serve_mapping(s, req->data[0], req->data[1],
				     req->data[2]);
	default: return serve_grefs(s, idx, req, ret_data);
	}
}

void ctrl_serve(const struct ctrl_subject *subject, uint32_t idx,
		const struct xen_netif_ctrl_request *req,
		struct xen_netif_ctrl_response *rsp)
{
	uint32_t data = 0;
	int err = serve(subject, idx, req, &data);

	*rsp = (struct xen_netif_ctrl_response){
		.id = req->id,
		.type = req->type,
		.status = ctrl_status(err),
		.data = data,
	};
}
