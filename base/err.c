/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Error texts and the one table from SMX_E* to errno. Called from every floor, on any thread.
 */
#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static const struct {
	const char *text;
	int as_errno;
} table[] = {
	[SMX_EPROTO - SMX_EBASE] = { "malformed data from the network", EPROTO },
	[SMX_ECRYPTO - SMX_EBASE] = { "authentication of data failed", EBADMSG },
	[SMX_ELIMIT - SMX_EBASE] = { "limit reached", ENOBUFS },
	[SMX_EVERSION - SMX_EBASE] = { "unsupported protocol version", EPROTONOSUPPORT },
	[SMX_EROUTE - SMX_EBASE] = { "no route through the mixnet", ENETUNREACH },
	[SMX_EREFUSED - SMX_EBASE] = { "refused by the peer", ECONNREFUSED },
	[SMX_EEXPIRED - SMX_EBASE] = { "expired", ETIMEDOUT },
	[SMX_ECLOSED - SMX_EBASE] = { "closed by the peer", ECONNRESET },
	[SMX_ESTATE - SMX_EBASE] = { "not possible in this state", EINVAL },
	[SMX_ECONFIG - SMX_EBASE] = { "wrong configuration", EINVAL },
};

static_assert(sizeof(table) / sizeof(table[0]) == SMX_ELAST - SMX_EBASE, "every SMX_E* has a row");

static int is_ours(int err)
{
	return err > SMX_EBASE && err < SMX_ELAST;
}

const char *err_str(int err)
{
	const char *s;

	if (err == 0)
		return "success";
	if (is_ours(err))
		return table[err - SMX_EBASE].text;
	s = strerrordesc_np(err < 0 ? -err : err);
	return s ? s : "unknown error";
}

int err_to_errno(int err)
{
	if (err == 0)
		return 0;
	if (is_ours(err))
		return table[err - SMX_EBASE].as_errno;
	if (err < 0)
		err = err < -4095 ? 0 : -err;
	return err > 0 && strerrordesc_np(err) ? err : EIO;
}
