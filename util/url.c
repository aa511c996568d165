/* SPDX-License-Identifier: MIT */
/* url.c - no password in what is shown, see url.h. */
#include "util/url.h"

#include <string.h>

/*
 * Filters may stand before it, and a password may hold any byte: what is hidden
 * reaches from the first % to the last @.
 */
void url_hide_password(char *url)
{
	char *user = strstr(url, "://"), *at = user ? strrchr(user, '@') : NULL;
	char *percent;

	if (!at)
		return;
	percent = memchr(user, '%', (size_t)(at - user));
	if (!percent || at == percent + 1)
		return;
	percent[1] = '*';
	memmove(percent + 2, at, strlen(at) + 1);
}

struct url_shown url_show(const char *url)
{
	struct url_shown s = { "..." };

	if (strlen(url) < sizeof(s.text)) {
		memcpy(s.text, url, strlen(url) + 1);
		url_hide_password(s.text);
	}
	return s;
}
