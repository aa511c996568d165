/* SPDX-License-Identifier: MIT */
/*
 * ring.pml - the ring's publish, look, arm and sleep protocol, both directions
 * at once, checked for lost wake-ups over every interleaving.
 *
 * Follows ring/ring.c: front_* and back_* there are the inlines here. The
 * front sends TOTAL requests in batches of any size through NR slots, the back
 * answers them in batches of any size; either end sleeps whenever ring.c would
 * let it. Indices are bytes that start just below their wrap.
 *
 * Memory: every store goes to its process's FIFO store buffer, and from there
 * to memory at any later moment (x86-TSO); a load reads memory. So a release
 * store is just a store, and a seq_cst store also waits until the buffer is
 * empty. Slots go through the same buffers, so an entry that is shown before
 * it is written is caught.
 *
 * Proved when pan finds no error:
 *   no lost wake-up: nobody sleeps for ever (an invalid end state otherwise);
 *   every request and response arrives once, in order and whole (assertions);
 *   an honest peer never trips the strict index checks (assertions).
 *
 * Each macro below plants one mistake, and then pan must find an error:
 *   RELAXED_PUSH   push: the producer's store is not seq_cst
 *   RELAXED_ARM    arm: the event index's store is not seq_cst
 *   EVENT_FIRST    push: looks at the event index before it publishes
 *   NO_RECHECK     arm: sleeps without looking again
 *   LATE_EVENT     arm: asks for the entry after the next
 *   SHOW_FIRST     push: publishes before it has written the slots
 */

#ifndef NR
#define NR 2
#endif
#ifndef TOTAL
#define TOTAL 3
#endif
#define START	 254
#define BUFFERED 5

#define FRONT 0
#define BACK  1

/* Where a store goes: a slot is its number. */
#define REQ_PROD  (NR + 0)
#define REQ_EVENT (NR + 1)
#define RSP_PROD  (NR + 2)
#define RSP_EVENT (NR + 3)

#define SLOT(idx)	 ((idx) & (NR - 1))
#define REQUEST(idx)	 (64 + ((idx) & 31))
#define RESPONSE(idx)	 (128 + ((idx) & 31))
#define DISTANCE(a, b)	 (((a) - (b)) & 255)
#define PASSED(e, o, n)	 (DISTANCE(n, e) < DISTANCE(n, o))

byte memory[NR + 4];
chan buffer_front = [BUFFERED] of { byte, byte };
chan buffer_back = [BUFFERED] of { byte, byte };
bool event[2]; /* an event channel is pending or not */

#define STORE(buf, where, value)	 buf ! where, value
#define STORE_SEQ_CST(buf, where, value) buf ! where, value; empty(buf)

#ifdef RELAXED_PUSH
#define STORE_PROD STORE
#else
#define STORE_PROD STORE_SEQ_CST
#endif
#ifdef RELAXED_ARM
#define STORE_EVENT STORE
#else
#define STORE_EVENT STORE_SEQ_CST
#endif
#ifdef LATE_EVENT
#define NEXT 2
#else
#define NEXT 1
#endif

/* Publish [shown, prod) and wake the peer when it asked for it. */
#ifdef EVENT_FIRST
#define PUSH(buf, prod_at, event_at, prod, shown, peer) \
	seen = memory[event_at]; \
	STORE_PROD(buf, prod_at, prod)
#else
#define PUSH(buf, prod_at, event_at, prod, shown, peer) \
	STORE_PROD(buf, prod_at, prod); \
	seen = memory[event_at]
#endif
#define PUSH_AND_WAKE(buf, prod_at, event_at, prod, shown, peer) \
	if \
	:: prod != shown -> \
		PUSH(buf, prod_at, event_at, prod, shown, peer); \
		if \
		:: PASSED(seen, shown, prod) -> event[peer] = true \
		:: else \
		fi; \
		shown = prod \
	:: else \
	fi

#define SLEEP(self) atomic { event[self] -> event[self] = false }

/* Store buffers drain whenever they like, each in its order. */
proctype drain()
{
	byte where, value;
end:	do
	:: atomic { buffer_front ? where, value -> memory[where] = value;
		    where = 0; value = 0 }
	:: atomic { buffer_back ? where, value -> memory[where] = value;
		    where = 0; value = 0 }
	od
}

inline front_look()
{
	rsp_prod = memory[RSP_PROD];
	assert(DISTANCE(rsp_prod, rsp_cons) <= DISTANCE(req_pushed, rsp_cons))
}

proctype front()
{
	byte req_prod = START, req_pushed = START;
	byte rsp_cons = START, rsp_prod = START;
	byte seen;
#ifdef SHOW_FIRST
	byte first;
#endif

	do
	:: rsp_cons == ((START + TOTAL) & 255) -> break
	:: else ->
		/* put as many as it likes, at least one if none is out */
		do
		:: DISTANCE(req_prod, START) < TOTAL &&
		   DISTANCE(req_prod, rsp_cons) < NR ->
#ifndef SHOW_FIRST
			STORE(buffer_front, SLOT(req_prod), REQUEST(req_prod));
#endif
			req_prod = (req_prod + 1) & 255
		:: req_prod != rsp_cons -> break
		od;
#ifdef SHOW_FIRST
		first = req_pushed;
#endif
		PUSH_AND_WAKE(buffer_front, REQ_PROD, REQ_EVENT, req_prod,
			      req_pushed, BACK);
#ifdef SHOW_FIRST
		do
		:: first != req_prod ->
			STORE(buffer_front, SLOT(first), REQUEST(first));
			first = (first + 1) & 255
		:: else -> break
		od;
#endif
		seen = 0;
		if
		:: rsp_prod == rsp_cons -> front_look()
		:: else
		fi;
		do
		:: rsp_prod != rsp_cons ->
			assert(memory[SLOT(rsp_cons)] == RESPONSE(rsp_cons));
			rsp_cons = (rsp_cons + 1) & 255
		:: break
		od;
		if
		:: rsp_prod == rsp_cons && req_prod != rsp_cons ->
			/* arm, look again, sleep */
			STORE_EVENT(buffer_front, RSP_EVENT,
				    (rsp_cons + NEXT) & 255);
#ifndef NO_RECHECK
			front_look();
#endif
			if
			:: rsp_prod == rsp_cons -> SLEEP(FRONT)
			:: else
			fi
		:: true
		fi
	od
}

inline back_look()
{
	req_prod = memory[REQ_PROD];
	assert(DISTANCE(req_prod, req_cons) <=
	       NR - DISTANCE(req_cons, rsp_prod))
}

proctype back()
{
	byte req_cons = START, req_prod = START;
	byte rsp_prod = START, rsp_pushed = START;
	byte seen;

	do
	:: rsp_pushed == ((START + TOTAL) & 255) -> break
	:: else ->
		if
		:: req_prod == req_cons -> back_look()
		:: else
		fi;
		do
		:: req_prod != req_cons ->
			assert(memory[SLOT(req_cons)] == REQUEST(req_cons));
			req_cons = (req_cons + 1) & 255
		:: break
		od;
		do
		:: rsp_prod != req_cons ->
			STORE(buffer_back, SLOT(rsp_prod), RESPONSE(rsp_prod));
			rsp_prod = (rsp_prod + 1) & 255
		:: break
		od;
		PUSH_AND_WAKE(buffer_back, RSP_PROD, RSP_EVENT, rsp_prod,
			      rsp_pushed, FRONT);
		seen = 0;
		if
		:: req_prod == req_cons && rsp_prod == req_cons &&
		   rsp_pushed != ((START + TOTAL) & 255) ->
			STORE_EVENT(buffer_back, REQ_EVENT,
				    (req_cons + NEXT) & 255);
#ifndef NO_RECHECK
			back_look();
#endif
			if
			:: req_prod == req_cons -> SLEEP(BACK)
			:: else
			fi
		:: true
		fi
	od
}

/* ring_front_init() comes before the peer hears of the ring. */
init
{
	atomic {
		memory[REQ_PROD] = START;
		memory[RSP_PROD] = START;
		memory[REQ_EVENT] = (START + 1) & 255;
		memory[RSP_EVENT] = (START + 1) & 255;
		run drain();
		run front();
		run back()
	}
}
