/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What came for a program and waits for it: a ring of lwIP's pbufs.
 *
 * Theory of operation. Short neighbours join, so that the ring holds any window: two neighbours are longer
 * than RX_JOIN. lwIP would not bring again what was refused once its pcb waits in TIME-WAIT.
 */
#include "stack/conn_priv.h"

void conn_rx_drop(struct conn *c)
{
	for (; c->rx_n; c->rx_n--) {
		pbuf_free(c->rx[c->rx_first]);
		c->rx_first = (c->rx_first + 1) % RX_MAX;
	}
}

void conn_rx_put(struct conn *c, struct pbuf *p)
{
	struct pbuf *last = c->rx_n ? c->rx[(c->rx_first + c->rx_n - 1) % RX_MAX] : NULL;

	if (last && last->tot_len + p->tot_len <= RX_JOIN)
		pbuf_cat(last, p);
	else
		c->rx[(c->rx_first + c->rx_n++) % RX_MAX] = p;
}

void conn_rx_taken(struct conn *c, size_t n)
{
	while (n) {
		struct pbuf *p = c->rx[c->rx_first];

		if (n < p->tot_len) {
			c->rx[c->rx_first] = pbuf_free_header(p, (u16_t)n);
			return;
		}
		n -= p->tot_len;
		pbuf_free(p);
		c->rx_first = (c->rx_first + 1) % RX_MAX;
		c->rx_n--;
	}
}

size_t conn_rx_look(const struct conn *c, struct iovec iov[16], size_t *ret_n)
{
	size_t total = 0, n = 0;

	for (unsigned i = 0; i < c->rx_n; i++)
		for (struct pbuf *p = c->rx[(c->rx_first + i) % RX_MAX]; p; p = p->next) {
			if (n == 16 || total + p->len > 60000)
				goto full;
			iov[n++] = (struct iovec){ p->payload, p->len };
			total += p->len;
		}
full:
	*ret_n = n;
	return total;
}
