/* SPDX-License-Identifier: MIT */
/* options.c - see options.h. */
#include "netfront/tools/options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/grant.h"
#include "tools/options.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/num.h"

#define DEFAULT_RUNTIME (5 * NS_PER_S)
#define DEFAULT_SIZE	PROBE_BYTES_MIN
#define RATE_MAX	1000000000000ull

static const char *const modes[] = {
	[NETBENCH_SEND] = "send",
	[NETBENCH_RECEIVE] = "receive",
	[NETBENCH_ECHO] = "echo",
	[NETBENCH_REFLECT] = "reflect",
};

/* The simple IMIX: of twelve packets seven, four and one are that large. */
static const struct {
	uint32_t nr, size_bytes;
} imix[] = { { 7, 64 }, { 4, 590 }, { 1, 1514 } };

const char *options_mode(enum netbench_mode mode)
{
	return modes[mode];
}

static void usage(FILE *out)
{
	fprintf(out,
		"usage: " PROGRAM " [OPTION]... --vif DOMAIN:VIF\n"
		"  --run-dir DIR      run directory of brokerd\n"
		"  --vif DOMAIN:VIF   whose interface: numbers\n"
		"  --peer DOMAIN:VIF  another one, that receives or reflects\n"
		"  --mode MODE        send (default), receive, echo, reflect\n"
		"  --to MAC           whom to send to, without --peer\n"
		"  --ip ADDRESS       that it is sent from (198.18.0.1)\n"
		"  --to-ip ADDRESS    that it is sent to (198.18.0.2)\n"
		"  --size SIZE,...    of the frames, in turn (64), or imix\n"
		"  --rate RATE        frames a second, or as 10Mb/s; any\n"
		"  --flows N          UDP flows (one for each queue)\n"
		"  --depth N          echo: frames under way, each queue's (1)\n"
		"  --queues N         queues, a thread each (1)\n"
		"  --runtime SECONDS  how long (send, echo: 5 without --count)\n"
		"  --count N          how many frames\n"
		"  --poll             never sleep\n"
		"  --max-loss PERCENT fail when more frames are lost\n"
		"  --seed N           that frames are known by\n"
		"  --json             results as JSON\n");
}

static int parse_mode(const char *value, enum netbench_mode *ret)
{
	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++)
		if (!strcmp(value, modes[i])) {
			*ret = (enum netbench_mode)i;
			return 0;
		}
	return option_wrong("--mode", value, "send, receive, echo or reflect");
}

static int parse_vif(const char *option, const char *value,
		     struct netfront_config *ret)
{
	const char *colon = strchr(value, ':');
	char domain[12];
	uint32_t domid;

	if (!colon ||
	    str_printf(domain, sizeof(domain), "%.*s", (int)(colon - value),
		       value) < 0 ||
	    num_parse_u32(domain, DOMID_FIRST_RESERVED - 1, &domid) ||
	    num_parse_u32(colon + 1, UINT32_MAX, &ret->handle))
		return option_wrong(option, value, "two numbers, such as 3:0");
	ret->domid = (domid_t)domid;
	return 0;
}

static int parse_ip(const char *option, const char *value, uint8_t ret[4])
{
	if (inet_pton(AF_INET, value, ret) == 1)
		return 0;
	return option_wrong(option, value, "an IPv4 address");
}

static int add_size(struct netbench_config *b, uint32_t size_bytes)
{
	if (b->nr_sizes == NETBENCH_SIZES_MAX)
		return -ENOSPC;
	b->sizes[b->nr_sizes++] = size_bytes;
	return 0;
}

static int parse_sizes(const char *value, struct netbench_config *b)
{
	const char *at = value;
	char number[12];
	uint32_t size;

	b->nr_sizes = 0;
	if (!strcmp(value, "imix")) {
		int err = 0;

		for (unsigned i = 0; i < ARRAY_SIZE(imix); i++)
			for (uint32_t k = 0; k < imix[i].nr && !err; k++)
				err = add_size(b, imix[i].size_bytes);
		return err;
	}
	for (;; at++) {
		size_t len = strcspn(at, ",");

		if (str_printf(number, sizeof(number), "%.*s", (int)len, at) <
			    0 ||
		    num_parse_u32(number, PROBE_BYTES_MAX, &size) ||
		    size < PROBE_BYTES_MIN || add_size(b, size))
			return option_wrong("--size", value,
					    "bytes from 64 to 65535, several "
					    "with commas, or imix");
		at += len;
		if (!*at)
			return 0;
	}
}

/* "50000", "2M": frames; "10Mb/s", "1MB/s": bits, bytes. */
static int parse_rate(const char *value, struct netbench_config *b)
{
	size_t len = strlen(value);
	uint64_t per_byte = 1, rate;

	b->rate_is_bytes = len > 3 && !strcmp(value + len - 2, "/s");
	if (b->rate_is_bytes) {
		len -= 3;
		per_byte = value[len] == 'b' ? 8 : 1;
	}
	if ((b->rate_is_bytes && !strchr("bB", value[len])) ||
	    num_parse_thousands(value, len, RATE_MAX, &rate) || rate < per_byte)
		return option_wrong("--rate", value,
				    "frames a second such as 20000 or 1M, or "
				    "bits such as 10Mb/s");
	b->rate = rate / per_byte;
	return 0;
}

static int parse_max_loss(const char *value, double *ret)
{
	char *end;
	double percent = strtod(value, &end);

	/* A digit first: neither space, sign nor "nan". */
	if (*value < '0' || *value > '9' || *end || !(percent <= 100))
		return option_wrong("--max-loss", value,
				    "percent, such as 0 or 0.1");
	*ret = percent;
	return 0;
}

static int parse_seed(const char *value, struct options *opt)
{
	uint32_t run;
	int err = option_u32("--seed", value, 0, UINT16_MAX, &run);

	if (!err)
		opt->bench.run = (uint16_t)run;
	return err;
}

static int parse_mac(const char *value, struct options *opt)
{
	opt->has_to = true;
	/* To everybody is fine, too. */
	if (!strcmp(value, "ff:ff:ff:ff:ff:ff")) {
		memset(opt->bench.path.to_mac, 0xff, PACKET_MAC_BYTES);
		return 0;
	}
	return packet_parse_mac(value, opt->bench.path.to_mac)
		       ? option_wrong("--to", value, "a MAC address")
		       : 0;
}

static int parse_frames(struct options *opt, int c, const char *value)
{
	struct netbench_config *b = &opt->bench;

	switch (c) {
	case 'm': return parse_mode(value, &b->mode);
	case 't': return parse_mac(value, opt);
	case 'i': return parse_ip("--ip", value, b->path.from_ip);
	case 'I': return parse_ip("--to-ip", value, b->path.to_ip);
	case 's': return parse_sizes(value, b);
	case 'R': return parse_rate(value, b);
	case 'f':
		opt->has_flows = true;
		return option_u32("--flows", value, 1, PROBE_FLOWS_MAX,
				  &b->nr_flows);
	case 'n':
		return option_u32("--depth", value, 1, NETBENCH_DEPTH_MAX,
				  &b->depth);
	case 'q':
		return option_u32("--queues", value, 1, NETFRONT_QUEUES_MAX,
				  &opt->vifs[0].nr_queues);
	case 'T': return option_seconds("--runtime", value, &b->runtime_ns);
	case 'c':
		if (!num_parse_u64(value, UINT64_MAX - 1, &b->nr_frames) &&
		    b->nr_frames)
			return 0;
		return option_wrong("--count", value, "a number from 1 on");
	case 'l': return parse_max_loss(value, &opt->max_loss);
	default: return parse_seed(value, opt);
	}
}

static int wrong_together(const char *why)
{
	log_error("%s", why);
	return -EINVAL;
}

static int check_options(struct options *opt)
{
	struct netbench_config *b = &opt->bench;
	bool sends = b->mode == NETBENCH_SEND || b->mode == NETBENCH_ECHO;

	if (!sends && (opt->both || opt->has_to))
		return wrong_together("only modes send and echo have a --peer "
				      "or --to");
	if (sends && opt->both == opt->has_to)
		return wrong_together("needs --peer or --to: whom to send to");
	if (b->mode == NETBENCH_REFLECT && b->nr_frames)
		return wrong_together("mode reflect has no --count; give "
				      "--runtime");
	if (opt->max_loss >= 0 && (b->mode == NETBENCH_REFLECT ||
				   (b->mode == NETBENCH_SEND && !opt->both)))
		return wrong_together("--max-loss: nobody counts here what "
				      "arrives; give --peer, or mode receive "
				      "or echo");
	if (sends && !b->runtime_ns && !b->nr_frames)
		b->runtime_ns = DEFAULT_RUNTIME;
	if (!opt->has_flows)
		b->nr_flows = opt->vifs[0].nr_queues;
	opt->vifs[1].nr_queues = opt->vifs[0].nr_queues;
	opt->vifs[1].run_dir = opt->vifs[0].run_dir;
	return 0;
}

static void set_defaults(struct options *opt)
{
	static const uint8_t ips[2][4] = { { 198, 18, 0, 1 },
					   { 198, 18, 0, 2 } };

	*opt = (struct options){
		.max_loss = -1,
		.bench = { .sizes = { DEFAULT_SIZE },
			   .nr_sizes = 1,
			   .depth = 1,
			   .run = (uint16_t)(clock_now_ns() / NS_PER_US) },
		.vifs = { { .nr_queues = 1 } },
	};
	memcpy(opt->bench.path.from_ip, ips[0], sizeof(ips[0]));
	memcpy(opt->bench.path.to_ip, ips[1], sizeof(ips[1]));
}

int options_parse(int argc, char **argv, struct options *ret)
{
	static const struct option longs[] = {
		{ "run-dir", required_argument, NULL, 'r' },
		{ "vif", required_argument, NULL, 'v' },
		{ "peer", required_argument, NULL, 'p' },
		{ "mode", required_argument, NULL, 'm' },
		{ "to", required_argument, NULL, 't' },
		{ "ip", required_argument, NULL, 'i' },
		{ "to-ip", required_argument, NULL, 'I' },
		{ "size", required_argument, NULL, 's' },
		{ "rate", required_argument, NULL, 'R' },
		{ "flows", required_argument, NULL, 'f' },
		{ "depth", required_argument, NULL, 'n' },
		{ "queues", required_argument, NULL, 'q' },
		{ "runtime", required_argument, NULL, 'T' },
		{ "count", required_argument, NULL, 'c' },
		{ "max-loss", required_argument, NULL, 'l' },
		{ "seed", required_argument, NULL, 'S' },
		{ "poll", no_argument, NULL, 'P' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool has_vif = false;
	int c, err = 0;

	set_defaults(ret);
	while (!err && (c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'h': usage(stdout); return 1;
		case 'P': ret->bench.poll = true; break;
		case 'j': ret->json = true; break;
		case 'r': ret->vifs[0].run_dir = optarg; break;
		case 'v':
			has_vif = true;
			err = parse_vif("--vif", optarg, &ret->vifs[0]);
			break;
		case 'p':
			ret->both = true;
			err = parse_vif("--peer", optarg, &ret->vifs[1]);
			break;
		case '?': err = -EINVAL; break;
		default: err = parse_frames(ret, c, optarg); break;
		}
	}
	if (!err && optind != argc) {
		log_error("too much: '%s'", argv[optind]);
		err = -EINVAL;
	}
	if (!err && !has_vif)
		err = wrong_together("needs --vif");
	return err ? err : check_options(ret);
}
