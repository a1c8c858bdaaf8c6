/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The internet behind the exit, for simulations: a host with a TCP of its own. Port 80 sends without end,
 * port 9 takes everything, port 7 gives back what it gets. Streams are numbered bytes (far_byte), so that
 * each end can check them.
 */
#ifndef TESTS_SIM_FAR_H
#define TESTS_SIM_FAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAR_CONNS 32
#define FAR_RANGES 256
#define FAR_TIMED 1024

struct far_conn {
	bool used;
	uint16_t port, client_port;
	/* what comes */
	uint32_t irs, rcv_nxt;
	struct {
		uint32_t from, to;
	} range[FAR_RANGES]; /* beyond a hole, sorted */
	size_t ranges;
	unsigned unacked; /* segments */
	uint64_t ack_us;  /* delayed ACK */
	/* what goes */
	uint32_t una, nxt, max, recover, mss, dups;
	uint64_t wnd, cwnd, ssthresh, give; /* give: bytes the application has written */
	bool recovering;
	uint64_t rto_us, rto_at_us, srtt_us, var_us;
	struct {
		uint32_t end;
		uint64_t us;
	} timed[FAR_TIMED]; /* when it was sent */
	size_t timed_first, timed_n;
	uint32_t untimed; /* up to here something was sent twice */
};

struct far {
	struct far_conn conn[FAR_CONNS];
	void (*send)(void *owner, const uint8_t *pkt, size_t len);
	void *owner;
	uint64_t buffer; /* bytes a connection may have on its way; 0: any */
	uint64_t now;
	uint64_t up_bytes, up_again, down_bytes, down_again,
		wrong; /* new bytes and those that came, or went, once more */
};

uint8_t far_byte(uint32_t n);
/* An IPv4 packet for this host; other than TCP is ignored. */
void far_input(struct far *f, uint64_t now_us, const uint8_t *pkt, size_t len);
void far_tick(struct far *f, uint64_t now_us);
uint64_t far_deadline(const struct far *f);

#endif
