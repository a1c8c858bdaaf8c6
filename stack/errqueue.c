/* SPDX-License-Identifier: Apache-2.0 */
/* See errqueue.h. Entries are allocated one by one: nearly no socket ever has any. */
#include "stack/errqueue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/errqueue.h>

struct errqueue_entry {
	int err;
	struct addr offender, to;
	struct ctl_report report;
};

static struct errqueue_entry *add(struct errqueue *q, int err, const struct addr *to)
{
	struct errqueue_entry *n = q->n < ERRQUEUE_MAX ? calloc(1, sizeof(*n)) : NULL;

	if (!n)
		return NULL;
	n->err = err;
	n->to = *to;
	q->entry[q->n++] = n;
	return n;
}

void errqueue_add(struct errqueue *q, const struct device_icmp *e, const struct addr *to)
{
	struct errqueue_entry *n = add(q, e->err, to);

	if (!n)
		return;
	n->offender = e->offender;
	n->report.origin = e->remote.family == 6 ? SO_EE_ORIGIN_ICMP6 : SO_EE_ORIGIN_ICMP;
	n->report.type = e->type;
	n->report.code = e->code;
	n->report.info = e->info;
	n->report.len = (uint16_t)(e->len < CTL_QUOTE_MAX ? e->len : CTL_QUOTE_MAX);
	memcpy(n->report.quote, e->quote, n->report.len);
}

void errqueue_add_too_long(struct errqueue *q, const struct addr *to, unsigned mtu)
{
	struct errqueue_entry *n = add(q, EMSGSIZE, to);

	if (!n)
		return;
	n->report.origin = SO_EE_ORIGIN_LOCAL;
	n->report.info = mtu;
}

bool errqueue_take(struct errqueue *q, struct ctl_rep *rep)
{
	struct errqueue_entry *e;

	if (!q->n)
		return false;
	e = q->entry[0];
	rep->value = e->err;
	rep->addr = e->offender;
	rep->addr2 = e->to;
	rep->report = e->report;
	free(e);
	q->n--;
	memmove(q->entry, q->entry + 1, q->n * sizeof(q->entry[0]));
	return true;
}

int errqueue_error(const struct errqueue *q)
{
	return q->n && q->entry[0]->report.origin != SO_EE_ORIGIN_LOCAL ? q->entry[0]->err : 0;
}

void errqueue_done(struct errqueue *q)
{
	while (q->n)
		free(q->entry[--q->n]);
}
