/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of the whole project.
 *
 * A function that can fail returns an int:
 *   0         success
 *   negative  -errno, or one of SMX_E* below: fatal for the operation, forwarded unchanged
 *   positive  an outcome named in the comment of that function; the caller handles it, never forwards it
 *
 * Bad bytes from the network are an outcome or SMX_EPROTO for the caller to count and drop; they never end a
 * process.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum smx_err {
	SMX_EBASE = -4200,
	SMX_EPROTO,   /* malformed bytes from the network */
	SMX_ECRYPTO,  /* MAC, signature or key agreement failed */
	SMX_ELIMIT,   /* a named limit was reached */
	SMX_EVERSION, /* peer speaks a version we do not */
	SMX_EROUTE,   /* topology cannot route: a layer is empty or the gateway is unknown */
	SMX_EREFUSED, /* peer refused (gateway error text, exit connect failure) */
	SMX_EEXPIRED, /* key, SURB or time limit has passed */
	SMX_ECLOSED,  /* the far side ended the connection */
	SMX_ESTATE,   /* call is not legal in this state */
	SMX_ECONFIG,  /* user input is wrong */
	SMX_ELAST,
};

/* One English phrase without full stop, never NULL. Knows errno values (negative or positive) and SMX_E*. */
const char *err_str(int err);

/* The errno (positive) a program should see for err; 0 stays 0, unknown values become EIO. */
int err_to_errno(int err);

#endif
