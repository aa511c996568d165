/* SPDX-License-Identifier: MIT */
/*
 * store_stats_read.c - the pages of CONTROL stats (docs/xenstore.md), taken
 * apart strictly. See store_stats.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pvsplit/store_stats.h"
#include "util/num.h"

#define CURSOR_PARTS	3
#define CURSOR_TEXT_MAX 72

struct cursor {
	uint64_t part[CURSOR_PARTS];
};

/* "A.B.C"; text is cut up. */
static int parse_cursor(char *text, struct cursor *ret)
{
	for (unsigned i = 0; i < CURSOR_PARTS; i++) {
		char *dot = strchr(text, '.');

		if ((i < CURSOR_PARTS - 1) != (dot != NULL))
			return -EPROTO;
		if (dot)
			*dot = '\0';
		if (num_parse_u64(text, UINT64_MAX, &ret->part[i]))
			return -EPROTO;
		if (dot)
			text = dot + 1;
	}
	return 0;
}

static bool is_after(const struct cursor *a, const struct cursor *b)
{
	for (unsigned i = 0; i < CURSOR_PARTS; i++)
		if (a->part[i] != b->part[i])
			return a->part[i] > b->part[i];
	return false;
}

static bool is_printable(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text > '~')
			return false;
	return true;
}

/* "NAME=VALUE"; digits only make a number. */
static int parse_field(char *field, json_t *row)
{
	char *value = strchr(field, '=');
	uint64_t number;
	json_t *json;

	if (!value || value == field || !value[1] || !is_printable(field))
		return -EPROTO;
	*value++ = '\0';
	if (num_parse_u64(value, INT64_MAX, &number) == 0)
		json = json_integer((json_int_t)number);
	else if (value[0] >= '0' && value[0] <= '9')
		return -EPROTO;
	else
		json = json_string(value);
	return json_object_set_new(row, field, json) ? -ENOMEM : 0;
}

/* "WORD NAME=VALUE ..." */
static int parse_row(char *line, const char *word, json_t **ret)
{
	char *save, *field = strtok_r(line, " ", &save);
	json_t *row;
	int err = 0;

	if (!field || strcmp(field, word) != 0)
		return -EPROTO;
	row = json_object();
	if (!row)
		return -ENOMEM;
	while (!err && (field = strtok_r(NULL, " ", &save)))
		err = parse_field(field, row);
	if (err)
		json_decref(row);
	else
		*ret = row;
	return err;
}

struct reading {
	const char *section, *word;
	uint32_t domid;
	struct cursor next;
	bool ended;
	json_t *rows;
};

/* A row is of the domain that was asked for, before it, or ends the reading. */
static int take_row(struct reading *r, char *line)
{
	json_t *row;
	json_int_t domid;
	int err = parse_row(line, r->word, &row);

	if (err)
		return err;
	if (r->domid == STORE_STATS_ALL)
		return json_array_append_new(r->rows, row) ? -ENOMEM : 0;
	domid = json_integer_value(json_object_get(row, "domid"));
	if (domid == r->domid)
		return json_array_append_new(r->rows, row) ? -ENOMEM : 0;
	r->ended = domid > r->domid;
	json_decref(row);
	return 0;
}

/* The last line says where the next page begins: always further on. */
static int take_end(struct reading *r, char *line)
{
	struct cursor next;

	if (strcmp(line, "end") == 0) {
		r->ended = true;
		return 0;
	}
	if (strncmp(line, "more ", 5) != 0 || parse_cursor(line + 5, &next) ||
	    !is_after(&next, &r->next))
		return -EPROTO;
	r->next = next;
	return 0;
}

static int take_page(struct reading *r, char *text)
{
	for (;;) {
		char *end = strchr(text, '\n');
		int err;

		if (!end)
			return -EPROTO;
		*end = '\0';
		if (end[1] == '\0')
			return take_end(r, text);
		err = take_row(r, text);
		if (err)
			return err;
		text = end + 1;
	}
}

static int read_page(struct pvsplit *ps, struct reading *r)
{
	char from[CURSOR_TEXT_MAX], *text;
	const char *const args[] = { "stats", r->section, from, NULL };
	size_t len;
	int err;

	snprintf(from, sizeof(from), "%llu.%llu.%llu",
		 (unsigned long long)r->next.part[0],
		 (unsigned long long)r->next.part[1],
		 (unsigned long long)r->next.part[2]);
	err = xs_control(ps->xs, args, &text, &len);
	if (err)
		return err;
	/* One string, with its NUL on the wire. */
	err = len && strlen(text) == len - 1 ? take_page(r, text) : -EPROTO;
	free(text);
	return err;
}

int store_stats_read(struct pvsplit *ps, const char *section, const char *word,
		     uint32_t domid, json_t **ret)
{
	struct reading r = { .section = section,
			     .word = word,
			     .domid = domid,
			     .rows = json_array() };
	int err = r.rows ? 0 : -ENOMEM;

	if (domid != STORE_STATS_ALL)
		r.next.part[0] = domid;
	while (!err && !r.ended)
		err = read_page(ps, &r);
	if (err)
		json_decref(r.rows);
	else
		*ret = r.rows;
	return err;
}
