/* SPDX-License-Identifier: MIT */
/*
 * store_trio.h - the scene of many store tests: a store, domain 0 and two
 * guests; and requests written as words.
 */
#ifndef TESTS_UNIT_STORE_TRIO_H
#define TESTS_UNIT_STORE_TRIO_H

#include "tests/unit/store_peer.h"

static struct xsd *xsd;
static struct peer *root, *one, *two;

static inline int setup(void)
{
	xsd = peer_store();
	root = peer_open(xsd, 0);
	one = peer_open(xsd, 1);
	two = peer_open(xsd, 2);
	return root && one && two;
}

static inline void teardown(void)
{
	UNIT_CHECK(xsd_check(xsd) == 0);
	peer_close(root);
	peer_close(one);
	peer_close(two);
	xsd_close(xsd);
}

/* words: strings with blanks between them, each of which gets its NUL. */
static inline int ask(struct peer *peer, uint32_t type, const char *words)
{
	char text[512];
	size_t len = strlen(words) + 1;

	snprintf(text, sizeof(text), "%s", words);
	for (char *c = text; *c; c++)
		if (*c == ' ')
			*c = '\0';
	return peer_ask(peer, type, 0, text, len);
}

static inline int says(struct peer *peer, uint32_t type, const char *words,
		       const char *answer)
{
	return ask(peer, type, words) == 0 && strcmp(peer->reply, answer) == 0;
}

#endif /* TESTS_UNIT_STORE_TRIO_H */
