/* SPDX-License-Identifier: MIT */
/*
 * netfront-hello.c - a program with a split network interface: greets everybody
 * on its network and says who greets back, for as many seconds as it is told.
 * See netfront(3).
 *
 *	cc netfront-hello.c -o netfront-hello \
 *		$(pkg-config --cflags --libs pvsplit-netfront)
 *	./netfront-hello 3 5
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pvsplit/netfront.h>

#define FRAME_BYTES 60
#define ETHERTYPE   0x88b5 /* for experiments */
#define BURST	    16

static const char greeting[] = "hello";

/* Write one frame into its room: to everybody, from us. */
static void write_frame(unsigned char *frame, const unsigned char mac[6])
{
	memset(frame, 0, FRAME_BYTES);
	memset(frame, 0xff, 6);
	memcpy(frame + 6, mac, 6);
	frame[12] = ETHERTYPE >> 8;
	frame[13] = ETHERTYPE & 0xff;
	memcpy(frame + 14, greeting, sizeof(greeting));
}

static void greet(struct netfront *nf, const unsigned char mac[6])
{
	struct netfront_frame frame;
	unsigned n = netfront_prepare(nf, &frame, 1, FRAME_BYTES);

	if (n)
		write_frame(frame.iov[0].iov_base, mac);
	netfront_send(nf, &frame, n);
}

/* Is it a greeting? The backend may still write to it: a copy is looked at. */
static void read_frame(const struct netfront_frame *frame)
{
	unsigned char head[14 + sizeof(greeting)];

	if (frame->iov[0].iov_len < sizeof(head))
		return;
	memcpy(head, frame->iov[0].iov_base, sizeof(head));
	if (head[12] != ETHERTYPE >> 8 || head[13] != (ETHERTYPE & 0xff) ||
	    memcmp(head + 14, greeting, sizeof(greeting)) != 0)
		return;
	printf("hello from %02x:%02x:%02x:%02x:%02x:%02x\n", head[6], head[7],
	       head[8], head[9], head[10], head[11]);
	fflush(stdout);
}

static int run(struct netfront *nf, time_t seconds)
{
	struct pollfd pfd = { .fd = netfront_fd(nf), .events = POLLIN };
	struct netfront_frame frames[BURST];
	struct netfront_info info;
	time_t end = time(NULL) + seconds, greeted = 0;

	netfront_info(nf, &info);
	while (time(NULL) < end) {
		unsigned n = netfront_recv(nf, frames, BURST);

		for (unsigned i = 0; i < n; i++)
			read_frame(&frames[i]);
		netfront_recv_done(nf);
		if (time(NULL) != greeted) {
			greeted = time(NULL);
			greet(nf, info.mac);
		}
		netfront_kick(nf);
		if (netfront_poll(nf) < 0)
			return 1;
		if (!n && !netfront_arm(nf))
			poll(&pfd, 1, 200);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct netfront_config config = { 0 };
	struct netfront *nf;
	char why[256] = "";
	int status;

	if (argc != 3) {
		fprintf(stderr, "usage: netfront-hello DOMAIN SECONDS\n");
		return 2;
	}
	config.domid = (uint16_t)strtoul(argv[1], NULL, 10);
	if (netfront_open(&config, &nf, why, sizeof(why)) < 0) {
		fprintf(stderr, "netfront-hello: %s\n", why);
		return 1;
	}
	status = run(nf, strtol(argv[2], NULL, 10));
	netfront_close(nf);
	return status;
}
