/* SPDX-License-Identifier: MIT */
/*
 * snapshot.c - the whole store into a file, in records that recovery carries
 * out like any others. Runs in the forked child, or while nobody is served yet.
 * Memory: one buffer, whatever the size of the store.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "xenstore-lite/journal.h"
#include "xenstore-lite/private.h"

/* About the bytes of one record of nodes, which salvage keeps or loses whole;
 * and of one write. */
#define NODES_BYTES (4u << 10)
#define WRITE_BYTES (256u << 10)

struct writer {
	const struct journal_io *io;
	struct encoder buf;
	uint64_t mark, seq, off;
	int fd, err;
};

static void write_buf(struct writer *w)
{
	if (!w->err && w->buf.failed)
		w->err = -ENOMEM;
	if (!w->err)
		w->err = journal_write_all(w->io, w->fd, w->buf.data,
					   w->buf.len, w->off);
	w->off += w->buf.len;
	w->buf.len = 0;
}

static size_t begin(struct writer *w, enum record_type type)
{
	return record_begin(&w->buf, w->mark, w->seq++, type);
}

static void end(struct writer *w, size_t at)
{
	int err = record_end(&w->buf, at);

	if (err && !w->err)
		w->err = err;
	if (w->buf.len >= WRITE_BYTES)
		write_buf(w);
}

static void put_counts(struct writer *w, const struct store *store,
		       enum record_type type)
{
	size_t at = begin(w, type);
	uint32_t nr_domains = 0;

	list_for_each(l, &store->domains.all)
		nr_domains++;
	enc_u64(&w->buf, store->last_generation);
	enc_u32(&w->buf, nr_domains);
	enc_u32(&w->buf, store->nodes.nr);
	end(w, at);
}

static void put_domain(struct writer *w, enum record_type type,
		       const struct xsd_domain *domain)
{
	size_t at = begin(w, type);

	enc_domain(&w->buf, domain);
	end(w, at);
}

/* All of them before any is another's target. */
static void put_domains(struct writer *w, const struct store *store)
{
	list_for_each(l, &store->domains.all) {
		struct xsd_domain alone =
			*container_of(l, struct xsd_domain, link);

		alone.target = NULL;
		put_domain(w,
			   alone.domid ? RECORD_DOMAIN_ADD : RECORD_DOMAIN_SET,
			   &alone);
	}
	list_for_each(l, &store->domains.all) {
		const struct xsd_domain *domain =
			container_of(l, struct xsd_domain, link);

		if (domain->target)
			put_domain(w, RECORD_DOMAIN_SET, domain);
	}
}

/* The node after node, parents before children, children in their order. */
static const struct store_node *next_node(const struct store_node *node)
{
	if (!list_empty(&node->children))
		return container_of(node->children.next, struct store_node,
				    siblings);
	while (node->parent && node->siblings.next == &node->parent->children)
		node = node->parent;
	if (!node->parent)
		return NULL;
	return container_of(node->siblings.next, struct store_node, siblings);
}

static void put_nodes(struct writer *w, const struct store *store)
{
	const struct store_node *node = store->root;

	while (node && !w->err) {
		size_t at = begin(w, RECORD_COMMIT);

		do {
			enc_node(&w->buf, node);
			node = next_node(node);
		} while (node && w->buf.len - at < NODES_BYTES);
		end(w, at);
	}
}

static void put_store(struct writer *w, const struct xsd *xsd)
{
	size_t at;

	put_counts(w, &xsd->store, RECORD_SNAPSHOT_BEGIN);
	put_domains(w, &xsd->store);
	at = begin(w, RECORD_SPECIALS);
	enc_specials(&w->buf, xsd);
	end(w, at);
	put_nodes(w, &xsd->store);
	put_counts(w, &xsd->store, RECORD_SNAPSHOT_END);
	write_buf(w);
}

static int write_file(struct writer *w, const struct xsd *xsd,
		      const struct record_file *journal)
{
	struct record_file file = { .kind = RECORD_SNAPSHOT,
				    .segment = journal->segment,
				    .first_seq = journal->first_seq };
	int err = journal_new_mark(&file.mark);

	if (err)
		return err;
	w->mark = file.mark;
	record_put_file(&w->buf, &file);
	put_store(w, xsd);
	encoder_fini(&w->buf);
	if (!w->err && fsync(w->fd) < 0)
		w->err = -errno;
	return w->err;
}

int snapshot_write(const struct xsd *xsd, int dir_fd,
		   const struct journal_io *io, const struct record_file *file)
{
	char part[JOURNAL_NAME_MAX], name[JOURNAL_NAME_MAX];
	struct writer w = { .io = io, .seq = 1 };
	int err;

	journal_name(JOURNAL_PART, file->segment, part);
	journal_name(JOURNAL_SNAPSHOT, file->segment, name);
	w.fd = openat(dir_fd, part,
		      O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		      0600);
	if (w.fd < 0)
		return -errno;
	err = write_file(&w, xsd, file);
	close(w.fd);
	if (!err && renameat(dir_fd, part, dir_fd, name) < 0)
		err = -errno;
	if (!err && fsync(dir_fd) < 0)
		err = -errno;
	if (err)
		unlinkat(dir_fd, part, 0);
	return err;
}
