/* SPDX-License-Identifier: MIT */
/*
 * storage_files.c - files and block devices: which are refused, in which words,
 * how they are reached, by which engine.
 */
#include "tests/unit/storage_suite.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "blkback/storage/file.h"

static void a_discard_gives_back_what_the_image_took(void)
{
	uint8_t *a = buffer(DISK_BYTES);
	struct stat before, after;

	make_dirs();
	memset(a, 1, DISK_BYTES);
	for (size_t w = 0; w < NR_WAYS; w++) {
		struct rig r;

		if (!ways[w].file)
			continue;
		UNIT_REQUIRE(rig_open(&r, &ways[w], 0) == 0);
		UNIT_CHECK(one(&r, STORAGE_WRITE, 0, a, DISK_BYTES) == 0);
		UNIT_CHECK(one(&r, STORAGE_FLUSH, 0, NULL, 0) == 0);
		UNIT_REQUIRE(stat(ways[w].file, &before) == 0);
		UNIT_CHECK(one(&r, STORAGE_DISCARD, 0, NULL, DISK_BYTES / 2) ==
			   0);
		UNIT_CHECK(one(&r, STORAGE_FLUSH, 0, NULL, 0) == 0);
		UNIT_REQUIRE(stat(ways[w].file, &after) == 0);
		UNIT_CHECK(after.st_blocks <= before.st_blocks * 3 / 4);
		UNIT_CHECK(after.st_size == DISK_BYTES);
		rig_close(&r);
	}
	munmap(a, DISK_BYTES);
}

/* What acquire says about target: its error, with pattern in the sentence. */
static bool refuses(const char *target, uint32_t flags, int err,
		    const char *pattern)
{
	struct way way = { "refused", target, flags, false, NULL, false, NULL };
	struct rig r;
	int got = rig_open(&r, &way, 0);

	rig_close(&r);
	if (got == err && strstr(r.why, pattern) && strstr(r.why, target))
		return true;
	printf("%s: %d, \"%s\"\n", target, got, r.why);
	return false;
}

static void what_cannot_be_a_disk_is_refused_with_a_sentence(void)
{
	char path[128];

	make_dirs();
	snprintf(path, sizeof(path), "%s/none", dir);
	UNIT_CHECK(refuses(path, 0, -ENOENT, "no such file"));
	UNIT_CHECK(refuses(dir, 0, -EISDIR, "is a directory"));
	UNIT_CHECK(refuses("/dev/null", 0, -ENOTBLK, "neither"));
	snprintf(path, sizeof(path), "%s/empty", dir);
	make_file(path, 0);
	UNIT_CHECK(refuses(path, 0, -EINVAL, "is empty"));
	snprintf(path, sizeof(path), "%s/odd", dir);
	make_file(path, 1000);
	UNIT_CHECK(refuses(path, 0, -EINVAL, "not a multiple of 512"));
	snprintf(path, sizeof(path), "%s/disk/below", dir);
	UNIT_CHECK(refuses(path, 0, -ENOTDIR, "no directory"));
	snprintf(path, sizeof(path), "%s/pipe", dir);
	UNIT_REQUIRE(mkfifo(path, 0600) == 0);
	UNIT_CHECK(refuses(path, 0, -ENOTBLK, "neither"));
	UNIT_CHECK(refuses("null:", 0, -EINVAL, "multiple of 512"));
	UNIT_CHECK(refuses("null:0", 0, -EINVAL, "multiple of 512"));
	UNIT_CHECK(refuses("null:1000", 0, -EINVAL, "multiple of 512"));
	UNIT_CHECK(refuses("mem:x", 0, -EINVAL, "multiple of 512"));
	UNIT_CHECK(refuses("mem:99999999999T", 0, -EINVAL, "multiple of 512"));
	UNIT_CHECK(storage_find("relative/path") == NULL);
	UNIT_CHECK(storage_find("") == NULL);
	UNIT_CHECK(storage_by_name("uring") != NULL);
	UNIT_CHECK(storage_by_name("other") == NULL);
}

static void permissions_are_explained(void)
{
	char path[128];
	pid_t pid;
	int status;

	make_dirs();
	snprintf(path, sizeof(path), "%s/guarded", shm_dir);
	make_file(path, 4096);
	UNIT_REQUIRE(chmod(path, 0444) == 0 && chmod(shm_dir, 0755) == 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		/* root may write everything: be somebody else. */
		bool ok = geteuid() != 0 || (!setgid(65534) && !setuid(65534));

		ok = ok && refuses(path, 0, -EACCES, "permission denied");
		_exit(ok ? 0 : 1);
	}
	UNIT_CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	UNIT_CHECK(chmod(shm_dir, 0700) == 0);
}

static void an_image_is_one_writers_or_many_readers(void)
{
	const struct way *way =
		way_named("direct or as the file system allows");
	struct rig r, r2;

	make_dirs();
	UNIT_REQUIRE(rig_open(&r, way, 0) == 0);
	UNIT_CHECK(refuses(way->target, 0, -EBUSY, "another disk already"));
	UNIT_CHECK(refuses(way->target, STORAGE_READONLY, -EBUSY,
			   "another disk already"));
	rig_close(&r);
	UNIT_CHECK(rig_open(&r, way, STORAGE_READONLY) == 0);
	UNIT_CHECK(rig_open(&r2, way, STORAGE_READONLY) == 0);
	rig_close(&r);
	rig_close(&r2);
}

static void only_direct_io_asks_for_alignment(void)
{
	struct rig r;

	make_dirs();
	UNIT_REQUIRE(rig_open(&r, way_named("page cache"), 0) == 0);
	UNIT_CHECK(r.desc.align_bytes == 1);
	UNIT_CHECK(strstr(r.desc.how, "page cache") != NULL);
	rig_close(&r);
	UNIT_REQUIRE(rig_open(&r, way_named("tmpfs"), 0) == 0);
	UNIT_CHECK(strstr(r.desc.how, "tmpfs") != NULL);
	UNIT_CHECK(r.st->ops->wait_fd(r.ch) == -1);
	UNIT_CHECK(r.st->ops->fence_fd(r.ch) == -1);
	rig_close(&r);
}

/* io_uring_setup says -EPERM, as where the administrator forbade it. */
static int forbid_io_uring(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_SIZE(code), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0))
		return -errno;
	return 0;
}

/* In a child that has no io_uring: how target is served; 0 as expected. */
static int without_io_uring(const char *target, int err, const char *engine)
{
	const struct way way = { "", target, 0, false, NULL, false, NULL };
	uint8_t *a = buffer(4096);
	struct rig r;
	int got;

	if (forbid_io_uring())
		return 1;
	got = rig_open(&r, &way, 0);
	if (got != err)
		return 2;
	if (err)
		return 0;
	if (strcmp(r.st->ops->name, engine) != 0 ||
	    (strcmp(engine, "aio") == 0 && !strstr(r.st->desc.how, "libaio")))
		return 3;
	if (one(&r, STORAGE_WRITE, 0, a, 4096) ||
	    one(&r, STORAGE_READ, 0, a, 4096))
		return 4;
	rig_close(&r);
	return 0;
}

static void another_engine_serves_where_io_uring_is_forbidden(void)
{
	char only_uring[112];
	const struct {
		const char *target;
		int err;
		const char *engine;
	} cases[] = {
#ifdef HAVE_AIO
		{ disk_path, 0, "aio" },      { aio_target, 0, "aio" },
#else
		{ disk_path, -EPERM, NULL },
#endif
		{ shm_path, 0, "uring" }, /* no call that waits: no engine */
		{ only_uring, -EPERM, NULL }, { sqpoll_target, -EPERM, NULL },
	};

	make_dirs();
	snprintf(only_uring, sizeof(only_uring), "uring:%s", disk_path);
	fflush(stdout);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0)
			_exit(without_io_uring(cases[i].target, cases[i].err,
					       cases[i].engine));
		UNIT_CHECK(waitpid(pid, &status, 0) == pid);
		if (status)
			printf("%s: %x\n", cases[i].target, status);
		UNIT_CHECK(status == 0);
	}
}

/* A loop device of path with sectors of so many bytes; "" where none can be. */
static void make_device(const char *path, unsigned sector_bytes,
			char device[64])
{
	char command[200];
	FILE *f;

	snprintf(command, sizeof(command),
		 "losetup -f --show -b %u --direct-io=on %s 2>/dev/null",
		 sector_bytes, path);
	device[0] = '\0';
	f = popen(command, "r");
	if (f && fgets(device, 64, f))
		device[strcspn(device, "\n")] = '\0';
	if (f)
		pclose(f);
}

static void a_block_device_has_the_sectors_that_it_has(void)
{
	static const unsigned sizes[] = { 512, 4096 };
	uint8_t *a = buffer(8192), *b = buffer(8192);

	make_dirs();
	fill(a, 8192, 9);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char device[64], command[96];
		struct rig r;
		struct way way = { "", device, 0, false, NULL, false, NULL };

		make_device(disk_path, sizes[i], device);
		if (!device[0]) {
			printf("no loop device here: not tried\n");
			break;
		}
		UNIT_CHECK(rig_open(&r, &way, 0) == 0);
		if (r.st) {
			UNIT_CHECK(r.desc.sector_bytes == sizes[i]);
			UNIT_CHECK(r.desc.physical_bytes >= sizes[i]);
			UNIT_CHECK(r.desc.size_bytes == DISK_BYTES);
			UNIT_CHECK(storage_look_again(r.st) == 0);
			UNIT_CHECK(strstr(r.st->desc.how, "direct I/O, ") !=
				   NULL);
			UNIT_CHECK(one(&r, STORAGE_WRITE, 4096, a, 8192) == 0);
			UNIT_CHECK(one(&r, STORAGE_FLUSH, 0, NULL, 0) == 0);
			UNIT_CHECK(one(&r, STORAGE_READ, 4096, b, 8192) == 0);
			UNIT_CHECK(memcmp(a, b, 8192) == 0);
			UNIT_CHECK(r.desc.flags & STORAGE_CAN_DISCARD);
			UNIT_CHECK(one(&r, STORAGE_DISCARD, 4096, NULL, 4096) ==
				   0);
			UNIT_CHECK(one(&r, STORAGE_READ, 4096, b, 8192) == 0);
			UNIT_CHECK(b[0] == 0 && b[4095] == 0);
			UNIT_CHECK(memcmp(a + 4096, b + 4096, 4096) == 0);
		}
		rig_close(&r);
		snprintf(command, sizeof(command), "losetup -d %s", device);
		UNIT_CHECK(system(command) == 0);
	}
	munmap(a, 8192);
	munmap(b, 8192);
}

/* Of the page cache: what was lost then is not there now. */
static void a_failed_flush_of_the_page_cache_stays_failed(void)
{
	struct file_storage cached = { .fd = -1 }, direct = { .fd = -1 };

	direct.storage.desc.flags = FILE_DIRECT;
	UNIT_CHECK(file_flushed(&cached, 0) == 0);
	UNIT_CHECK(file_flushed(&cached, -EIO) == -EIO);
	UNIT_CHECK(file_flushed(&cached, 0) == -EIO);
	UNIT_CHECK(file_flushed(&direct, -EIO) == -EIO);
	UNIT_CHECK(file_flushed(&direct, 0) == 0);
}

UNIT_MAIN("storage_files", UNIT_TEST(a_discard_gives_back_what_the_image_took),
	  UNIT_TEST(what_cannot_be_a_disk_is_refused_with_a_sentence),
	  UNIT_TEST(permissions_are_explained),
	  UNIT_TEST(an_image_is_one_writers_or_many_readers),
	  UNIT_TEST(only_direct_io_asks_for_alignment),
	  UNIT_TEST(another_engine_serves_where_io_uring_is_forbidden),
	  UNIT_TEST(a_block_device_has_the_sectors_that_it_has),
	  UNIT_TEST(a_failed_flush_of_the_page_cache_stays_failed),
	  UNIT_TEST(nothing_is_left_behind))
