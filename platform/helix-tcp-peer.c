/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The user at the other end of a TCP connection within this machine. TCP does
 * not tell it, as UNIX sockets do. The kernel finds the socket of the other end
 * by its addresses, and knows the user of that socket.
 *
 * Linux: one question for that socket over NETLINK_SOCK_DIAG, which every user
 * may ask. macOS: the list of all TCP sockets, sysctl net.inet.tcp.pcblist64.
 */
#if !defined(_GNU_SOURCE) && defined(__linux__)
#define _GNU_SOURCE 1 /* struct tcp_info */
#endif

#include "helix-platform.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>

#ifdef __linux__
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#elif defined(__APPLE__)
#include <netinet/in_pcb.h>
#include <netinet/tcp_fsm.h>
#include <netinet/tcp_var.h>
#include <stdlib.h>
#include <sys/socketvar.h>
#include <sys/sysctl.h>
#endif

/* One end of a connection. An IPv4 address that is written as an IPv6 one
 * (::ffff:127.0.0.1) is IPv4 here, as it is on the wire. */
struct tcp_end {
  int family;
  in_port_t port;      /* in network order */
  uint8_t address[16]; /* the first 4 for IPv4 */
};

static bool
get_end (int fd, bool peer, struct tcp_end *end)
{
  union {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_storage room;
  } from;
  socklen_t size = sizeof from;
  bool mapped;

  memset (&from, 0, sizeof from);
  memset (end, 0, sizeof *end);
  if ((peer ? getpeername (fd, &from.any, &size)
            : getsockname (fd, &from.any, &size))
      < 0)
    return false;
  if (from.any.sa_family == AF_INET) {
    end->family = AF_INET;
    end->port = from.in.sin_port;
    memcpy (end->address, &from.in.sin_addr, 4);
    return true;
  }
  if (from.any.sa_family == AF_INET6) {
    mapped = IN6_IS_ADDR_V4MAPPED (&from.in6.sin6_addr);
    end->family = mapped ? AF_INET : AF_INET6;
    end->port = from.in6.sin6_port;
    memcpy (end->address, from.in6.sin6_addr.s6_addr + (mapped ? 12 : 0),
        mapped ? 4 : 16);
    return true;
  }
  errno = EOPNOTSUPP;
  return false;
}

#ifdef __linux__

struct answer {
  struct nlmsghdr head;
  struct inet_diag_msg socket;
  uint8_t more[512]; /* attributes without a request */
};

/* Asks the kernel for the socket whose own end is `own`; does not block.
 * false: the kernel does not know or does not tell it. */
static bool
look_up (const struct tcp_end *own, const struct tcp_end *other,
    struct inet_diag_msg *found)
{
  struct {
    struct nlmsghdr head;
    struct inet_diag_req_v2 body;
  } question = {
      .head = {.nlmsg_len = sizeof question,
          .nlmsg_type = SOCK_DIAG_BY_FAMILY,
          .nlmsg_flags = NLM_F_REQUEST},
      .body = {.sdiag_family = (uint8_t) own->family,
          .sdiag_protocol = IPPROTO_TCP,
          .idiag_states = ~0u,
          .id = {.idiag_sport = own->port,
              .idiag_dport = other->port,
              .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}},
  };
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK}, from = {0};
  socklen_t size = sizeof from;
  struct answer answer;
  ssize_t n = -1;
  int fd = socket (
      AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);

  memcpy (question.body.id.idiag_src, own->address, sizeof own->address);
  memcpy (question.body.id.idiag_dst, other->address, sizeof other->address);
  /* The kernel has answered within sendto (). */
  if (fd >= 0
      && sendto (fd, &question, sizeof question, 0, (struct sockaddr *) &kernel,
             sizeof kernel)
          == (ssize_t) sizeof question)
    do
      n = recvfrom (
          fd, &answer, sizeof answer, 0, (struct sockaddr *) &from, &size);
    while (n < 0 && errno == EINTR);
  helix_close (fd);
  if (n < (ssize_t) offsetof (struct answer, more) || from.nl_pid != 0
      || answer.head.nlmsg_type != SOCK_DIAG_BY_FAMILY)
    return false;
  *found = answer.socket;
  return true;
}

/* TCP_ESTABLISHED and so on of this end; 0: not known. */
static int
state_of (int fd)
{
  struct tcp_info info;
  socklen_t size = sizeof info;

  if (getsockopt (fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
    return 0;
  return info.tcpi_state;
}

static int
peer_uid (
    int fd, const struct tcp_end *own, const struct tcp_end *peer, uid_t *uid)
{
  struct inet_diag_msg found;
  bool known = look_up (peer, own, &found);
  int state = state_of (fd);

  /* Not before the look-up: while this end holds the connection, the kernel
   * gives the same two addresses to no other one. */
  if (state != TCP_ESTABLISHED && state != TCP_CLOSE_WAIT) {
    errno = ENOTCONN;
    return -1;
  }
  if (!known) {
    errno = state == TCP_ESTABLISHED ? EOPNOTSUPP : ENOTCONN;
    return -1;
  }
  /* What its process has closed, and the kernel has not, has no inode, and
   * root's uid. */
  if (found.idiag_inode == 0
      || (found.idiag_state != TCP_ESTABLISHED
          && found.idiag_state != TCP_FIN_WAIT1
          && found.idiag_state != TCP_FIN_WAIT2)) {
    errno = ENOTCONN;
    return -1;
  }
  *uid = found.idiag_uid;
  return 0;
}

#elif defined(__APPLE__)

/* More sockets may come between the two calls, again and again. */
#define LIST_ATTEMPTS 5

/* The kernel's list, to be freed, or NULL with errno. */
static uint8_t *
list_sockets (size_t *size)
{
  static const char *name = "net.inet.tcp.pcblist64";

  for (int i = 0; i < LIST_ATTEMPTS; i++) {
    uint8_t *list;

    if (sysctlbyname (name, NULL, size, NULL, 0) < 0)
      return NULL;
    list = malloc (*size);
    if (list == NULL || sysctlbyname (name, list, size, NULL, 0) == 0)
      return list;
    free (list);
    if (errno != ENOMEM)
      return NULL;
  }
  return NULL;
}

static bool
is_between (const struct xinpcb64 *pcb, const struct tcp_end *own,
    const struct tcp_end *other)
{
  if (pcb->inp_lport != own->port || pcb->inp_fport != other->port)
    return false;
  if (own->family == AF_INET)
    return (pcb->inp_vflag & INP_IPV4) != 0
        && memcmp (&pcb->inp_laddr, own->address, 4) == 0
        && memcmp (&pcb->inp_faddr, other->address, 4) == 0;
  return (pcb->inp_vflag & INP_IPV6) != 0
      && memcmp (&pcb->in6p_laddr, own->address, 16) == 0
      && memcmp (&pcb->in6p_faddr, other->address, 16) == 0;
}

static int
peer_uid (
    int fd, const struct tcp_end *own, const struct tcp_end *peer, uid_t *uid)
{
  size_t size = 0, at;
  uint8_t *list = list_sockets (&size);
  struct xinpgen head;
  struct xtcpcb64 pcb;
  bool held = false, found = false;

  if (list == NULL || size < sizeof head) {
    free (list);
    errno = EOPNOTSUPP;
    return -1;
  }
  memcpy (&head, list, sizeof head);
  for (at = head.xig_len; at + sizeof pcb <= size; at += pcb.xt_len) {
    memcpy (&pcb, list + at, sizeof pcb);
    if (pcb.xt_len < sizeof pcb)
      break; /* another struct xinpgen ends the list */
    if (is_between (&pcb.xt_inpcb, own, peer))
      held = pcb.t_state == TCPS_ESTABLISHED || pcb.t_state == TCPS_CLOSE_WAIT;
    if (is_between (&pcb.xt_inpcb, peer, own)
        && (pcb.t_state == TCPS_ESTABLISHED || pcb.t_state == TCPS_FIN_WAIT_1
            || pcb.t_state == TCPS_FIN_WAIT_2)) {
      *uid = pcb.xt_inpcb.xi_socket.so_uid;
      found = true;
    }
  }
  free (list);
  if (held && found)
    return 0;
  errno = held ? EOPNOTSUPP : ENOTCONN;
  return -1;
}

#endif

int
helix_tcp_peer_uid (int fd, uid_t *uid)
{
  struct tcp_end own, peer;

  if (!get_end (fd, false, &own) || !get_end (fd, true, &peer))
    return -1;
  return peer_uid (fd, &own, &peer, uid);
}
