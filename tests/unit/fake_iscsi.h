/* SPDX-License-Identifier: MIT */
/*
 * fake_iscsi.h - an iSCSI target for tests that does on demand what a real one
 * does rarely: unit attentions, medium errors, short answers, a full task set,
 * another capacity, a lie. One LUN of memory, one connection at a time, in a
 * child process; what it does next lies in memory that both see.
 *
 * It takes writes as immediate and unsolicited data only (InitialR2T=No).
 * Source: RFC 7143; SPC-4 and SBC-3 for the commands.
 */
#ifndef TESTS_UNIT_FAKE_ISCSI_H
#define TESTS_UNIT_FAKE_ISCSI_H

#include <endian.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#include "tests/unit/peer.h"

#define FAKE_BYTES   (1u << 20)
#define FAKE_SECTOR  512u
#define FAKE_BURST   (1u << 20)
#define FAKE_SEGMENT 65536u /* an initiator takes it */
#define FAKE_NONE    UINT64_MAX

/* Sense: key << 16 | ASC << 8 | ASCQ. */
#define FAKE_CAPACITY_CHANGED 0x062a09u
#define FAKE_MODE_CHANGED     0x062a01u
#define FAKE_BUS_RESET	      0x062900u
#define FAKE_MEDIUM_ERROR     0x031100u
#define FAKE_WRITE_PROTECTED  0x072700u
#define FAKE_SPACE_EXHAUSTED  0x072707u
#define FAKE_INVALID_OPCODE   0x052000u

struct fake_script {
	_Atomic uint64_t nr_sectors;
	_Atomic uint32_t attention; /* of the next commands ... */
	_Atomic uint32_t nr_attentions;
	_Atomic uint32_t nr_busy; /* so many commands find it busy */
	_Atomic uint64_t bad_sector;
	_Atomic uint32_t bad_sense;
	_Atomic bool short_reads;     /* half of it, and said so */
	_Atomic uint32_t max_sectors; /* of a transfer; 0: any */
	_Atomic uint32_t max_unmap;
	_Atomic bool readonly;
	_Atomic bool write_through; /* no cache; SYNCHRONIZE CACHE is unknown */
	_Atomic uint32_t nr_logins, nr_commands, nr_syncs, nr_unmaps;
	_Atomic uint32_t longest; /* transfer, in sectors */
	uint8_t disk[2 * FAKE_BYTES];
};

struct fake_iscsi {
	struct peer peer;
	unsigned port;
	struct fake_script *script;
};

/* ---- the wire ------------------------------------------------------------ */

struct fake_conn {
	int fd;
	uint32_t stat_sn, exp_cmd_sn;
	struct fake_script *s;
	uint8_t header[48];
	uint8_t data[FAKE_BURST + 4];
	uint32_t data_bytes;
};

static inline uint32_t fake_get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t fake_get64(const uint8_t *p)
{
	return (uint64_t)fake_get32(p) << 32 | fake_get32(p + 4);
}

static inline void fake_put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static inline void fake_put64(uint8_t *p, uint64_t v)
{
	fake_put32(p, (uint32_t)(v >> 32));
	fake_put32(p + 4, (uint32_t)v);
}

static inline bool fake_move(int fd, void *buf, size_t size, bool out)
{
	char *p = buf;

	while (size) {
		ssize_t n = out ? send(fd, p, size, MSG_NOSIGNAL)
				: recv(fd, p, size, 0);

		if (n <= 0)
			return false;
		p += n;
		size -= (size_t)n;
	}
	return true;
}

/* The next PDU: its header, and its data at `at` of the connection's. */
static inline bool fake_receive(struct fake_conn *c, uint8_t header[48],
				uint32_t at)
{
	uint32_t bytes;

	if (!fake_move(c->fd, header, 48, false))
		return false;
	bytes = fake_get32(header + 4) & 0xffffff;
	if (at + bytes > FAKE_BURST)
		return false;
	c->data_bytes = at + bytes;
	return fake_move(c->fd, c->data + at, (bytes + 3) & ~3u, false);
}

static inline bool fake_send(struct fake_conn *c, uint8_t header[48],
			     const void *data, uint32_t bytes)
{
	static const uint8_t padding[3];

	header[4] = 0;
	header[5] = (uint8_t)(bytes >> 16);
	header[6] = (uint8_t)(bytes >> 8);
	header[7] = (uint8_t)bytes;
	memcpy(header + 16, c->header + 16, 4); /* the task's tag */
	fake_put32(header + 28, c->exp_cmd_sn);
	fake_put32(header + 32, c->exp_cmd_sn + 64);
	return fake_move(c->fd, header, 48, true) &&
	       fake_move(c->fd, (void *)(uintptr_t)data, bytes, true) &&
	       fake_move(c->fd, (void *)(uintptr_t)padding, -bytes & 3, true);
}

/* ---- commands ------------------------------------------------------------ */

static inline bool fake_status(struct fake_conn *c, uint8_t status,
			       uint32_t sense)
{
	uint8_t header[48] = { 0x21, 0x80, 0, status };
	uint8_t data[20] = { 0, 18, 0x70 };

	data[4] = (uint8_t)(sense >> 16);
	data[9] = 10;
	data[14] = (uint8_t)(sense >> 8);
	data[15] = (uint8_t)sense;
	fake_put32(header + 24, c->stat_sn++);
	return fake_send(c, header, data, sense ? sizeof(data) : 0);
}

static inline bool fake_good(struct fake_conn *c)
{
	return fake_status(c, 0, 0);
}

/* Data, the last of it with the status; that it is less than asked is said. */
static inline bool fake_data(struct fake_conn *c, const void *data,
			     uint32_t bytes)
{
	uint32_t expected = fake_get32(c->header + 20), at = 0, n;
	uint8_t header[48] = { 0x25 };

	if (bytes > expected)
		bytes = expected;
	do {
		n = bytes - at < FAKE_SEGMENT ? bytes - at : FAKE_SEGMENT;
		if (at + n == bytes) {
			header[1] = 0x81;
			fake_put32(header + 24, c->stat_sn++);
			header[1] |= bytes < expected ? 0x02 : 0;
			fake_put32(header + 44, expected - bytes);
		}
		fake_put32(header + 36, at / FAKE_SEGMENT);
		fake_put32(header + 40, at);
		if (!fake_send(c, header, (const char *)data + at, n))
			return false;
		at += n;
	} while (at < bytes);
	return true;
}

static inline bool fake_inquiry(struct fake_conn *c, const uint8_t *cdb)
{
	uint8_t d[64] = { 0, cdb[2] };

	if (!(cdb[1] & 1)) {
		d[1] = 0;
		d[2] = 5;
		d[4] = 31;
		memcpy(d + 8, "FAKE    DISK            0001", 28);
		return fake_data(c, d, 36);
	}
	switch (cdb[2]) {
	case 0x00:
		d[3] = 4;
		memcpy(d + 4, "\x00\x83\xb0\xb2", 4);
		return fake_data(c, d, 8);
	case 0x83:
		d[3] = 12;
		memcpy(d + 4, "\x02\x01\x00\x08the-lun.", 12);
		return fake_data(c, d, 16);
	case 0xb0:
		d[3] = 0x3c;
		fake_put32(d + 8, c->s->max_sectors);
		fake_put32(d + 20, c->s->max_unmap);
		fake_put32(d + 24, 1);
		fake_put32(d + 28, 8);
		return fake_data(c, d, 64);
	case 0xb2:
		d[3] = 4;
		d[5] = 0x80;
		return fake_data(c, d, 8);
	default: return fake_status(c, 2, 0x052400);
	}
}

static inline bool fake_capacity(struct fake_conn *c)
{
	uint8_t d[32] = { 0 };

	fake_put64(d, c->s->nr_sectors - 1);
	fake_put32(d + 8, FAKE_SECTOR);
	d[13] = 3;
	d[14] = 0xc0;
	return fake_data(c, d, 32);
}

static inline bool fake_mode(struct fake_conn *c)
{
	uint8_t d[24] = { 23, 0, c->s->readonly ? 0x80 : 0, 0, 8, 18 };

	d[6] = c->s->write_through ? 0 : 4;
	return fake_data(c, d, 24);
}

static inline bool fake_transfer(struct fake_conn *c, const uint8_t *cdb)
{
	struct fake_script *s = c->s;
	uint64_t lba = fake_get64(cdb + 2);
	uint32_t nr = fake_get32(cdb + 10);
	uint8_t *disk = s->disk + lba * FAKE_SECTOR;

	if (nr > s->longest)
		s->longest = nr;
	if (lba >= s->nr_sectors || nr > s->nr_sectors - lba)
		return fake_status(c, 2, 0x052100);
	if (s->bad_sector >= lba && s->bad_sector - lba < nr)
		return fake_status(c, 2, s->bad_sense);
	if (cdb[0] == 0x8a) {
		if (c->data_bytes != nr * FAKE_SECTOR)
			return false;
		memcpy(disk, c->data, c->data_bytes);
		return fake_good(c);
	}
	if (s->short_reads)
		nr /= 2;
	return fake_data(c, disk, nr * FAKE_SECTOR);
}

static inline bool fake_unmap(struct fake_conn *c)
{
	uint64_t lba = fake_get64(c->data + 8);
	uint32_t nr = fake_get32(c->data + 16);

	c->s->nr_unmaps++;
	if (nr > c->s->max_unmap || lba + nr > c->s->nr_sectors)
		return fake_status(c, 2, 0x052600);
	memset(c->s->disk + lba * FAKE_SECTOR, 0, nr * FAKE_SECTOR);
	return fake_good(c);
}

static inline bool fake_command(struct fake_conn *c)
{
	const uint8_t *cdb = c->header + 32;
	struct fake_script *s = c->s;

	s->nr_commands++;
	if (cdb[0] == 0x12)
		return fake_inquiry(c, cdb);
	if (s->nr_attentions) {
		s->nr_attentions--;
		return fake_status(c, 2, s->attention);
	}
	if (s->nr_busy) {
		s->nr_busy--;
		return fake_status(c, s->nr_busy & 1 ? 0x08 : 0x28, 0);
	}
	switch (cdb[0]) {
	case 0x00: return fake_good(c);
	case 0x1a: return fake_mode(c);
	case 0x9e: return fake_capacity(c);
	case 0x88:
	case 0x8a: return fake_transfer(c, cdb);
	case 0x42: return fake_unmap(c);
	case 0x35:
		s->nr_syncs++;
		return s->write_through ? fake_status(c, 2, FAKE_INVALID_OPCODE)
					: fake_good(c);
	default: return fake_status(c, 2, FAKE_INVALID_OPCODE);
	}
}

/* ---- a connection -------------------------------------------------------- */

/* Every stage of a login is agreed to; the last one with our parameters. */
static inline bool fake_login(struct fake_conn *c)
{
	static const char keys[] = "HeaderDigest=None\0DataDigest=None\0"
				   "InitialR2T=No\0ImmediateData=Yes\0"
				   "FirstBurstLength=1048576\0"
				   "MaxBurstLength=1048576\0"
				   "MaxRecvDataSegmentLength=1048576\0"
				   "TargetPortalGroupTag=1";
	uint8_t header[48] = { 0x23, c->header[1] };
	bool last = (c->header[1] & 0x83) == 0x83;

	memcpy(header + 8, c->header + 8, 6);
	header[15] = last; /* the session's handle */
	c->exp_cmd_sn = fake_get32(c->header + 24);
	fake_put32(header + 24, c->stat_sn++);
	c->s->nr_logins += last;
	return fake_send(c, header, keys, last ? sizeof(keys) : 0);
}

/* The rest of a write's data comes without being asked for. */
static inline bool fake_collect(struct fake_conn *c)
{
	uint32_t wanted = fake_get32(c->header + 20);
	uint8_t more[48];

	while ((c->header[1] & 0x20) && c->data_bytes < wanted)
		if (!fake_receive(c, more, c->data_bytes) ||
		    (more[0] & 0x3f) != 0x05)
			return false;
	return true;
}

static inline void fake_serve(struct fake_conn *c)
{
	bool alive = true;

	c->stat_sn = 1;
	while (alive && fake_receive(c, c->header, 0)) {
		switch (c->header[0] & 0x3f) {
		case 0x03: alive = fake_login(c); break;
		case 0x01:
			c->exp_cmd_sn = fake_get32(c->header + 24) + 1;
			alive = fake_collect(c) && fake_command(c);
			break;
		default: alive = false; break;
		}
	}
}

static inline void fake_run(int listener, struct fake_script *s)
{
	static struct fake_conn c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		c.s = s;
		c.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (c.fd < 0)
			_exit(1);
		fake_serve(&c);
		close(c.fd);
	}
}

static inline void fake_start(struct fake_iscsi *f)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one_ = 1;

	f->port = peer_port();
	a.sin_port = htons((uint16_t)f->port);
	f->script = mmap(NULL, sizeof(*f->script), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (f->script == MAP_FAILED || listener < 0 ||
	    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one_,
		       sizeof(one_)) ||
	    bind(listener, (struct sockaddr *)&a, sizeof(a)) ||
	    listen(listener, 8))
		abort();
	f->script->nr_sectors = FAKE_BYTES / FAKE_SECTOR;
	f->script->max_unmap = 4096;
	f->script->bad_sector = FAKE_NONE;
	f->peer.pid = fork();
	if (f->peer.pid == 0)
		fake_run(listener, f->script);
	close(listener);
}

static inline void fake_stop(struct fake_iscsi *f)
{
	peer_kill(&f->peer);
	munmap(f->script, sizeof(*f->script));
}

#endif /* TESTS_UNIT_FAKE_ISCSI_H */
