/* SPDX-License-Identifier: MIT */
/*
 * table.c - what to do for every pair of states. See xenbus.h.
 *
 * Pure: no store, no device. Rows are our state, columns the other end's.
 */
#include "xenbus/xenbus.h"

#include "util/num.h"

enum {
	o = XENBUS_DO_NOTHING,
	A = XENBUS_DO_ANNOUNCE,
	C = XENBUS_DO_CONNECT,
	D = XENBUS_DO_DISCONNECT,
	R = XENBUS_DO_RESET,
	F = XENBUS_DO_RECONFIGURE,
	T = XENBUS_DO_RETURN,
	X = XENBUS_DO_IMPOSSIBLE,
};

/* clang-format off */
static const unsigned char react[2][XENBUS_NR_STATES][XENBUS_NR_STATES] = {
	[XENBUS_BACKEND] = {
		/* theirs              0  1  2  3  4  5  6  7  8 */
		/* 0 Unknown       */ {o, o, o, o, o, o, o, o, o},
		/* 1 Initialising  */ {A, A, A, A, A, A, A, A, A},
		/* 2 InitWait      */ {o, o, o, C, C, D, o, X, X},
		/* 3 Initialised   */ {o, o, o, o, o, o, o, o, o},
		/* 4 Connected     */ {D, D, D, o, o, D, D, F, X},
		/* 5 Closing       */ {D, D, D, o, o, D, D, D, D},
		/* 6 Closed        */ {o, R, o, o, o, o, o, o, o},
		/* 7 Reconfiguring */ {o, o, o, o, o, o, o, o, o},
		/* 8 Reconfigured  */ {D, D, D, T, T, D, D, o, X},
	},
	[XENBUS_FRONTEND] = {
		/* theirs              0  1  2  3  4  5  6  7  8 */
		/* 0 Unknown       */ {o, o, o, o, o, o, o, o, o},
		/* 1 Initialising  */ {o, o, A, o, o, o, o, o, o},
		/* 2 InitWait      */ {o, o, o, o, o, o, o, o, o},
		/* 3 Initialised   */ {D, o, o, o, C, D, D, X, X},
		/* 4 Connected     */ {D, D, D, o, o, D, D, o, o},
		/* 5 Closing       */ {D, D, o, o, o, D, D, D, D},
		/* 6 Closed        */ {o, o, R, o, o, o, o, o, o},
		/* 7 Reconfiguring */ {o, o, o, o, o, o, o, o, o},
		/* 8 Reconfigured  */ {o, o, o, o, o, o, o, o, o},
	},
};

/* Every state may go to 1: a process that starts anew. */
static const bool may_switch[XENBUS_NR_STATES][XENBUS_NR_STATES] = {
	/* to                  0  1  2  3  4  5  6  7  8 */
	/* 0 Unknown       */ {1, 1, 0, 0, 0, 0, 0, 0, 0},
	/* 1 Initialising  */ {0, 1, 1, 1, 0, 1, 1, 0, 0},
	/* 2 InitWait      */ {0, 1, 1, 0, 1, 1, 1, 0, 0},
	/* 3 Initialised   */ {0, 1, 0, 1, 1, 1, 1, 0, 0},
	/* 4 Connected     */ {0, 1, 0, 0, 1, 1, 1, 1, 1},
	/* 5 Closing       */ {0, 1, 0, 0, 0, 1, 1, 0, 0},
	/* 6 Closed        */ {0, 1, 0, 0, 0, 0, 1, 0, 0},
	/* 7 Reconfiguring */ {0, 1, 0, 0, 0, 1, 1, 1, 1},
	/* 8 Reconfigured  */ {0, 1, 0, 0, 1, 1, 1, 0, 1},
};
/* clang-format on */

static bool known(enum xenbus_state state)
{
	return (unsigned)state < XENBUS_NR_STATES;
}

enum xenbus_action xenbus_react(enum xenbus_role role, enum xenbus_state ours,
				enum xenbus_state theirs)
{
	if (!known(ours))
		return XENBUS_DO_NOTHING;
	if (!known(theirs))
		theirs = XenbusStateUnknown;
	return (enum xenbus_action)react[role][ours][theirs];
}

bool xenbus_may_switch(enum xenbus_state from, enum xenbus_state to)
{
	return known(from) && known(to) && may_switch[from][to];
}

enum xenbus_state xenbus_after_disconnect(enum xenbus_role role,
					  enum xenbus_state ours,
					  enum xenbus_state theirs)
{
	if (role == XENBUS_FRONTEND)
		return XenbusStateClosed;
	/* The frontend is still giving its pages back: let it go first. */
	if (ours == XenbusStateClosing && theirs != XenbusStateClosing)
		return XenbusStateClosed;
	return XenbusStateClosing;
}

const char *xenbus_state_name(enum xenbus_state state)
{
	static const char *const names[] = {
		"Unknown",     "Initialising",	"InitWait",
		"Initialised", "Connected",	"Closing",
		"Closed",      "Reconfiguring", "Reconfigured",
	};

	return (unsigned)state < ARRAY_SIZE(names) ? names[state] : "invalid";
}
