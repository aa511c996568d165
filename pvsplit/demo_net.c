/* SPDX-License-Identifier: MIT */
/* demo_net.c - the demo's network part. See demo.h. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "pvsplit/demo.h"
#include "util/clock.h"
#include "util/num.h"

#define SERVER_ADDRESS "10.77.0.1"
#define SERVER_PORT    8080
#define FETCH_BYTES    (100 * MIB)
#define IPERF_SECONDS  "3"
#define RETRIES	       50
#define RETRY_NS       (100 * NS_PER_MS)

/* The number that follows the text, or 0. */
static double number_after(const char *in, const char *text)
{
	const char *at = strstr(in, text);

	return at ? strtod(at + strlen(text), NULL) : 0;
}

/* Five echoes. */
static int ping(struct demo *d, const struct demo_guest *from,
		const char *to_name, const char *to_address)
{
	const char *const argv[] = { "ping", "-q", "-c", "5",	     "-i",
				     "0.2",  "-W", "2",	 to_address, NULL };
	char what[64], *out = NULL;
	const char *times;
	double nr = 0, average = 0;
	int err = demo_run(d, &from->guest, argv, &out);

	if (!err) {
		nr = number_after(out, "packets transmitted, ");
		/* "min/avg/max/mdev = 0.1/0.2/0.3/0.1 ms" */
		times = strstr(out, "/mdev = ");
		average = times ? number_after(times + 8, "/") : 0;
	}
	free(out);
	snprintf(what, sizeof(what), "ping %s to %s", from->name, to_name);
	demo_result(d, nr == 5, what, "%.0f of 5 answered, %.2f ms on average",
		    nr, average);
	return 0;
}

/* The checksum that sha256sum prints: 64 digits. */
static int checksum(struct demo *d, const char *path, char sum[65])
{
	const char *const argv[] = { "sha256sum", path, NULL };
	char *out = NULL;
	int err = demo_run(d, NULL, argv, &out);

	if (!err)
		snprintf(sum, 65, "%s", out);
	if (!err)
		free(out);
	return err;
}

/* Bob fetches the server's file. */
static int fetch(struct demo *d, const char *source)
{
	char copy[DEMO_PATH_MAX], url[64];
	const char *const argv[] = { "curl", "-sS", "--noproxy", "*", "-m",
				     "60",   "-o",  copy,	 url, NULL };
	char want[65] = "", got[65] = "-";
	uint64_t start_ns;
	double seconds;
	int err;

	demo_path(d, "page.copy", copy, sizeof(copy));
	snprintf(url, sizeof(url), "http://%s:%d/page.bin", SERVER_ADDRESS,
		 SERVER_PORT);
	demo_say(d, "bob$ curl %s", url);
	start_ns = clock_now_ns();
	err = demo_run(d, &d->bob.guest, argv, NULL);
	seconds = (double)(clock_now_ns() - start_ns) / 1e9;
	if (!err)
		err = checksum(d, source, want);
	if (!err)
		err = checksum(d, copy, got);
	demo_result(d, !err && !strcmp(want, got), "HTTP through the bridge",
		    "%llu MiB in %.2f s, %.0f MB/s, checksum %s",
		    FETCH_BYTES / MIB, seconds, FETCH_BYTES / 1e6 / seconds,
		    !strcmp(want, got) ? "equal" : "DIFFERS");
	return 0;
}

/* Wait until something listens at iperf3's port in alice. */
static int await_listener(struct demo *d)
{
	/* a line of /proc/net/tcp: port 5201 in hexadecimal, state LISTEN */
	const char *const argv[] = { "grep",
				     "-qE",
				     ":1451 [0-9A-F]+:0000 0A",
				     "/proc/net/tcp",
				     "/proc/net/tcp6",
				     NULL };

	for (int i = 0; i < RETRIES; i++) {
		int status, err;
		pid_t pid;

		err = demo_spawn(d, &d->alice.guest, argv, &pid);
		if (!err)
			err = process_wait(d->ps, pid, UINT64_MAX, &status);
		if (err || !status)
			return err;
		pvsplit_pause(RETRY_NS);
	}
	return complain(-ETIMEDOUT, "demo: iperf3 does not listen");
}

static int iperf(struct demo *d)
{
	const char *const argv[] = { "iperf3", "-s", "-1", NULL };
	const char *const client[] = {
		"iperf3", "-c", d->alice.address, "-t", IPERF_SECONDS,
		"-J",	  NULL
	};
	double bits = 0;
	json_t *report;
	char *out = NULL;
	pid_t server;
	int err;

	demo_say(d, "alice$ iperf3 -s -1");
	err = demo_spawn(d, &d->alice.guest, argv, &server);
	if (err)
		return err;
	demo_say(d, "bob$ iperf3 -c %s -t %s", d->alice.address, IPERF_SECONDS);
	err = await_listener(d);
	if (!err)
		err = demo_run(d, &d->bob.guest, client, &out);
	report = err ? NULL : json_loads(out, 0, NULL);
	if (report &&
	    json_unpack(report, "{s:{s:{s:F}}}", "end", "sum_received",
			"bits_per_second", &bits) != 0)
		bits = 0;
	json_decref(report);
	free(out);
	process_end(server, NS_PER_S);
	demo_result(d, bits > 0, "TCP bob to alice",
		    "%.2f Gbit/s (iperf3, %s s)", bits / 1e9, IPERF_SECONDS);
	return 0;
}

int demo_net(struct demo *d)
{
	char source[DEMO_PATH_MAX];
	pid_t server;
	int err;

	demo_head(d, "2. Network: two guests, a switch, a bridge");
	demo_path(d, "page.bin", source, sizeof(source));
	err = demo_file_make(source, FETCH_BYTES);
	if (!err)
		err = demo_http_start(source, DEMO_BRIDGE, SERVER_ADDRESS "/24",
				      SERVER_PORT, &server);
	if (err)
		return complain(err, "demo: no server behind the bridge: %s",
				strerror(-err));
	demo_say(d, "a web server with a network of its own at " DEMO_BRIDGE);
	demo_say(d, "alice$ ping %s; bob$ ping %s; bob$ ping " SERVER_ADDRESS,
		 d->bob.address, d->alice.address);
	err = ping(d, &d->alice, "bob", d->bob.address);
	if (!err)
		err = ping(d, &d->bob, "alice", d->alice.address);
	if (!err)
		err = ping(d, &d->bob, "the server", SERVER_ADDRESS);
	if (!err)
		err = fetch(d, source);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	return err ? err : iperf(d);
}
