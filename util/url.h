/* SPDX-License-Identifier: MIT */
/*
 * url.h - URLs that may hold a password, as SCHEME://USER%PASSWORD@HOST/...,
 * made fit for a log, a list, or a store that others read. Pure. Any thread.
 */
#ifndef UTIL_URL_H
#define UTIL_URL_H

#define URL_SHOWN_MAX 4096u /* a path's longest */

/* In place: what lies between the % and the @ becomes one *. */
void url_hide_password(char *url);

/* The same in a copy; of what is longer, nothing. */
struct url_shown {
	char text[URL_SHOWN_MAX];
};
struct url_shown url_show(const char *url);

#endif /* UTIL_URL_H */
