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

static int serve_add_grefs(const struct ctrl_subject *s, uint32_t queue,
			   grant_ref_t ref, uint32_t nr)
{
	struct xen_netif_gref list[GREFS_MAX];
	int err;

	if (queue >= s->nr_queues || nr > GREFS_MAX)
		return -EINVAL;
	err = read_page(s, ref, list, nr * sizeof(*list));
	if (err)
		return err;
	return queue_add_pages(s->queues[queue], list, nr);
}

static int serve_del_grefs(const struct ctrl_subject *s, uint32_t queue,
			   grant_ref_t ref, uint32_t nr, uint32_t *ret_nr)
{
	struct xen_netif_gref list[GREFS_MAX];
	struct grant_map map;
	int err;

	if (queue >= s->nr_queues || nr > GREFS_MAX)
		return -EINVAL;
	if (!nr)
		return 0;
	err = map_page(s, ref, true, &map);
	if (err)
		return err;
	frame_read_shared(list, map.base, nr * sizeof(*list));
	for (uint32_t i = 0; i < nr; i++) {
		err = queue_del_page(s->queues[queue], list[i].ref);
		list[i].status = (uint16_t)ctrl_status(err);
		*ret_nr += !err;
	}
	frame_write_shared(map.base, list, nr * sizeof(*list));
	platform_unmap(s->common->platform, &map);
	return 0;
}

static int serve_grefs(const struct ctrl_subject *s,
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
		return serve_add_grefs(s, req->data[0], req->data[1],
				       req->data[2]);
	case XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING:
		return serve_del_grefs(s, req->data[0], req->data[1],
				       req->data[2], ret_data);
	default: return -EOPNOTSUPP;
	}
}

static int serve(const struct ctrl_subject *s,
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
	default: return serve_grefs(s, req, ret_data);
	}
}

void ctrl_serve(const struct ctrl_subject *subject,
		const struct xen_netif_ctrl_request *req,
		struct xen_netif_ctrl_response *rsp)
{
	uint32_t data = 0;
	int err = serve(subject, req, &data);

	*rsp = (struct xen_netif_ctrl_response){
		.id = req->id,
		.type = req->type,
		.status = ctrl_status(err),
		.data = data,
	};
}
