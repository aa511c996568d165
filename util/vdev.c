/* SPDX-License-Identifier: MIT */
/* vdev.c - see vdev.h. */
#include "util/vdev.h"

#include <errno.h>
#include <string.h>

#include "util/num.h"

#define VDEV_EXTENDED (1u << 28)

/* "a".."z", "aa".. to 0.., or -EINVAL. */
static int letters_index(const char *letters, uint32_t *ret)
{
	uint32_t v = 0;

	if (!*letters || strlen(letters) > 2)
		return -EINVAL;
	for (; *letters; letters++) {
		if (*letters < 'a' || *letters > 'z')
			return -EINVAL;
		v = v * 26 + (uint32_t)(*letters - 'a') + 1;
	}
	*ret = v - 1;
	return 0;
}

int vdev_number(const char *name, uint32_t *ret)
{
	static const uint32_t ide_major[] = { 3, 3, 22, 22 };
	uint32_t i;

	if (strnlen(name, VDEV_NAME_MAX) >= VDEV_NAME_MAX)
		return -EINVAL;
	if (!strncmp(name, "xvd", 3) && !letters_index(name + 3, &i)) {
		*ret = i < 16 ? 202u << 8 | i << 4 : VDEV_EXTENDED | i << 8;
		return 0;
	}
	if (!strncmp(name, "hd", 2) && !letters_index(name + 2, &i) && i < 4) {
		*ret = ide_major[i] << 8 | (i & 1) << 6;
		return 0;
	}
	if (!strncmp(name, "sd", 2) && !letters_index(name + 2, &i) && i < 16) {
		*ret = 8u << 8 | i << 4;
		return 0;
	}
	return -EINVAL;
}

int vdev_parse(const char *text, uint32_t *ret)
{
	if (vdev_number(text, ret) == 0)
		return 0;
	return num_parse_u32(text, UINT32_MAX - 1, ret) ? -EINVAL : 0;
}
