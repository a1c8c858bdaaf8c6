/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lwIP as the tunnel needs it (design D9): one thread, raw API, IPv4 and IPv6 over a point-to-point link
 * without addresses below IP, windows for seconds of round trip, no options that cost what a mixnet does not
 * give back.
 */
#ifndef STACK_LWIP_LWIPOPTS_H
#define STACK_LWIP_LWIPOPTS_H

#define NO_SYS 1
#define LWIP_SOCKET 0
#define LWIP_NETCONN 0
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_TIMERS 1
#define LWIP_SINGLE_NETIF 1
#define LWIP_NETIF_API 0

/* Memory is the C library's; the limits are ours (STACK_CONNS_MAX, buffers). */
#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT 8
#define MEMP_NUM_SYS_TIMEOUT 16

#define LWIP_ARP 0
#define LWIP_ETHERNET 0
#define LWIP_DHCP 0
#define LWIP_DNS 0
#define LWIP_IGMP 0
#define LWIP_RAW 1
#define LWIP_ICMP 0 /* the device looks at ICMP itself; nothing here answers pings */

#define LWIP_IPV4 1
#define IP_FORWARD 0
#define IP_FRAG 0 /* the exit drops fragments (ipr.md 11) */
#define IP_REASSEMBLY 1
#define IP_REASS_MAX_PBUFS 128 /* two of the longest datagrams at once */
#define IP_DEFAULT_TTL 64

#define LWIP_IPV6 1
#define LWIP_IPV6_FORWARD 0
#define LWIP_IPV6_FRAG 0
#define LWIP_IPV6_REASS 1
#define IPV6_FRAG_COPYHEADER 1 /* pointers are larger than the header they are kept in */
#define LWIP_IPV6_MLD 0
#define LWIP_IPV6_AUTOCONFIG 0
#define LWIP_IPV6_DUP_DETECT_ATTEMPTS 0
#define LWIP_IPV6_SEND_ROUTER_SOLICIT 0
#define LWIP_ND6_QUEUEING 0
#define LWIP_ND6_ALLOW_RA_UPDATES 0
#define LWIP_IPV6_SCOPES 0
#define LWIP_IPV6_NUM_ADDRESSES 3

#define LWIP_UDP 1
#define SO_REUSE 1
#define LWIP_TCP 1
#undef TCP_MSS	     /* netinet/tcp.h has one */
#define TCP_MSS 1500 /* the largest; the device's MTU lowers it per connection */
#define TCP_CALCULATE_EFF_SEND_MSS 1
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 4
#define TCP_WND (512 * 1024)
#define TCP_SND_BUF (512 * 1024)
#define TCP_SND_QUEUELEN 4096
#define TCP_SNDLOWAT 16384
#define TCP_SNDQUEUELOWAT 2048
#define MEMP_NUM_TCP_SEG 65535
#define TCP_OVERSIZE TCP_MSS
#define TCP_QUEUE_OOSEQ 1
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_MAX_SACK_NUM 4
#define LWIP_TCP_TIMESTAMPS 0
#define LWIP_TCP_KEEPALIVE 1
#define TCP_MAXRTX 12
#define TCP_SYNMAXRTX 12 /* never reached: the connect timer of conn.c ends attempts */
#define LWIP_TCP_RTO_TIME                                                                                    \
	3000 /* round trips are 0.3 to 5 s: no retransmission before the first measurement */
#define TCP_LISTEN_BACKLOG 0

#define LWIP_CHECKSUM_ON_COPY 0
#define LWIP_STATS 0
#define LWIP_NETIF_TX_SINGLE_PBUF 0
#define LWIP_NETIF_STATUS_CALLBACK 0
#define LWIP_HAVE_LOOPIF 0
#define LWIP_NETIF_LOOPBACK 0

#define LWIP_HOOK_FILENAME "lwip_hooks.h"
#define LWIP_HOOK_TCP_ISN stack_tcp_isn
#define LWIP_HOOK_TCP_INPACKET_PCB(pcb, hdr, len, len1, opt2, p) stack_tcp_in(hdr, len, len1, opt2)

#endif
