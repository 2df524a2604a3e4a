/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <gst/check/gstcheck.h>
#include <netinet/in.h>
#include <poll.h>
#include <pty.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-test-nobody.h"
#include "helix-test-time.h"
#include "helix-transport.h"
#include "stream-peer.h"

/* Longer than any socket's path may be. */
#define TEN "xxxxxxxxxx"
#define FIFTY TEN TEN TEN TEN TEN
#define LONG_NAME FIFTY FIFTY FIFTY FIFTY

static gchar *folder;

static void
setup (void)
{
  folder = peer_folder_new ();
}

static void
teardown (void)
{
  peer_folder_free (folder);
}

static HelixAddress *
address_of (const gchar *format, const gchar *name)
{
  g_autofree gchar *path = g_build_filename (folder, name, NULL);
  g_autofree gchar *text = g_strdup_printf (format, path);
  HelixAddress *address = helix_address_parse (text, NULL);

  fail_unless (address != NULL);
  return address;
}

static HelixListener *
listen_on (const gchar *text, HelixAdmit admit)
{
  g_autoptr (HelixAddress) address = helix_address_parse (text, NULL);
  g_autoptr (GError) error = NULL;
  HelixListener *listener =
      helix_transport_listen (address, admit, NULL, &error);

  fail_unless (listener != NULL, "%s", error ? error->message : "");
  return listener;
}

/* -1: it takes longer than `timeout_ms`. */
static gint
connect_to (const HelixListener *listener, gint timeout_ms)
{
  g_autoptr (HelixAddress) address = helix_address_parse (listener->text, NULL);

  return helix_transport_connect (address, NULL, timeout_ms, NULL);
}

static gint
accept_one (HelixListener *listener, gchar **peer)
{
  struct pollfd fds[HELIX_LISTENER_MAX];

  for (guint i = 0; i < listener->n_fds; i++)
    fds[i] = (struct pollfd){.fd = listener->fds[i], .events = POLLIN};
  fail_unless (poll (fds, listener->n_fds, PEER_TIMEOUT_MS) > 0);
  for (guint i = 0; i < listener->n_fds; i++)
    if (fds[i].revents != 0)
      return helix_listener_accept (listener, i, peer, NULL);
  fail ("nobody to accept");
  return -1;
}

/* Bytes go both ways, and nothing blocks. */
static void
check_pair (gint a, gint b)
{
  struct iovec iov = {.iov_base = (void *) "helix", .iov_len = 5};
  struct pollfd entry = {.fd = b, .events = POLLIN};
  gchar got[8];

  fail_unless (fcntl (a, F_GETFL) & O_NONBLOCK);
  fail_unless (fcntl (b, F_GETFL) & O_NONBLOCK);
  fail_unless (fcntl (a, F_GETFD) & FD_CLOEXEC);
  fail_unless (fcntl (b, F_GETFD) & FD_CLOEXEC);
  fail_unless (helix_recv (b, got, sizeof got, NULL) < 0);
  fail_unless_equals_int (errno, EAGAIN);
  fail_unless_equals_int (helix_send (a, &iov, 1, -1), 5);
  fail_unless (poll (&entry, 1, PEER_TIMEOUT_MS) == 1);
  fail_unless_equals_int (helix_recv (b, got, sizeof got, NULL), 5);
  fail_unless (memcmp (got, "helix", 5) == 0);
}

static const struct {
  const gchar *address, *peer;
} kinds[] = {
    {"unix:%s", "unix:pid="},
    {"tcp:127.0.0.1:0", "tcp:127.0.0.1:"},
    {"tcp:localhost:0", "tcp:"},
};

GST_START_TEST (test_kind)
{
  g_autoptr (HelixAddress) asked = address_of (kinds[__i__].address, "s");
  HelixListener *listener = listen_on (asked->text, HELIX_ADMIT_ALL);
  gint a = connect_to (listener, PEER_TIMEOUT_MS), b;
  g_autoptr (GError) error = NULL;
  g_autofree gchar *peer = NULL;

  fail_unless (a >= 0);
  /* The listener's own proof comes first on UNIX sockets: it is gone. */
  if (asked->kind == HELIX_ADDRESS_UNIX)
    close (accept_one (listener, NULL));
  b = accept_one (listener, &peer);
  fail_unless (b >= 0 && g_str_has_prefix (peer, kinds[__i__].peer));
  check_pair (a, b);
  check_pair (b, a);
  close (a);
  close (b);
  fail_unless (helix_listener_accept (listener, 0, NULL, &error) < 0);
  fail_unless (error == NULL);
  helix_listener_free (listener);
  fail_unless (asked->path == NULL || access (asked->path, F_OK) < 0);
}
GST_END_TEST;

/* The errors: address, cause, remedy; and whether another try may help. */
static void
check_refused (const HelixAddress *address, gint code, gboolean temporary,
    const gchar *say)
{
  g_autoptr (GError) error = NULL;
  guint64 begin = helix_now_ns ();

  fail_unless (helix_transport_connect (address, NULL, 900, &error) < 0);
  fail_unless (helix_now_ns () - begin < TEST_SOON);
  fail_unless (
      g_error_matches (error, GST_RESOURCE_ERROR, code), "%s", error->message);
  fail_unless_equals_int (
      helix_transport_error_is_temporary (error), temporary);
  fail_unless (strstr (error->message, address->text) != NULL);
  fail_unless (strstr (error->message, say) != NULL, "%s", error->message);
}

/* Who may not be served, and what is said of it. `who` NULL: nothing. */
static void
check_refusal (
    const HelixListener *listener, gint fd, const gchar *say, const gchar *who)
{
  g_autofree gchar *got_who = NULL;
  g_autofree gchar *why = helix_listener_refusal (listener, fd, &got_who);

  fail_unless (why != NULL && strstr (why, say) != NULL, "%s", why);
  fail_unless (g_strcmp0 (got_who, who) == 0, "%s", got_who);
}

GST_START_TEST (test_tcp_peer)
{
  g_autoptr (HelixListener) listener =
      listen_on ("tcp:localhost:0", HELIX_ADMIT_OWN);
  gint a = connect_to (listener, PEER_TIMEOUT_MS);
  gint b = accept_one (listener, NULL);
  gchar *who;

  fail_unless (a >= 0 && b >= 0);
  fail_unless (helix_listener_refusal (listener, b, &who) == NULL);
  /* Whose it is cannot be asked: there is no descriptor left to ask by. */
  peer_limit_descriptors (peer_next_descriptor ());
  check_refusal (listener, b, "does not tell", "an unknown user");
  peer_limit_descriptors (0);
  close (a);
  check_refusal (listener, b, "closed", NULL);
  close (b);
}
GST_END_TEST;

/* `name` in the folder, which has a regular file, a FIFO and a socket that
 * nothing serves. */
static const struct {
  const gchar *address, *name;
  gint code;
  gboolean temporary;
  const gchar *say;
} refused[] = {
    {"unix:%s", "none", GST_RESOURCE_ERROR_NOT_FOUND, TRUE, "no server"},
    {"unix:%s", "regular", GST_RESOURCE_ERROR_SETTINGS, FALSE, "regular file"},
    {"unix:%s", "stale", GST_RESOURCE_ERROR_NOT_FOUND, TRUE,
        "its owner is gone"},
    {"unix:%s", "", GST_RESOURCE_ERROR_SETTINGS, FALSE, "directory"},
    {"unix:%s", LONG_NAME, GST_RESOURCE_ERROR_SETTINGS, FALSE, "shorter path"},
    {"tcp:127.0.0.1:0", "", GST_RESOURCE_ERROR_SETTINGS, FALSE, "port 0"},
    {"tcp:no-such-host.invalid:1", "", GST_RESOURCE_ERROR_NOT_FOUND, TRUE,
        "cannot be resolved"},
    {"serial:%s", "none", GST_RESOURCE_ERROR_NOT_FOUND, TRUE, "no such port"},
    {"serial:%s", "regular", GST_RESOURCE_ERROR_SETTINGS, FALSE,
        "no character device"},
    {"serial:%s", "fifo", GST_RESOURCE_ERROR_SETTINGS, FALSE,
        "no character device"},
};

GST_START_TEST (test_refused)
{
  g_autofree gchar *regular = g_build_filename (folder, "regular", NULL);
  g_autofree gchar *stale = g_build_filename (folder, "stale", NULL);
  g_autofree gchar *fifo = g_build_filename (folder, "fifo", NULL);
  g_autoptr (HelixAddress) address =
      address_of (refused[__i__].address, refused[__i__].name);

  fail_unless (g_file_set_contents (regular, "x", 1, NULL));
  fail_unless (mkfifo (fifo, 0600) == 0);
  close (peer_listen (stale));
  check_refused (address, refused[__i__].code, refused[__i__].temporary,
      refused[__i__].say);
}
GST_END_TEST;

static int
use_forbidden (void *opaque)
{
  HelixAddress **addresses = opaque;
  g_autoptr (GError) error = NULL;

  check_refused (addresses[0], GST_RESOURCE_ERROR_NOT_AUTHORIZED, FALSE,
      "Run both ends as one user");
  fail_unless (
      helix_transport_listen (addresses[1], HELIX_ADMIT_ALL, NULL, &error)
      == NULL);
  return !g_error_matches (
      error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_AUTHORIZED);
}

/* Root may do anything: in a child of another user. */
GST_START_TEST (test_unix_forbidden)
{
  g_autoptr (HelixAddress) address = address_of ("unix:%s", "s");
  g_autoptr (HelixAddress) other = address_of ("unix:%s", "other");
  g_autoptr (HelixListener) listener =
      listen_on (address->text, HELIX_ADMIT_ALL);
  HelixAddress *addresses[] = {address, other};

  fail_unless (listener != NULL);
  fail_unless (chmod (address->path, 0) == 0);
  fail_unless (chmod (folder, 0555) == 0);
  fail_unless_equals_int (test_as_nobody (use_forbidden, addresses), 0);
  fail_unless (chmod (folder, 0700) == 0);
}
GST_END_TEST;

/* A socket that has a port from the kernel, and does not listen. */
static gint
bind_any_port (guint *port)
{
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t size = sizeof address;
  gint fd = socket (AF_INET, SOCK_STREAM, 0);

  address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  fail_unless (bind (fd, (struct sockaddr *) &address, size) == 0);
  fail_unless (getsockname (fd, (struct sockaddr *) &address, &size) == 0);
  *port = ntohs (address.sin_port);
  return fd;
}

GST_START_TEST (test_tcp_refused)
{
  guint port;
  gint bound = bind_any_port (&port);
  g_autofree gchar *text = g_strdup_printf ("tcp:127.0.0.1:%u", port);
  g_autoptr (HelixAddress) nobody = helix_address_parse (text, NULL);

  check_refused (nobody, GST_RESOURCE_ERROR_NOT_FOUND, TRUE, "no server");
  close (bound);
}
GST_END_TEST;

/* A port that the kernel gave, and that is free again. */
static guint
any_port (void)
{
  guint port;

  close (bind_any_port (&port));
  return port;
}

/* Where nobody listens at a port that the kernel gives to callers as well, it
 * may give that very one to ours, and then both ends are one. */
GST_START_TEST (test_tcp_not_itself)
{
  g_autofree gchar *text =
      g_strdup_printf ("tcp:127.0.0.1:%u", any_port () & ~1u);
  g_autoptr (HelixAddress) address = helix_address_parse (text, NULL);
  guint64 end = helix_now_ns () + 2 * GST_SECOND;

  /* Linux takes the even ports in turn: half as many as there are. */
  for (guint i = 0; i < 30000 && helix_now_ns () < end; i++) {
    gint fd = helix_transport_connect (address, NULL, 1000, NULL);
    struct sockaddr_in own = {0}, other = {0};
    socklen_t own_size = sizeof own, other_size = sizeof other;

    if (fd < 0)
      continue;
    fail_unless (getsockname (fd, (struct sockaddr *) &own, &own_size) == 0);
    /* Else it is another program's port by now, which may be gone again. */
    if (getpeername (fd, (struct sockaddr *) &other, &other_size) == 0)
      fail_unless (own.sin_port != other.sin_port);
    close (fd);
  }
}
GST_END_TEST;

/* There is no host above this machine that listens: whatever the kernel says
 * to that, it is said with the remedy. */
GST_START_TEST (test_vsock_refused)
{
  g_autoptr (HelixAddress) address =
      helix_address_parse ("vsock:2:59999", NULL);
  g_autoptr (GError) error = NULL;

  fail_unless (helix_transport_connect (address, NULL, 900, &error) < 0);
  fail_unless_equals_int (error->domain, GST_RESOURCE_ERROR);
  fail_unless (g_str_has_prefix (error->message, "vsock:2:59999: "));
  fail_unless (strstr (error->message, "CID") != NULL
          || strstr (error->message, "vhost-vsock") != NULL,
      "%s", error->message);
}
GST_END_TEST;

static int
open_forbidden (void *address)
{
  check_refused (address, GST_RESOURCE_ERROR_NOT_AUTHORIZED, FALSE,
      "let a udev rule give this user the device");
  return 0;
}

/* In a guest, the port's device is root's, with mode 0600. */
GST_START_TEST (test_serial_forbidden)
{
  g_autoptr (HelixAddress) address = NULL;
  g_autofree gchar *text = NULL;
  gint master, slave;
  gchar name[128];

  fail_unless (openpty (&master, &slave, name, NULL, NULL) == 0);
  fail_unless (chmod (name, geteuid () == 0 ? 0600 : 0) == 0);
  text = g_strdup_printf ("serial:%s", name);
  address = helix_address_parse (text, NULL);
  fail_unless_equals_int (test_as_nobody (open_forbidden, address), 0);
  close (slave);
  close (master);
}
GST_END_TEST;

/* Every byte value passes, in both directions, unechoed. */
GST_START_TEST (test_serial_raw)
{
  g_autoptr (HelixAddress) address = NULL;
  g_autofree gchar *text = NULL;
  gchar name[128];
  guint8 sent[256], got[256];
  gint master, slave, fd;
  struct iovec iov = {.iov_base = sent, .iov_len = sizeof sent};

  fail_unless (openpty (&master, &slave, name, NULL, NULL) == 0);
  fail_unless (helix_fd_prepare (master) == 0);
  text = g_strdup_printf ("serial:%s", name);
  address = helix_address_parse (text, NULL);
  fd = helix_transport_connect (address, NULL, 900, NULL);
  fail_unless (fd >= 0);
  for (guint i = 0; i < sizeof sent; i++)
    sent[i] = (guint8) i;
  for (guint way = 0; way < 2; way++) {
    gint from = way == 0 ? fd : master, to = way == 0 ? master : fd;
    gsize have = 0;

    fail_unless_equals_int (helix_send (from, &iov, 1, -1), 256);
    while (have < sizeof got) {
      struct pollfd entry = {.fd = to, .events = POLLIN};
      gssize n;

      fail_unless (poll (&entry, 1, PEER_TIMEOUT_MS) == 1);
      n = helix_recv (to, got + have, sizeof got - have, NULL);
      fail_unless (n > 0);
      have += (gsize) n;
    }
    fail_unless (memcmp (sent, got, sizeof got) == 0);
  }
  close (fd);
  close (slave);
  close (master);
}
GST_END_TEST;

static void
expect_not_listening (const gchar *text, gint code, const gchar *say)
{
  g_autoptr (HelixAddress) address = helix_address_parse (text, NULL);
  g_autoptr (GError) error = NULL;

  fail_unless (
      helix_transport_listen (address, HELIX_ADMIT_ALL, NULL, &error) == NULL);
  fail_unless (
      g_error_matches (error, GST_RESOURCE_ERROR, code), "%s", error->message);
  fail_unless (strstr (error->message, say) != NULL, "%s", error->message);
}

GST_START_TEST (test_listen_refused)
{
  g_autoptr (HelixListener) first =
      listen_on ("tcp:127.0.0.1:0", HELIX_ADMIT_ALL);
  g_autoptr (HelixAddress) regular = address_of ("unix:%s", "regular");

  expect_not_listening (
      first->text, GST_RESOURCE_ERROR_BUSY, "choose another one");
  expect_not_listening ("tcp:192.0.2.1:14359", GST_RESOURCE_ERROR_NOT_FOUND,
      "an address of this machine");
  fail_unless (g_file_set_contents (regular->path, "x", 1, NULL));
  expect_not_listening (
      regular->text, GST_RESOURCE_ERROR_SETTINGS, "regular file");
  expect_not_listening (
      "serial:port", GST_RESOURCE_ERROR_SETTINGS, "mode=connect");
}
GST_END_TEST;

static gpointer
cancel_soon (gpointer cancel)
{
  /* Nothing tells that the other thread waits in poll; most times it does. */
  g_usleep (50000);
  g_cancellable_cancel (cancel);
  return NULL;
}

/* A full backlog makes connect wait: cancelling ends that at once. */
GST_START_TEST (test_cancel)
{
  g_autoptr (HelixListener) listener =
      listen_on ("tcp:127.0.0.1:0", HELIX_ADMIT_ALL);
  g_autoptr (HelixAddress) address = helix_address_parse (listener->text, NULL);
  g_autoptr (GCancellable) cancel = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (GArray) open = g_array_new (FALSE, FALSE, sizeof (gint));
  GThread *thread = NULL;
  gint fd;

  do {
    fd = connect_to (listener, 50);
    if (fd >= 0)
      g_array_append_val (open, fd);
  } while (fd >= 0 && open->len < 64);
  fail_unless (fd < 0, "the backlog has no end");
  thread = g_thread_new ("cancel", cancel_soon, cancel);
  fail_unless (helix_transport_connect (address, cancel, 60000, &error) < 0);
  fail_unless (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED));
  g_thread_join (thread);
  for (guint i = 0; i < open->len; i++)
    close (g_array_index (open, gint, i));
}
GST_END_TEST;

static Suite *
helix_transport_suite (void)
{
  Suite *s = suite_create ("helix-transport");
  TCase *tc = tcase_create ("transport");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_loop_test (tc, test_kind, 0, G_N_ELEMENTS (kinds));
  tcase_add_test (tc, test_tcp_peer);
  tcase_add_loop_test (tc, test_refused, 0, G_N_ELEMENTS (refused));
  tcase_add_test (tc, test_unix_forbidden);
  tcase_add_test (tc, test_tcp_refused);
  tcase_add_test (tc, test_tcp_not_itself);
  tcase_add_test (tc, test_vsock_refused);
  tcase_add_test (tc, test_serial_forbidden);
  tcase_add_test (tc, test_serial_raw);
  tcase_add_test (tc, test_listen_refused);
  tcase_add_test (tc, test_cancel);
  return s;
}

GST_CHECK_MAIN (helix_transport);
