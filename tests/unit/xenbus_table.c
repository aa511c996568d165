/* SPDX-License-Identifier: MIT */
/*
 * xenbus_table.c - the transition table over all 9x9 pairs of both roles.
 *
 * The golden tables are written out again here, by hand, in another notation
 * (one string a row), so that a slip in either shows.
 */
#include "tests/unit/unit.h"

#include <string.h>

#include "xenbus/xenbus.h"

#define S XENBUS_NR_STATES

/* . nothing  A announce  C connect  D disconnect  R reset  F reconfigure
 * T return  X impossible */
static const char *const golden[2][S] = {
	/* theirs:           012345678 */
	[XENBUS_BACKEND] = { ".........",   /* Unknown */
			     "AAAAAAAAA",   /* Initialising */
			     "...CCD.XX",   /* InitWait */
			     ".........",   /* Initialised */
			     "DDD..DDFX",   /* Connected */
			     "DDD..DDDD",   /* Closing */
			     ".R.......",   /* Closed */
			     ".........",   /* Reconfiguring */
			     "DDDTTDD.X" }, /* Reconfigured */
	[XENBUS_FRONTEND] = { ".........", "..A......", ".........",
			      "D...CDDXX", "DDD..DD..", "DD...DDDD",
			      "..R......", ".........", "........." },
};

static char letter(enum xenbus_action action)
{
	switch (action) {
	case XENBUS_DO_NOTHING: return '.';
	case XENBUS_DO_ANNOUNCE: return 'A';
	case XENBUS_DO_CONNECT: return 'C';
	case XENBUS_DO_DISCONNECT: return 'D';
	case XENBUS_DO_RESET: return 'R';
	case XENBUS_DO_RECONFIGURE: return 'F';
	case XENBUS_DO_RETURN: return 'T';
	case XENBUS_DO_IMPOSSIBLE: return 'X';
	}
	return '?';
}

static enum xenbus_action react(int role, int ours, int theirs)
{
	return xenbus_react((enum xenbus_role)role, (enum xenbus_state)ours,
			    (enum xenbus_state)theirs);
}

static void reacts_as_the_golden_table_says(void)
{
	for (int role = 0; role < 2; role++)
		for (int ours = 0; ours < S; ours++)
			for (int theirs = 0; theirs < S; theirs++)
				UNIT_CHECK(letter(react(role, ours, theirs)) ==
					   golden[role][ours][theirs]);
}

static void treats_states_out_of_range_as_unknown(void)
{
	static const int odd[] = { -1, 9, 255, 1 << 30 };

	for (int role = 0; role < 2; role++)
		for (int i = 0; i < 4; i++) {
			for (int s = 0; s < S; s++) {
				UNIT_CHECK(react(role, s, odd[i]) ==
					   react(role, s, 0));
				UNIT_CHECK(react(role, odd[i], s) ==
					   XENBUS_DO_NOTHING);
			}
			UNIT_CHECK(!xenbus_may_switch((enum xenbus_state)odd[i],
						      XenbusStateClosed));
			UNIT_CHECK(!xenbus_may_switch(
				XenbusStateClosed, (enum xenbus_state)odd[i]));
		}
}

static void allows_exactly_the_switches_of_the_golden_table(void)
{
	static const char *const rows[S] = {
		"11.......", ".111.11..", ".11.111..", ".1.1111..", ".1..11111",
		".1...11..", ".1....1..", ".1...1111", ".1..111.1",
	};

	for (int from = 0; from < S; from++)
		for (int to = 0; to < S; to++)
			UNIT_CHECK(xenbus_may_switch((enum xenbus_state)from,
						     (enum xenbus_state)to) ==
				   (rows[from][to] == '1'));
}

static enum xenbus_state after(int role, enum xenbus_state ours, int theirs)
{
	return xenbus_after_disconnect((enum xenbus_role)role, ours,
				       (enum xenbus_state)theirs);
}

static void ends_every_disconnect_in_closed_within_two_steps(void)
{
	for (int theirs = 0; theirs < S; theirs++) {
		enum xenbus_state to;

		for (int ours = 1; ours < S; ours++)
			UNIT_CHECK(after(XENBUS_FRONTEND,
					 (enum xenbus_state)ours,
					 theirs) == XenbusStateClosed);
		to = after(XENBUS_BACKEND, XenbusStateConnected, theirs);
		UNIT_CHECK(to == XenbusStateClosing);
		to = after(XENBUS_BACKEND, to, theirs);
		UNIT_CHECK(to == (theirs == XenbusStateClosing
					  ? XenbusStateClosing
					  : XenbusStateClosed));
	}
}

static enum xenbus_state announced(int role)
{
	return role == XENBUS_BACKEND ? XenbusStateInitWait
				      : XenbusStateInitialised;
}

/* What an action writes is what the setter allows, for every pair. */
static void asks_only_for_switches_that_are_allowed(void)
{
	for (int role = 0; role < 2; role++)
		for (int o = 0; o < S; o++)
			for (int t = 0; t < S; t++) {
				enum xenbus_state ours = (enum xenbus_state)o,
						  to = ours;

				switch (react(role, o, t)) {
				case XENBUS_DO_NOTHING: break;
				case XENBUS_DO_ANNOUNCE:
					to = announced(role);
					break;
				case XENBUS_DO_RECONFIGURE:
					to = XenbusStateReconfigured;
					break;
				case XENBUS_DO_CONNECT:
				case XENBUS_DO_RETURN:
					to = XenbusStateConnected;
					break;
				case XENBUS_DO_RESET:
					to = XenbusStateInitialising;
					break;
				case XENBUS_DO_DISCONNECT:
				case XENBUS_DO_IMPOSSIBLE:
					to = after(role, ours, t);
					break;
				}
				UNIT_CHECK(to == ours ||
					   xenbus_may_switch(ours, to));
			}
}

static enum xenbus_state apply(int role, enum xenbus_state ours, int theirs)
{
	switch (react(role, (int)ours, theirs)) {
	case XENBUS_DO_NOTHING: return ours;
	case XENBUS_DO_ANNOUNCE: return announced(role);
	case XENBUS_DO_RECONFIGURE: return XenbusStateReconfigured;
	case XENBUS_DO_CONNECT:
	case XENBUS_DO_RETURN: return XenbusStateConnected;
	case XENBUS_DO_RESET: return XenbusStateInitialising;
	case XENBUS_DO_DISCONNECT:
	case XENBUS_DO_IMPOSSIBLE: return after(role, ours, theirs);
	}
	return ours;
}

/*
 * From any pair of states that two live ends can be in, whoever moves first and
 * however many moves of one end the other one misses, both come to rest, and
 * only where resting is right.
 */
static void comes_to_rest_from_every_pair(void)
{
	for (int b = 1; b < 7; b++)
		for (int f = 1; f < 7; f++)
			for (unsigned order = 0; order < 64; order++) {
				enum xenbus_state back = (enum xenbus_state)b,
						  front = (enum xenbus_state)f;
				int i, still = 0;

				if (b == 3 || f == 2)
					continue;
				for (i = 0; i < 64 && still < 8; i++) {
					enum xenbus_state ob = back, of = front;

					if (order >> (i % 6) & 1)
						back = apply(XENBUS_BACKEND,
							     back, (int)front);
					else
						front = apply(XENBUS_FRONTEND,
							      front, (int)back);
					still = ob == back && of == front
							? still + 1
							: 0;
				}
				UNIT_CHECK(still == 8);
			}
}

static void names_every_state(void)
{
	for (int s = 0; s < S; s++)
		for (int t = 0; t < s; t++)
			UNIT_CHECK(
				strcmp(xenbus_state_name((enum xenbus_state)s),
				       xenbus_state_name(
					       (enum xenbus_state)t)) != 0);
	UNIT_CHECK(!strcmp(xenbus_state_name((enum xenbus_state)9), "invalid"));
	UNIT_CHECK(
		!strcmp(xenbus_state_name((enum xenbus_state) - 1), "invalid"));
}

UNIT_MAIN("xenbus_table", UNIT_TEST(reacts_as_the_golden_table_says),
	  UNIT_TEST(treats_states_out_of_range_as_unknown),
	  UNIT_TEST(allows_exactly_the_switches_of_the_golden_table),
	  UNIT_TEST(ends_every_disconnect_in_closed_within_two_steps),
	  UNIT_TEST(asks_only_for_switches_that_are_allowed),
	  UNIT_TEST(comes_to_rest_from_every_pair),
	  UNIT_TEST(names_every_state))
