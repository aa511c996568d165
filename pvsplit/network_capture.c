/* SPDX-License-Identifier: MIT */
/*
 * network_capture.c - network-capture: the frames of an interface, or of its
 * whole switch, into a pcap file. The driver domain writes them into pages of
 * ours (abi/capture.h) and never waits for us.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "abi/capture.h"
#include "pvsplit/attach.h"
#include "pvsplit/capture_ring.h"
#include "pvsplit/jobs.h"
#include "util/num.h"

#define ANSWER_NS (5 * NS_PER_S)
#define PAUSE_NS  NS_PER_MS
#define SNAP_MAX  262144u
/* As many as the ring may hold: then a signal is looked for. */
#define BATCH_MAX (CAPTURE_BYTES / sizeof(struct capture_record))
/* https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html */
#define PCAP_NANOSECONDS 0xa1b23c4du
#define PCAP_ETHERNET	 1u

const struct cmd_option network_capture_options[] = {
	{ "all", NULL, "every frame on the interface's switch" },
	{ "count", "N", "end after so many frames" },
	{ "snaplen", "BYTES", "of each frame at most (262144)" },
	{ 0 },
};

const char network_capture_help[] =
	"FILE is in the format that tcpdump and wireshark read; '-' is standard\n"
	"output. Goes on until interrupted, or until the interface is disconnected\n"
	"(not when its backend is started again). Frames are shown as the driver domain\n"
	"has them: those that the interface sends before any rule is asked, large\n"
	"ones whole, with a checksum that a receiver is to fill in as it is. What\n"
	"comes faster than it can be written is left out and counted; the network\n"
	"is not slowed down.\n";

struct capture_job {
	const struct args *args;
	struct device dev;
	struct share share;
	struct evtchn *ev;
	FILE *out;
	const char *path; /* NULL: standard output */
	struct capture_ring ring;
	uint64_t count; /* 0: until interrupted */
	uint64_t nr_frames;
	uint8_t data[SNAP_MAX];
};

static struct capture_header *header(const struct capture_job *j)
{
	return j->share.base;
}

/* ---- the file ---------------------------------------------------------- */

static int file_error(const struct capture_job *j)
{
	return complain(-errno, "%s: %s: %s", j->args->command,
			j->path ? j->path : "standard output", strerror(errno));
}

static int file_open(struct capture_job *j)
{
	const struct {
		uint32_t magic;
		uint16_t major, minor;
		uint32_t reserved[2], snap_bytes, link_type;
	} head = { .magic = PCAP_NANOSECONDS,
		   .major = 2,
		   .minor = 4,
		   .snap_bytes = j->ring.snap_bytes,
		   .link_type = PCAP_ETHERNET };

	j->out = j->path ? fopen(j->path, "wbe") : stdout;
	if (!j->out || fwrite(&head, sizeof(head), 1, j->out) != 1 ||
	    fflush(j->out))
		return file_error(j);
	return 0;
}

static int file_add(struct capture_job *j, const struct capture_record *r)
{
	const uint32_t head[4] = { (uint32_t)(r->time_ns / NS_PER_S),
				   (uint32_t)(r->time_ns % NS_PER_S),
				   r->size_bytes, r->frame_bytes };

	if (fwrite(head, sizeof(head), 1, j->out) != 1 ||
	    fwrite(j->data, 1, r->size_bytes, j->out) != r->size_bytes)
		return file_error(j);
	j->nr_frames++;
	return 0;
}

/* ---- the ring ---------------------------------------------------------- */

/* Write what there is. Returns 1 when enough is captured. */
static int drain(struct capture_job *j)
{
	struct capture_record r;
	int err = 0;

	for (unsigned n = 0; !err && n < BATCH_MAX; n++) {
		if (!capture_ring_next(&j->ring, &r, j->data))
			break;
		err = file_add(j, &r);
		capture_ring_release(&j->ring);
		if (!err && j->nr_frames == j->count)
			err = 1;
	}
	if (err >= 0 && fflush(j->out))
		return file_error(j);
	return err;
}

/* ---- the driver domain ------------------------------------------------- */

static int offer(struct pvsplit *ps, struct capture_job *j)
{
	uint64_t word;
	int err = platform_share(ps->platform, j->dev.backend_id,
				 CAPTURE_PAGES + 1, 0, &j->share);

	j->ring.pages = j->share.base;
	if (!err)
		err = platform_evtchn_alloc(ps->platform, j->dev.backend_id,
					    &j->ev);
	if (!err && getrandom(&word, sizeof(word), 0) != sizeof(word))
		err = -EIO;
	if (!err)
		err = xs_printf(ps->xs, XS_NO_TXN, j->dev.back, "capture",
				"%u %u %u %s %016llx", j->share.first_ref,
				evtchn_port(j->ev), j->ring.snap_bytes,
				args_get(j->args, "all") ? "all" : "vif",
				(unsigned long long)word);
	if (err)
		return complain(err,
				"%s: offering pages to the driver domain: %s",
				j->args->command, strerror(-err));
	return 0;
}

static int wait_until_started(struct pvsplit *ps, const struct capture_job *j)
{
	uint64_t deadline_ns = clock_now_ns() + ANSWER_NS;

	while (!__atomic_load_n(&header(j)->started, __ATOMIC_ACQUIRE)) {
		int err = pvsplit_wait_fd(ps, -1, clock_now_ns() + PAUSE_NS);

		if (err)
			return err;
		if (clock_now_ns() > deadline_ns)
			return complain(-ETIMEDOUT,
					"%s: the driver domain does not "
					"answer; is the interface connected?",
					j->args->command);
	}
	return 0;
}

/* Until a signal, the count, or the end of the interface's connection. */
static int follow(struct pvsplit *ps, struct capture_job *j)
{
	uint64_t look_ns = 0;
	int err = 0;

	while (!err) {
		err = drain(j);
		if (!err)
			err = pvsplit_wait_fd(ps, -1,
					      clock_now_ns() + PAUSE_NS);
		if (err || clock_now_ns() < look_ns)
			continue;
		look_ns = clock_now_ns() + NS_PER_S;
		err = evtchn_clear(j->ev) < 0 ? -EPIPE : 0;
	}
	if (err == -EINTR || err == -EPIPE)
		err = drain(j);
	return err < 0 ? err : 0;
}

/* The pages are ours again when the driver domain has let go of them. */
static void take_back(struct pvsplit *ps, struct capture_job *j)
{
	uint64_t deadline_ns = clock_now_ns() + NS_PER_S;
	char path[DEVICE_PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/capture", j->dev.back);
	if (xs_rm(ps->xs, XS_NO_TXN, path) == 0)
		while (evtchn_clear(j->ev) >= 0 && clock_now_ns() < deadline_ns)
			pvsplit_pause(PAUSE_NS);
	evtchn_close(j->ev);
	platform_unshare(ps->platform, &j->share);
}

static int run(struct pvsplit *ps, struct capture_job *j)
{
	uint64_t nr_dropped;
	int err = offer(ps, j);

	if (!err)
		err = wait_until_started(ps, j);
	if (!err)
		err = follow(ps, j);
	if (!j->share.base)
		return err;
	nr_dropped = __atomic_load_n(&header(j)->nr_dropped, __ATOMIC_RELAXED);
	if (j->ev)
		take_back(ps, j);
	if (err)
		return err == -EINTR ? 0 : err;
	if (!j->path)
		return 0;
	return output_result(
		ps,
		json_pack("{s:I, s:I}", "frames", (json_int_t)j->nr_frames,
			  "dropped", (json_int_t)nr_dropped),
		"%llu frames, %llu left out", (unsigned long long)j->nr_frames,
		(unsigned long long)nr_dropped);
}

/* ---- the command ------------------------------------------------------- */

static int parse_options(struct capture_job *j, uint32_t *ret_handle)
{
	const struct args *args = j->args;
	const char *count = args_get(args, "count");
	const char *snap = args_get(args, "snaplen");

	j->ring.snap_bytes = SNAP_MAX;
	if (count && num_parse_u64(count, UINT64_MAX, &j->count))
		return complain_usage(args, "--count %s: not a number", count);
	if (snap && (num_parse_u32(snap, SNAP_MAX, &j->ring.snap_bytes) ||
		     !j->ring.snap_bytes))
		return complain_usage(args,
				      "--snaplen %s: not a number from 1 to %u",
				      snap, SNAP_MAX);
	if (strcmp(args->words[2], "-"))
		j->path = args->words[2];
	return network_handle(args, ret_handle);
}

int network_capture_run(struct pvsplit *ps, const struct args *args)
{
	struct capture_job *j = calloc(1, sizeof(*j));
	uint32_t handle;
	int err;

	if (!j)
		return complain(-ENOMEM, "%s: out of memory", args->command);
	j->args = args;
	err = parse_options(j, &handle);
	if (!err)
		err = device_find_args(ps, args, DEVICE_VIF, handle, &j->dev);
	if (!err)
		err = pvsplit_catch_signals(ps);
	if (!err)
		err = file_open(j);
	if (!err)
		err = run(ps, j);
	if (j->out && j->path && fclose(j->out) && !err)
		err = file_error(j);
	free(j);
	return err;
}
