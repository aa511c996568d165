/* SPDX-License-Identifier: MIT */
/*
 * window.c - see window.h. A bit for each page says that it is known to be
 * there. Threads set and clear bits of one word at once, so that is atomic; its
 * order against the data is nobody's concern, since a wrong bit costs at worst
 * a page of memory.
 */
#include "blkback/storage/window.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/iov.h"

#define PAGE_BYTES 4096u
#define WORD_BITS  64u

struct window {
	unsigned char *base;
	uint64_t size_bytes;
	int fd;
	uint64_t *known; /* a bit a page */
};

/* ---- SIGBUS ---------------------------------------------------------------
 */

/* Where a copy of this thread goes on when its memory fails it. */
static _Thread_local sigjmp_buf *on_failure;

static void handle_bus(int sig)
{
	if (on_failure)
		siglongjmp(*on_failure, 1);
	/* Not ours: it comes again, and ends the process as it would have. */
	signal(sig, SIG_DFL);
}

/*
 * The handler did not return, so its signal is still blocked. Saving the mask
 * for each copy instead would be a system call for each.
 */
static void recover(void)
{
	sigset_t bus;

	on_failure = NULL;
	sigemptyset(&bus);
	sigaddset(&bus, SIGBUS);
	pthread_sigmask(SIG_UNBLOCK, &bus, NULL);
}

static void install_handler(void)
{
	struct sigaction sa = { .sa_handler = handle_bus };

	sigemptyset(&sa.sa_mask);
	sigaction(SIGBUS, &sa, NULL);
}

/* ---- opening ------------------------------------------------------------ */

int window_open(int fd, uint64_t size_bytes, bool readonly, struct window **ret)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	uint64_t nr_pages = (size_bytes + PAGE_BYTES - 1) / PAGE_BYTES;
	struct window *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return -ENOMEM;
	w->known = calloc(nr_pages / WORD_BITS + 1, sizeof(*w->known));
	if (!w->known) {
		free(w);
		return -ENOMEM;
	}
	w->base =
		mmap(NULL, size_bytes, PROT_READ | (readonly ? 0 : PROT_WRITE),
		     MAP_SHARED, fd, 0);
	if (w->base == MAP_FAILED) {
		err = -errno;
		free(w->known);
		free(w);
		return err;
	}
	w->fd = fd;
	w->size_bytes = size_bytes;
	pthread_once(&once, install_handler);
	*ret = w;
	return 0;
}

void window_close(struct window *w)
{
	if (!w)
		return;
	munmap(w->base, w->size_bytes);
	free(w->known);
	free(w);
}

/* ---- which pages are there ---------------------------------------------- */

static bool is_known(const struct window *w, uint64_t page)
{
	return __atomic_load_n(&w->known[page / WORD_BITS], __ATOMIC_RELAXED) >>
		       page % WORD_BITS &
	       1;
}

static void set_known(struct window *w, uint64_t page, bool known)
{
	uint64_t *word = &w->known[page / WORD_BITS];
	uint64_t bit = 1ull << page % WORD_BITS;

	if (known)
		__atomic_fetch_or(word, bit, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(word, ~bit, __ATOMIC_RELAXED);
}

static bool is_within(const struct window *w, const struct storage_io *io)
{
	return io->size_bytes && io->offset_bytes < w->size_bytes &&
	       io->size_bytes <= w->size_bytes - io->offset_bytes;
}

/* Ask the file system, once for each page. */
static bool ask(struct window *w, uint64_t page)
{
	off_t at = (off_t)(page * PAGE_BYTES);

	if (lseek(w->fd, at, SEEK_DATA) != at)
		return false;
	set_known(w, page, true);
	return true;
}

static bool all_there(struct window *w, uint64_t offset_bytes,
		      uint64_t size_bytes)
{
	uint64_t last = (offset_bytes + size_bytes - 1) / PAGE_BYTES;

	for (uint64_t page = offset_bytes / PAGE_BYTES; page <= last; page++)
		if (!is_known(w, page) && !ask(w, page))
			return false;
	return true;
}

void window_wrote(struct window *w, uint64_t offset_bytes, uint64_t size_bytes)
{
	uint64_t page = offset_bytes / PAGE_BYTES;

	for (; page * PAGE_BYTES < offset_bytes + size_bytes &&
	       page * PAGE_BYTES < w->size_bytes;
	     page++)
		if (!is_known(w, page))
			set_known(w, page, true);
}

void window_punch(struct window *w, uint64_t offset_bytes, uint64_t size_bytes)
{
	uint64_t page = offset_bytes / PAGE_BYTES;

	for (; page * PAGE_BYTES < offset_bytes + size_bytes &&
	       page * PAGE_BYTES < w->size_bytes;
	     page++)
		set_known(w, page, false);
}

/* ---- copying ------------------------------------------------------------ */

static void copy(unsigned char *at, const struct storage_io *io)
{
	if (io->op == STORAGE_READ)
		iov_scatter(at, io->iov, io->nr_iov);
	else
		iov_gather(at, io->iov, io->nr_iov);
}

bool window_copy(struct window *w, const struct storage_io *io)
{
	sigjmp_buf failure;

	/*
	 * Writes, too: a page that is not there may have to be refused, and
	 * that is the file system's to say.
	 */
	if (!is_within(w, io) ||
	    !all_there(w, io->offset_bytes, io->size_bytes))
		return false;
	if (sigsetjmp(failure, 0)) {
		recover();
		window_punch(w, io->offset_bytes, io->size_bytes);
		return false;
	}
	on_failure = &failure;
	copy(w->base + io->offset_bytes, io);
	on_failure = NULL;
	return true;
}
