/* SPDX-License-Identifier: MIT */
/*
 * libblk_fio.c - fio carries out a load of libblk.h, on the file itself, or on
 * the server's export.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/libblk.h"
#include "util/clock.h"
#include "util/num.h"

/* Of fio's terse line, version 3, counted from 0. */
#define FIELD_READ_IOPS	 7
#define FIELD_WRITE_IOPS 48

static double field(const char *line, unsigned idx)
{
	char *rest;

	while (idx-- && line) {
		line = strchr(line, ';');
		line = line ? line + 1 : NULL;
	}
	return line ? strtod(line, &rest) : 0;
}

int blk_run_fio(const struct blk_disk *disk, const struct blk_load *load,
		struct blk_rate *ret)
{
	char command[768], line[8192] = "";
	FILE *out;

	if (str_printf(command, sizeof(command),
		       "fio --name=peer --ioengine=%s --%s='%s' --rw=%s%s "
		       "--bs=%u --direct=%d --iodepth=%u --size=%llu "
		       "--runtime=%llums --time_based --norandommap "
		       "--randrepeat=0 --thread "
		       "--output-format=terse --terse-version=3 2>/dev/null",
		       disk->engine,
		       strcmp(disk->engine, "nbd") ? "filename" : "uri",
		       disk->file, load->sequential ? "" : "rand",
		       load->write ? "write" : "read", load->block_bytes,
		       disk->direct, load->depth,
		       (unsigned long long)disk->size_bytes,
		       (unsigned long long)(load->run_ns / NS_PER_MS)) < 0)
		return -EINVAL;
	out = popen(command, "r");
	if (!out)
		return -errno;
	/* An engine may have something to say first. */
	while (fgets(line, sizeof(line), out) && strncmp(line, "3;", 2) != 0)
		;
	while (fgetc(out) != EOF)
		;
	if (pclose(out) != 0)
		return -EIO;
	*ret = (struct blk_rate){
		.iops = field(line,
			      load->write ? FIELD_WRITE_IOPS : FIELD_READ_IOPS)
	};
	return ret->iops > 0 ? 0 : -EIO;
}
