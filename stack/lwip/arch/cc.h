/* SPDX-License-Identifier: Apache-2.0 */
/* Compiler and platform for lwIP: hosted C, randomness and assertions of ours. */
#ifndef STACK_LWIP_ARCH_CC_H
#define STACK_LWIP_ARCH_CC_H

#include <assert.h>
#include <endian.h>
#include <stdint.h>
#include <stdlib.h>

#define LWIP_ERRNO_STDINCLUDE 1
#define LWIP_DONT_PROVIDE_BYTEORDER_FUNCTIONS

uint32_t stack_rand(void); /* stack/device.c */

#define LWIP_RAND() stack_rand()
#define LWIP_PLATFORM_DIAG(x) ((void)0)
#define LWIP_PLATFORM_ASSERT(x) assert(!(x))

#endif
