/* SPDX-License-Identifier: MIT */
/* output.c - errors, tables and JSON. See pvsplit.h. */
#include "pvsplit/pvsplit.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/log.h"

#define COLUMNS_MAX 32u
#define CELL_MAX    256u

int complain(int err, const char *fmt, ...)
{
	char text[900];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fflush(stdout);
	log_info("%s", text);
	return err;
}

int complain_usage(const struct args *args, const char *fmt, ...)
{
	char text[700];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!*args->command)
		return complain(USAGE_ERROR, "%s; see 'pvsplit --help'", text);
	return complain(USAGE_ERROR, "%s: %s; see 'pvsplit %s --help'",
			args->command, text, args->command);
}

/* One cell as text; control bytes of a guest's become '?'. */
static void cell_text(const json_t *value, char *buf, size_t size)
{
	buf[0] = '\0';
	if (json_is_string(value))
		snprintf(buf, size, "%s", json_string_value(value));
	else if (json_is_integer(value))
		snprintf(buf, size, "%lld", json_integer_value(value));
	else if (json_is_boolean(value))
		snprintf(buf, size, "%s", json_is_true(value) ? "yes" : "no");
	for (char *c = buf; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	if (!buf[0])
		snprintf(buf, size, "-");
}

void output_table(const json_t *list, const struct column *columns)
{
	size_t widths[COLUMNS_MAX] = { 0 }, idx;
	char cell[CELL_MAX];
	json_t *row;

	for (unsigned i = 0; columns[i].key; i++) {
		assert(i < COLUMNS_MAX);
		widths[i] = strlen(columns[i].title);
	}
	json_array_foreach(list, idx, row)
	{
		for (unsigned i = 0; columns[i].key; i++) {
			cell_text(json_object_get(row, columns[i].key), cell,
				  sizeof(cell));
			if (strlen(cell) > widths[i])
				widths[i] = strlen(cell);
		}
	}
	for (unsigned i = 0; columns[i].key; i++)
		printf("%-*s%s", columns[i + 1].key ? (int)widths[i] : 0,
		       columns[i].title, columns[i + 1].key ? "  " : "\n");
	json_array_foreach(list, idx, row)
	{
		for (unsigned i = 0; columns[i].key; i++) {
			cell_text(json_object_get(row, columns[i].key), cell,
				  sizeof(cell));
			printf("%-*s%s",
			       columns[i + 1].key ? (int)widths[i] : 0, cell,
			       columns[i + 1].key ? "  " : "\n");
		}
	}
}

static int dump(json_t *value)
{
	if (json_dumpf(value, stdout, JSON_INDENT(2)) < 0)
		return complain(-EIO, "output: cannot write it as JSON; "
				      "leave --json out");
	putchar('\n');
	return 0;
}

int output_list(const struct pvsplit *ps, json_t *list,
		const struct column *columns)
{
	int err = 0;

	if (!list)
		return complain(-ENOMEM, "output: out of memory; try again");
	if (ps->json)
		err = dump(list);
	else
		output_table(list, columns);
	json_decref(list);
	return err;
}

int output_result(const struct pvsplit *ps, json_t *object, const char *fmt,
		  ...)
{
	va_list ap;
	int err = 0;

	if (!object)
		return complain(-ENOMEM, "output: out of memory; try again");
	if (ps->json) {
		err = dump(object);
	} else {
		va_start(ap, fmt);
		vprintf(fmt, ap);
		va_end(ap);
		putchar('\n');
	}
	json_decref(object);
	return err;
}
