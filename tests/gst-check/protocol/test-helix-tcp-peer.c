/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whose the other end of a TCP connection is. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gst/check/gstcheck.h>

#include "helix-platform.h"
#include "helix-test-fds.h"
#include "helix-test-nobody.h"

/* Where a server listens, and what a client writes to get there. */
static const struct way {
  const char *server, *client;
} ways[] = {
    {"127.0.0.1", "127.0.0.1"},
    {"::1", "::1"},
    {"127.0.0.1", "::ffff:127.0.0.1"},
    {"::ffff:127.0.0.1", "::ffff:127.0.0.1"},
};

union address {
  struct sockaddr any;
  struct sockaddr_in in;
  struct sockaddr_in6 in6;
};

/* Its size. */
static socklen_t
address_of (const char *text, in_port_t port, union address *to)
{
  memset (to, 0, sizeof *to);
  if (inet_pton (AF_INET, text, &to->in.sin_addr) == 1) {
    to->in.sin_family = AF_INET;
    to->in.sin_port = port;
    return sizeof to->in;
  }
  fail_unless (inet_pton (AF_INET6, text, &to->in6.sin6_addr) == 1);
  to->in6.sin6_family = AF_INET6;
  to->in6.sin6_port = port;
  return sizeof to->in6;
}

/* -1: this machine has no such address, or no socket that could connect. */
static int
listen_on (const struct way *way, in_port_t *port)
{
  union address address;
  socklen_t size = address_of (way->client, 0, &address);
  int fd = helix_socket (address.any.sa_family), off = 0;

  close (fd);
  size = address_of (way->server, 0, &address);
  if (fd < 0 || (fd = helix_socket (address.any.sa_family)) < 0)
    return -1;
  if (address.any.sa_family == AF_INET6)
    setsockopt (fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (bind (fd, &address.any, size) < 0)
    return helix_close (fd);
  fail_unless (listen (fd, 4) == 0);
  fail_unless (getsockname (fd, &address.any, &size) == 0);
  *port = address.any.sa_family == AF_INET ? address.in.sin_port
                                           : address.in6.sin6_port;
  return fd;
}

static void
until (int fd, short events)
{
  struct pollfd entry = {.fd = fd, .events = events};

  fail_unless_equals_int (poll (&entry, 1, 10000), 1);
}

static int
connect_to (const struct way *way, in_port_t port)
{
  union address address;
  socklen_t size = address_of (way->client, port, &address);
  int fd = helix_socket (address.any.sa_family);

  fail_unless (fd >= 0);
  if (connect (fd, &address.any, size) < 0)
    fail_unless_equals_int (errno, EINPROGRESS);
  until (fd, POLLOUT);
  return fd;
}

static int
accept_from (int listener)
{
  int fd;

  until (listener, POLLIN);
  fd = helix_accept (listener);
  fail_unless (fd >= 0);
  return fd;
}

static void
expect_gone (int fd)
{
  uid_t uid = 4711;

  fail_unless_equals_int (helix_tcp_peer_uid (fd, &uid), -1);
  fail_unless_equals_int (errno, ENOTCONN);
  fail_unless_equals_int (uid, 4711);
}

struct errand {
  const struct way *way;
  in_port_t port;
  int back; /* where the connection is handed to */
};

static int
connect_for_parent (void *opaque)
{
  const struct errand *errand = opaque;
  struct iovec iov = {.iov_base = (char[]){0}, .iov_len = 1};

  return helix_send (
             errand->back, &iov, 1, connect_to (errand->way, errand->port))
      != 1;
}

static void
expect_uid (int fd, uid_t owner, const char *where)
{
  uid_t uid = 4711;

  fail_unless (
      helix_tcp_peer_uid (fd, &uid) == 0, "%s: %s", where, strerror (errno));
  fail_unless_equals_int (uid, owner);
}

/* At both ends, and as long as there is a process that has the other one. A
 * socket belongs to the user that made it, wherever it went since: every second
 * client is made by another user. */
GST_START_TEST (test_owner)
{
  struct errand errand = {.way = &ways[__i__ / 2]};
  int listener = listen_on (errand.way, &errand.port);
  bool other = __i__ % 2;
  int fds[2], client, server;
  char byte;

  if (listener < 0) {
    g_print ("SKIP in %s: no address %s here\n", __func__, errand.way->client);
    return;
  }
  if (other && !test_can_be_nobody ("the uid of another user's socket"))
    return;
  if (other) {
    test_socketpair (fds);
    errand.back = fds[1];
    fail_unless_equals_int (test_as_nobody (connect_for_parent, &errand), 0);
    fail_unless_equals_int (helix_recv (fds[0], &byte, 1, &client), 1);
    close (fds[0]);
    close (fds[1]);
  } else {
    client = connect_to (errand.way, errand.port);
  }
  server = accept_from (listener);
  expect_uid (server, other ? TEST_NOBODY : geteuid (), errand.way->client);
  expect_uid (client, geteuid (), errand.way->client);
  /* It says no more, but is there. */
  fail_unless (shutdown (client, SHUT_WR) == 0);
  until (server, POLLIN);
  expect_uid (server, other ? TEST_NOBODY : geteuid (), errand.way->client);
  close (client);
  expect_gone (server);
  close (server);
  close (listener);
}

GST_END_TEST;

/* A socket without a process has no owner, though the kernel's list says uid 0.
 */
GST_START_TEST (test_gone)
{
  static const struct linger at_once = {.l_onoff = 1};
  const struct way *way = &ways[0];
  in_port_t port;
  int listener = listen_on (way, &port);

  for (int i = 0; i < 3; i++) {
    int client = connect_to (way, port);
    int server;

    fail_unless_equals_int (send (client, "x", 1, 0), 1);
    if (i == 1)
      setsockopt (client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    if (i == 2) {
      server = accept_from (listener);
      until (server, POLLIN);
      close (client);
    } else {
      close (client);
      server = accept_from (listener);
    }
    expect_gone (server);
    close (server);
  }
  close (listener);
}

GST_END_TEST;

GST_START_TEST (test_not_tcp)
{
  int fds[2];
  uid_t uid;

  test_socketpair (fds);
  fail_unless_equals_int (helix_tcp_peer_uid (fds[0], &uid), -1);
  fail_unless_equals_int (errno, EOPNOTSUPP);
  close (fds[0]);
  close (fds[1]);
  fds[0] = helix_socket (AF_INET);
  fail_unless_equals_int (helix_tcp_peer_uid (fds[0], &uid), -1);
  fail_unless_equals_int (errno, ENOTCONN);
  close (fds[0]);
}

GST_END_TEST;

static Suite *
helix_tcp_peer_suite (void)
{
  Suite *s = suite_create ("helix-tcp-peer");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_loop_test (tc, test_owner, 0, 2 * G_N_ELEMENTS (ways));
  tcase_add_test (tc, test_gone);
  tcase_add_test (tc, test_not_tcp);
  return s;
}

GST_CHECK_MAIN (helix_tcp_peer);
