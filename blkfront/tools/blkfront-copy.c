/* SPDX-License-Identifier: MIT */
/*
 * blkfront-copy.c - copies a split disk to a file, a file to a split disk, or
 * one disk to another. `pvsplit block-copy` starts it. See copy.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abi/grant.h"
#include "blkfront/tools/copy.h"
#include "tools/stop.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/num.h"
#include "util/say.h"
#include "util/vdev.h"

#define PROGRAM	    "blkfront-copy"
#define WHY_BYTES   256
#define PROGRESS_NS (200 * NS_PER_MS)
#define BAR_WIDTH   24

/* One of the two words: "disk:DOMAIN/VDEV" or "file:PATH". */
struct place {
	const char *path; /* NULL: a disk */
	struct blkfront_config disk;
	struct copy_end end;
	uint64_t size_bytes;
	uint32_t sector_bytes;
	bool made; /* the file is ours: it goes when we fail */
};

struct options {
	const char *run_dir;
	struct place from, to;
	bool overwrite, discard, verify, json;
};

struct bar {
	const char *what;
	uint64_t size_bytes, start_ns, next_ns;
	bool shown;
};

/* ---- the command line -----------------------------------------------------
 */

static void usage(FILE *out)
{
	fprintf(out,
		"usage: " PROGRAM " [OPTION]... SOURCE DESTINATION\n"
		"Each is disk:DOMAIN/VDEV or file:PATH, not both files.\n"
		"  --run-dir DIR  run directory of brokerd\n"
		"  --overwrite    the destination is a disk, or a file that "
		"exists\n"
		"  --discard      give back what of the disk is to be zeros\n"
		"  --verify       read both again and compare\n"
		"  --json         the result as JSON\n");
}

static int parse_place(const char *text, struct place *ret)
{
	const char *slash = strchr(text, '/');
	char domain[12];
	uint32_t domid;

	ret->end.fd = -1;
	if (!strncmp(text, "file:", 5) && text[5]) {
		ret->path = text + 5;
		return 0;
	}
	if (!strncmp(text, "disk:", 5) && slash &&
	    str_printf(domain, sizeof(domain), "%.*s", (int)(slash - text - 5),
		       text + 5) > 0 &&
	    !num_parse_u32(domain, DOMID_FIRST_RESERVED - 1, &domid) &&
	    !vdev_parse(slash + 1, &ret->disk.handle)) {
		ret->disk.domid = (domid_t)domid;
		return 0;
	}
	log_error("'%s' is neither disk:DOMAIN/VDEV nor file:PATH", text);
	return -EINVAL;
}

/* Returns 0, 1 when --help was all, or -EINVAL (said what is wrong). */
static int parse_options(int argc, char **argv, struct options *opt)
{
	static const struct option longs[] = {
		{ "run-dir", required_argument, NULL, 'r' },
		{ "overwrite", no_argument, NULL, 'o' },
		{ "discard", no_argument, NULL, 'd' },
		{ "verify", no_argument, NULL, 'v' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'r': opt->run_dir = optarg; break;
		case 'o': opt->overwrite = true; break;
		case 'd': opt->discard = true; break;
		case 'v': opt->verify = true; break;
		case 'j': opt->json = true; break;
		case 'h': usage(stdout); return 1;
		default: return -EINVAL;
		}
	}
	if (argc - optind != 2) {
		log_error("needs SOURCE and DESTINATION");
		return -EINVAL;
	}
	if (parse_place(argv[optind], &opt->from) ||
	    parse_place(argv[optind + 1], &opt->to))
		return -EINVAL;
	if (opt->from.path && opt->to.path) {
		log_error("both are files; cp(1) copies those");
		return -EINVAL;
	}
	return 0;
}

/* ---- the two places -------------------------------------------------------
 */

static int open_disk(struct place *p, const struct options *opt)
{
	struct blkfront_info info;
	char why[WHY_BYTES] = "";
	int err;

	p->disk.run_dir = opt->run_dir;
	p->disk.buf_bytes = COPY_BUFFERS;
	p->disk.nr_queues = COPY_MOVERS;
	err = blkfront_open(&p->disk, &p->end.bf, why, sizeof(why));
	if (err) {
		log_error("%s", why);
		return err;
	}
	blkfront_info(p->end.bf, &info);
	p->size_bytes = info.size_bytes;
	p->sector_bytes = info.sector_bytes;
	if (p == &opt->to && info.readonly) {
		log_error("the destination is read-only");
		return -EROFS;
	}
	return 0;
}

static int cannot(const char *what, const char *path)
{
	int err = -errno;

	log_error("cannot %s %s: %s", what, path, strerrordesc_np(-err));
	return err;
}

static int open_source(struct place *p)
{
	off_t end;

	p->end.fd = open(p->path, O_RDONLY | O_CLOEXEC);
	if (p->end.fd < 0)
		return cannot("read", p->path);
	end = lseek(p->end.fd, 0, SEEK_END);
	if (end < 0)
		return cannot("seek in", p->path);
	p->size_bytes = (uint64_t)end;
	return 0;
}

/* An empty file of that size: a hole all over. Devices are taken as they are.
 */
static int open_destination(struct place *p, bool overwrite,
			    uint64_t size_bytes)
{
	struct stat st;

	p->end.fd = open(p->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	p->made = p->end.fd >= 0;
	if (!p->made && errno == EEXIST) {
		if (!overwrite) {
			log_error("%s exists; --overwrite replaces it",
				  p->path);
			return -EEXIST;
		}
		p->end.fd = open(p->path, O_RDWR | O_CLOEXEC);
	}
	if (p->end.fd < 0)
		return cannot("write", p->path);
	if (fstat(p->end.fd, &st) < 0)
		return cannot("look at", p->path);
	if (S_ISREG(st.st_mode)) {
		if (ftruncate(p->end.fd, 0) < 0 ||
		    ftruncate(p->end.fd, (off_t)size_bytes) < 0)
			return cannot("resize", p->path);
		p->end.zeroed = true;
		p->size_bytes = size_bytes;
		return 0;
	}
	p->size_bytes = (uint64_t)lseek(p->end.fd, 0, SEEK_END);
	return 0;
}

/* Nothing is opened for writing before the source is known to be there. */
static int open_places(struct options *opt)
{
	struct place *from = &opt->from, *to = &opt->to;
	int err;

	if (!to->path && !opt->overwrite) {
		log_error("the destination is a disk; --overwrite says that "
			  "what is on it may go");
		return -EINVAL;
	}
	err = from->path ? open_source(from) : open_disk(from, opt);
	if (!err)
		err = to->path ? open_destination(to, opt->overwrite,
						  from->size_bytes)
			       : open_disk(to, opt);
	if (!err && from->size_bytes > to->size_bytes) {
		log_error("the source has %llu bytes, the destination only "
			  "%llu",
			  (unsigned long long)from->size_bytes,
			  (unsigned long long)to->size_bytes);
		err = -ENOSPC;
	}
	return err;
}

static void close_place(struct place *p, bool failed)
{
	blkfront_close(p->end.bf);
	if (p->end.fd >= 0)
		close(p->end.fd);
	if (failed && p->made)
		unlink(p->path);
}

/* ---- progress -------------------------------------------------------------
 */

static void draw(struct bar *bar, uint64_t done_bytes, uint64_t now_ns)
{
	uint64_t ns = now_ns - bar->start_ns;
	double rate = ns ? (double)done_bytes * NS_PER_S / (double)ns : 0;
	double share = bar->size_bytes
			       ? (double)done_bytes / (double)bar->size_bytes
			       : 1;
	char done[SAY_BYTES], per_s[SAY_BYTES], left[SAY_BYTES] = "?";
	int filled = (int)(share * BAR_WIDTH);

	say_bytes(done_bytes, done);
	say_bytes((uint64_t)rate, per_s);
	if (rate > 0)
		say_duration((uint64_t)((double)(bar->size_bytes - done_bytes) /
					rate * NS_PER_S),
			     left);
	fprintf(stderr, "\r%s %3d%% [%.*s%*s] %s, %s/s, %s left\033[K",
		bar->what, (int)(share * 100), filled,
		"########################", BAR_WIDTH - filled, "", done, per_s,
		left);
	bar->shown = true;
}

static bool progress(void *arg, const struct copy_progress *p)
{
	struct bar *bar = arg;
	uint64_t now_ns = clock_now_ns();

	if (now_ns >= bar->next_ns) {
		bar->next_ns = now_ns + PROGRESS_NS;
		draw(bar, p->done_bytes, now_ns);
	}
	return !stop_asked;
}

static int run_pass(const struct options *opt, bool compare,
		    struct copy_progress *ret, uint64_t *where)
{
	uint64_t now_ns = clock_now_ns();
	uint64_t sector =
		opt->to.path ? opt->from.sector_bytes : opt->to.sector_bytes;
	struct bar bar = {
		.what = compare ? "compare" : "copy",
		.start_ns = now_ns,
		/* only somebody who waits and looks is shown a bar */
		.next_ns = isatty(STDERR_FILENO) ? now_ns + PROGRESS_NS
						 : UINT64_MAX,
	};
	struct copy_config config = { .from = opt->from.end,
				      .to = opt->to.end,
				      .discard = opt->discard,
				      .compare = compare,
				      .progress = progress,
				      .arg = &bar };
	int err;

	/* A file's last bytes and zeros make a sector. */
	config.size_bytes = opt->from.size_bytes + sector - 1;
	config.size_bytes -= config.size_bytes % sector;
	bar.size_bytes = config.size_bytes;
	err = copy_run(&config, ret, where);
	if (bar.shown)
		fprintf(stderr, "\r\033[K");
	return err;
}

/* ---- running it -----------------------------------------------------------
 */

static int complain(int err, bool compare, uint64_t where)
{
	if (err == -ECANCELED)
		log_error("interrupted; the destination is not whole");
	else if (err == -EILSEQ)
		log_error("the copy differs at byte %llu",
			  (unsigned long long)where);
	else
		log_error("%s at byte %llu: %s; the destination is not whole",
			  compare ? "comparing" : "copying",
			  (unsigned long long)where, strerrordesc_np(-err));
	return err;
}

static int report(const struct options *opt, const struct copy_progress *p,
		  uint64_t ns)
{
	double seconds = (double)ns / NS_PER_S;
	char total[SAY_BYTES], written[SAY_BYTES], rate[SAY_BYTES];
	char elapsed[SAY_BYTES];
	json_t *object;
	int err;

	if (!opt->json) {
		say_bytes(p->done_bytes, total);
		say_bytes(p->written_bytes, written);
		say_bytes((uint64_t)((double)p->done_bytes / seconds), rate);
		say_duration(ns, elapsed);
		printf("%s in %s, %s/s; %s written, the rest is zeros%s\n",
		       total, elapsed, rate, written,
		       opt->verify ? "; compared equal" : "");
		return 0;
	}
	object = json_pack("{s:I, s:I, s:I, s:f, s:b}", "bytes",
			   (json_int_t)p->done_bytes, "written",
			   (json_int_t)p->written_bytes, "discarded",
			   (json_int_t)p->discarded_bytes, "seconds", seconds,
			   "verified", opt->verify);
	err = object && !json_dumpf(object, stdout, JSON_INDENT(2)) ? 0 : -EIO;
	putchar('\n');
	json_decref(object);
	return err;
}

static int run(struct options *opt)
{
	uint64_t start_ns = clock_now_ns(), where, ns;
	struct copy_progress done, compared;
	int err;

	stop_catch();
	err = open_places(opt);
	if (!err) {
		start_ns = clock_now_ns();
		err = run_pass(opt, false, &done, &where);
		ns = clock_now_ns() - start_ns;
		if (err)
			complain(err, false, where);
	}
	if (!err && opt->verify) {
		err = run_pass(opt, true, &compared, &where);
		if (err)
			complain(err, true, where);
	}
	close_place(&opt->from, false);
	close_place(&opt->to, err != 0);
	return err ? err : report(opt, &done, ns ? ns : 1);
}

int main(int argc, char **argv)
{
	struct options opt = { 0 };
	int err;

	log_init(PROGRAM, LOG_WARN);
	err = parse_options(argc, argv, &opt);
	if (err)
		return err > 0 ? 0 : 2;
	return run(&opt) || fflush(stdout) ? 1 : 0;
}
