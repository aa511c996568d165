/* SPDX-License-Identifier: MIT */
/*
 * net_capture.c - netback/capture.c: frames into pages that the toolstack
 * shares, read by one that is honest, slow, lying or dead.
 */
#include "netback/capture.h"

#include "abi/capture.h"
#include "tests/unit/platform_world.h"
#include "tests/unit/unit.h"

#define FRAME_MAX 9000u

static struct world world;
static struct platform *back;
static domid_t back_id;
static struct worker *worker;
static struct vswitch *sw;
static struct switch_port ports[2];
static struct share share;
static struct evtchn *ev;
static struct capture *capture;

static int take_frame(struct switch_port *port, const struct frame *frame)
{
	(void)port;
	(void)frame;
	return 0;
}

static void flush(struct switch_port *port)
{
	(void)port;
}

static const struct switch_port_ops port_ops = { take_frame, flush };

static struct capture_header *header(void)
{
	return share.base;
}

static int start(void *arg)
{
	(void)arg;
	return capture_start(capture, worker, &ports[0]);
}

static int stop(void *arg)
{
	(void)arg;
	capture_stop(capture);
	return 0;
}

static void begin(uint32_t snap_bytes, bool all)
{
	struct capture_config config = { .snap_bytes = snap_bytes, .all = all };

	world_open(&world);
	back_id = world_domain(&world, "network");
	back = world_platform(&world, back_id);
	world_must(!worker_open("test", 0, &worker), "worker");
	world_must(!switch_open(&sw), "switch");
	for (unsigned i = 0; i < 2; i++) {
		ports[i] = (struct switch_port){ .ops = &port_ops };
		memcpy(ports[i].mac, (uint8_t[6]){ 2, 0, 0, 0, 0, (uint8_t)i },
		       6);
		switch_add(sw, &ports[i]);
	}
	world_must(!platform_share(world.dom0, back_id, CAPTURE_PAGES + 1, 0,
				   &share),
		   "share");
	world_must(!platform_evtchn_alloc(world.dom0, back_id, &ev), "evtchn");
	config.first_ref = share.first_ref;
	config.port = evtchn_port(ev);
	world_must(!capture_open(back, &config, &capture), "capture");
	world_must(!worker_call(worker, start, NULL), "start");
}

static void end(void)
{
	worker_call(worker, stop, NULL);
	capture_close(capture);
	evtchn_close(ev);
	UNIT_CHECK(platform_unshare(world.dom0, &share) == 0);
	for (unsigned i = 0; i < 2; i++)
		switch_remove(&ports[i]);
	switch_close(sw);
	worker_close(worker);
	platform_close(back);
	world_must(!lite_domain_destroy(world.dom0, back_id), "destroy");
	UNIT_CHECK(world_close(&world));
}

/* Frame number nr: its length and every byte follow from it. */
static uint32_t frame_bytes(uint32_t nr)
{
	return 60 + nr * 2654435761u % (FRAME_MAX - 60);
}

static uint8_t frame_byte(uint32_t nr, uint32_t at)
{
	return (uint8_t)(nr * 31 + at * 7 + at / 256);
}

struct sending {
	unsigned from;
	uint32_t nr;
};

/* Data thread. */
static int send_on_thread(void *arg)
{
	static uint8_t bytes[FRAME_MAX];
	const struct sending *s = arg;
	struct frame f = { .size_bytes = frame_bytes(s->nr), .nr_parts = 1 };

	for (uint32_t i = 0; i < f.size_bytes; i++)
		bytes[i] = frame_byte(s->nr, i);
	memset(bytes, 0xff, 6);
	memcpy(bytes + 6, ports[s->from].mac, 6);
	f.parts[0] = (struct frame_part){ (const void PV_SHARED *)bytes,
					  f.size_bytes };
	frame_snapshot_head(&f);
	switch_forward(&ports[s->from], &f, 1);
	return 0;
}

static void send_frame(unsigned from, uint32_t nr)
{
	struct sending s = { from, nr };

	worker_call(worker, send_on_thread, &s);
}

static uint8_t ring_byte(uint32_t at)
{
	return ((uint8_t *)share.base)[PV_PAGE_SIZE + at % CAPTURE_BYTES];
}

/* The record at cons is frame nr; go behind it. */
static bool read_frame(uint32_t nr, uint32_t snap_bytes)
{
	uint32_t size = frame_bytes(nr), have, cons = header()->cons;
	struct capture_record r;

	if (header()->prod == cons)
		return false;
	for (uint32_t i = 0; i < sizeof(r); i++)
		((uint8_t *)&r)[i] = ring_byte(cons + i);
	have = size < snap_bytes ? size : snap_bytes;
	if (r.frame_bytes != size || r.size_bytes != have)
		return false;
	for (uint32_t i = 12; i < have; i++)
		if (ring_byte(cons + (uint32_t)sizeof(r) + i) !=
		    frame_byte(nr, i))
			return false;
	header()->cons = cons + (uint32_t)sizeof(r) + ((have + 7) & ~7u);
	return true;
}

static void shows_what_a_port_sends_and_gets(void)
{
	begin(FRAME_MAX, false);
	UNIT_CHECK(header()->started == 1);
	send_frame(0, 1);
	send_frame(1, 2);
	UNIT_CHECK(read_frame(1, FRAME_MAX) && read_frame(2, FRAME_MAX));
	UNIT_CHECK(header()->prod == header()->cons);
	end();
}

static void shows_each_frame_of_the_switch_once(void)
{
	begin(FRAME_MAX, true);
	send_frame(1, 1);
	send_frame(0, 2);
	UNIT_CHECK(read_frame(1, FRAME_MAX) && read_frame(2, FRAME_MAX));
	UNIT_CHECK(header()->prod == header()->cons);
	end();
}

/* Frames of every length end and begin anywhere in the ring. */
static void goes_round_the_ring(void)
{
	begin(5000, false);
	for (uint32_t nr = 0; nr < 1000; nr++) {
		send_frame(0, nr);
		UNIT_REQUIRE(read_frame(nr, 5000));
	}
	UNIT_CHECK(header()->nr_dropped == 0);
	end();
}

static void leaves_out_whole_frames_when_nobody_reads(void)
{
	uint32_t nr = 0, read = 0;

	begin(FRAME_MAX, false);
	for (; !header()->nr_dropped; nr++)
		send_frame(0, nr);
	for (uint32_t i = 0; i < 100; i++)
		send_frame(0, 5);
	while (read_frame(read, FRAME_MAX))
		read++;
	UNIT_CHECK(read >= nr - 1 && read > CAPTURE_BYTES / 2 / FRAME_MAX);
	send_frame(0, 77);
	while (header()->cons != header()->prod && read_frame(5, FRAME_MAX))
		read++;
	UNIT_CHECK(read_frame(77, FRAME_MAX));
	UNIT_CHECK(header()->nr_dropped + read == nr + 100);
	end();
}

static void believes_no_index_of_the_reader(void)
{
	uint64_t random = 1;

	begin(FRAME_MAX, false);
	for (uint32_t nr = 0; nr < 2000; nr++) {
		random = random * 6364136223846793005u + 1;
		header()->cons = (uint32_t)(random >> 32);
		header()->prod = (uint32_t)random;
		send_frame(0, nr);
	}
	UNIT_CHECK(header()->nr_dropped > 1000);
	end();
}

static void ends_when_the_reader_is_gone(void)
{
	uint32_t prod = 0;

	begin(FRAME_MAX, false);
	send_frame(0, 1);
	evtchn_close(ev);
	ev = NULL;
	for (unsigned i = 0; i < 500; i++) {
		prod = header()->prod;
		send_frame(0, 2);
		header()->cons = header()->prod;
		if (header()->prod == prod)
			break;
		usleep(10000);
	}
	UNIT_CHECK(header()->prod == prod);
	end();
}

static void reads_its_node(void)
{
	static const char *const bad[] = {
		"",
		"1 2 3 vif",
		"1 2 3 vif ",
		"1 2 0 vif x",
		"1 2 3 x y",
		"1 2 vif x",
		"4294967295 2 3 vif x",
		"a 2 3 all x",
		"1 4294967296 3 all x",
	};
	struct capture_config c;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		UNIT_CHECK(capture_parse(bad[i], &c) < 0);
	UNIT_CHECK(capture_parse("8 5 262144 vif abc", &c) == 0);
	UNIT_CHECK(c.first_ref == 8 && c.port == 5 && c.snap_bytes == 262144 &&
		   !c.all);
	UNIT_CHECK(capture_parse("8 5 60 all abc", &c) == 0 && c.all);
}

UNIT_MAIN("net_capture", UNIT_TEST(shows_what_a_port_sends_and_gets),
	  UNIT_TEST(shows_each_frame_of_the_switch_once),
	  UNIT_TEST(goes_round_the_ring),
	  UNIT_TEST(leaves_out_whole_frames_when_nobody_reads),
	  UNIT_TEST(believes_no_index_of_the_reader),
	  UNIT_TEST(ends_when_the_reader_is_gone), UNIT_TEST(reads_its_node))
