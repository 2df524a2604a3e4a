/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream-peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gio/gio.h>
#include <gst/check/gstcheck.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-test-fds.h"
#include "helix-test-folder.h"

#define PEER_TIMEOUT_NS (PEER_TIMEOUT_MS * G_GUINT64_CONSTANT (1000000))

gchar *
peer_folder_new (void)
{
  gchar *folder = g_dir_make_tmp ("helix-test-XXXXXX", NULL);

  fail_unless (folder != NULL);
  return folder;
}

void
peer_folder_free (gchar *folder)
{
  test_remove_tree (folder);
  g_free (folder);
}

gint
peer_next_descriptor (void)
{
  gint fd = dup (STDIN_FILENO);

  fail_unless (fd >= 0);
  close (fd);
  return fd;
}

void
peer_limit_descriptors (guint n)
{
  static struct rlimit before;
  struct rlimit limit;

  fail_unless (getrlimit (RLIMIT_NOFILE, &limit) == 0);
  if (before.rlim_max == 0)
    before = limit;
  limit.rlim_cur = n > 0 ? (rlim_t) n : before.rlim_cur;
  fail_unless (setrlimit (RLIMIT_NOFILE, &limit) == 0);
}

static guint64
cpu_time (void)
{
  struct rusage usage;

  fail_unless (getrusage (RUSAGE_SELF, &usage) == 0);
  return (guint64) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000
      + (guint64) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

guint64
peer_cpu_time (void)
{
  guint64 before = cpu_time ();

  /* Time in which it may do what it should not. */
  g_usleep (500000);
  return cpu_time () - before;
}

/* Declared by those that clear it, as stream-served.h. */
StreamPeer peer;

void
peer_init (StreamPeer *peer, gint fd)
{
  memset (peer, 0, sizeof *peer);
  peer->fd = fd;
  helix_reader_init (&peer->reader);
}

void
peer_clear (StreamPeer *peer)
{
  if (peer->fd >= 0)
    close (peer->fd);
  peer->fd = -1;
  g_clear_pointer (&peer->bulk, g_free);
}

guint64
peer_now (const StreamPeer *peer)
{
  return helix_now_ns () + peer->ahead;
}

void
peer_connect (StreamPeer *peer, const gchar *path)
{
  guint64 end = helix_now_ns () + PEER_TIMEOUT_NS;

  for (;;) {
    gint fd = helix_socket (AF_UNIX);

    fail_unless (fd >= 0);
    if (helix_unix_connect (fd, path) == 0) {
      peer_init (peer, fd);
      return;
    }
    close (fd);
    fail_unless (helix_now_ns () < end, "no listener at %s", path);
    /* Nothing tells when there is a listener: try again. */
    g_usleep (2000);
  }
}

/* In a child: connects, and hands the connection to its parent. */
static gboolean
connect_as (
    uid_t uid, const struct sockaddr_storage *to, socklen_t size, gint parent)
{
  struct iovec iov = {.iov_base = (gchar[]){0}, .iov_len = 1};
  gint fd;

  /* Only root may become any other. */
  if (uid != geteuid () && (seteuid (0) < 0 || seteuid (uid) < 0))
    return FALSE;
  fd = socket (to->ss_family, SOCK_STREAM, 0);
  return connect (fd, (const struct sockaddr *) to, size) == 0
      && helix_fd_prepare (fd) == 0 && helix_send (parent, &iov, 1, fd) == 1;
}

void
peer_connect_tcp (StreamPeer *peer, uid_t uid, const gchar *host, guint port)
{
  g_autoptr (GSocketAddress) address =
      g_inet_socket_address_new_from_string (host, port);
  socklen_t size = g_socket_address_get_native_size (address);
  struct sockaddr_storage to = {0};
  gint fds[2], fd = -1, status = -1;
  gchar byte;
  pid_t pid;

  fail_unless (g_socket_address_to_native (address, &to, sizeof to, NULL));
  test_socketpair (fds);
  pid = fork ();
  fail_unless (pid >= 0);
  if (pid == 0)
    _exit (connect_as (uid, &to, size, fds[1]) ? 0 : 1);
  fail_unless (waitpid (pid, &status, 0) == pid);
  fail_unless (status == 0, "cannot connect to %s", host);
  fail_unless (helix_recv (fds[0], &byte, 1, &fd) == 1);
  close (fds[0]);
  close (fds[1]);
  peer_init (peer, fd);
}

gint
peer_listen (const gchar *path)
{
  gint fd = helix_socket (AF_UNIX);

  unlink (path);
  fail_unless (fd >= 0);
  fail_unless (helix_unix_bind (fd, path) == 0);
  fail_unless (listen (fd, 8) == 0);
  return fd;
}

static void
wait_for (gint fd, short events, const gchar *what)
{
  struct pollfd entry = {.fd = fd, .events = events};

  fail_unless (poll (&entry, 1, PEER_TIMEOUT_MS) > 0, "no %s", what);
}

void
peer_accept (StreamPeer *peer, gint listener)
{
  gint fd;

  wait_for (listener, POLLIN, "connection");
  fd = helix_accept (listener);
  fail_unless (fd >= 0);
  peer_init (peer, fd);
}

void
peer_send (StreamPeer *peer, const void *data, gsize size)
{
  while (size > 0) {
    struct iovec iov = {.iov_base = (void *) data, .iov_len = size};
    gssize n = helix_send (peer->fd, &iov, 1, -1);

    if (n < 0 && errno == EAGAIN) {
      wait_for (peer->fd, POLLOUT, "room to send");
      continue;
    }
    if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
      return; /* what the other end says to that comes with the next read */
    fail_unless (n > 0, "send: %s", g_strerror (errno));
    data = (const guint8 *) data + n;
    size -= (gsize) n;
  }
}

void
peer_hello (StreamPeer *peer, const gchar *token)
{
  peer_hello_as (peer, token, HELIX_ROLE_STREAM);
}

void
peer_hello_as (StreamPeer *peer, const gchar *token, guint32 role)
{
  struct helix_hello hello = {.version_min = 1,
      .version_max = 1,
      .role = role,
      .features = token != NULL ? HELIX_FEATURE_PROOF : 0,
      .pid = 4711,
      .nonce = 0x1122334455667788};

  peer->proof.nonce = hello.nonce;
  PEER_SEND (peer, hello, &hello, "test");
}

void
peer_meet (StreamPeer *peer, const gchar *path)
{
  peer_meet_as (peer, path, HELIX_ROLE_STREAM);
}

void
peer_meet_as (StreamPeer *peer, const gchar *path, guint32 role)
{
  peer_connect (peer, path);
  peer_hello_as (peer, NULL, role);
  fail_unless_equals_int (peer_next (peer), HELIX_WELCOME);
}

void
peer_expect_challenge (StreamPeer *peer)
{
  struct helix_welcome welcome;
  gchar name[HELIX_MAX_NAME + 1];

  peer_expect (peer, HELIX_WELCOME);
  PEER_UNPACK (peer, welcome, &welcome, name, peer->proof.challenge);
  fail_unless_equals_int (welcome.features, HELIX_FEATURE_PROOF);
  fail_unless_equals_int (welcome.pid, 0);
}

void
peer_prove (StreamPeer *peer, const gchar *who, const gchar *token)
{
  guint8 message[HELIX_MAX_MESSAGE];

  peer_send (
      peer, message, helix_proof_pack (message, who, token, &peer->proof));
}

void
peer_expect_proof (StreamPeer *peer, const gchar *who, const gchar *token)
{
  struct helix_proof proof;

  fail_unless_equals_int (peer_next (peer), HELIX_PROOF);
  PEER_UNPACK (peer, proof, &proof);
  fail_unless (helix_proof_is_right (&proof, who, token, &peer->proof));
}

void
peer_join (StreamPeer *peer, const gchar *token)
{
  peer_hello (peer, token);
  peer_expect_challenge (peer);
  peer_prove (peer, HELIX_PROOF_CLIENT, token);
  peer_expect_proof (peer, HELIX_PROOF_SERVER, token);
}

gchar *
peer_list_names (StreamPeer *peer)
{
  GString *names = g_string_new (NULL);
  gchar text[HELIX_MAX_TEXT + 1], name[HELIX_MAX_NAME + 1];
  struct helix_status status;
  struct helix_client client;

  PEER_SEND (peer, empty, HELIX_LIST, 0);
  peer_expect (peer, HELIX_STATUS);
  PEER_UNPACK (peer, status, &status, text);
  for (guint i = 0; i < status.clients; i++) {
    peer_expect (peer, HELIX_CLIENT);
    PEER_UNPACK (peer, client, &client, name);
    fail_unless_equals_int (client.pid, 0);
    g_string_append_printf (
        names, client.flags & HELIX_CLIENT_YOU ? "[%s]" : "(%s)", name);
  }
  return g_string_free (names, FALSE);
}

static void
welcome_with (StreamPeer *peer, const guint8 *challenge)
{
  struct helix_welcome welcome = {.version = 1};
  gchar name[HELIX_MAX_NAME + 1];
  struct helix_hello hello;

  peer_expect (peer, HELIX_HELLO);
  PEER_UNPACK (peer, hello, &hello, name);
  welcome.nonce = peer->proof.nonce = hello.nonce;
  welcome.role = peer->role = hello.role;
  PEER_SEND (peer, welcome, &welcome, "test", challenge);
}

void
peer_welcome (StreamPeer *peer)
{
  welcome_with (peer, NULL);
}

void
peer_challenge (StreamPeer *peer)
{
  fail_unless (getentropy (peer->proof.challenge, HELIX_CHALLENGE_SIZE) == 0);
  welcome_with (peer, peer->proof.challenge);
}

void
peer_send_caps (StreamPeer *peer, guint32 id)
{
  struct helix_caps caps = {.caps_id = id,
      .codec = HELIX_CODEC_VP8,
      .width = 320,
      .height = 240,
      .rate_num = 30,
      .rate_den = 1,
      .par_num = 1,
      .par_den = 1};

  PEER_SEND (peer, caps, &caps);
}

void
peer_send_unit (StreamPeer *peer, guint64 sequence, guint32 flags,
    const void *data, gsize size)
{
  struct helix_unit unit = {.sequence = sequence,
      .running_time = sequence * 33333333,
      .dts = HELIX_NONE64,
      .duration = HELIX_NONE64,
      .capture_ns = peer_now (peer),
      .caps_id = 1,
      .flags = flags};

  unit.sent_ns = unit.capture_ns;
  PEER_SEND (peer, unit, &unit, (guint32) size);
  peer_send (peer, data, size);
}

void
peer_answer_ping (StreamPeer *peer)
{
  guint64 now = peer_now (peer);

  PEER_SEND (
      peer, pong_for, &peer->reader.header, peer->reader.payload, now, now);
}

static void
got_cursor (StreamPeer *peer)
{
  const gchar *why = "";

  fail_unless (helix_unpack_cursor (&peer->cursor, peer->reader.payload,
                   peer->reader.payload_size, peer->reader.header.size, &why),
      "%s", why);
}

static void
got_head (StreamPeer *peer)
{
  const gchar *why = "";

  if (peer->reader.header.type == HELIX_CURSOR)
    got_cursor (peer);
  else
    fail_unless (helix_unpack_unit (&peer->unit, peer->reader.payload,
                     peer->reader.payload_size, peer->reader.header.size, &why),
        "%s", why);
  g_free (peer->bulk);
  peer->bulk = g_malloc (peer->reader.bulk_size);
  helix_reader_bulk (&peer->reader, peer->bulk);
}

guint
peer_next_any (StreamPeer *peer)
{
  for (;;) {
    uint8_t *ptr;
    size_t len;
    gssize n;

    helix_reader_want (&peer->reader, &ptr, &len);
    n = helix_recv (peer->fd, ptr, len, NULL);
    if (n < 0 && errno == EAGAIN) {
      wait_for (peer->fd, POLLIN, "message");
      continue;
    }
    if (n == 0 || (n < 0 && (errno == ECONNRESET || errno == EIO)))
      return 0;
    fail_unless (n > 0, "recv: %s", g_strerror (errno));
    switch (helix_reader_got (&peer->reader, (size_t) n)) {
      case HELIX_READER_MORE:
        break;
      case HELIX_READER_HEAD:
        got_head (peer);
        break;
      case HELIX_READER_ERROR:
        fail ("the other end breaks the protocol: %s", peer->reader.why);
        break;
      case HELIX_READER_MESSAGE:
        if (peer->reader.header.type == HELIX_CURSOR
            && peer->reader.bulk_size == 0)
          got_cursor (peer);
        return peer->reader.header.type;
    }
  }
}

guint
peer_next (StreamPeer *peer)
{
  guint64 end = helix_now_ns () + PEER_TIMEOUT_NS;
  guint type;

  for (;;) {
    type = peer_next_any (peer);
    fail_unless (helix_now_ns () < end, "nothing but PING comes");
    if (type == HELIX_PING)
      peer_answer_ping (peer);
    else if (type != HELIX_PONG && type != HELIX_STATS
        && type != HELIX_KEYFRAME)
      return type;
  }
}

void
peer_expect (StreamPeer *peer, guint type)
{
  guint64 end = helix_now_ns () + PEER_TIMEOUT_NS;
  guint got;

  do {
    got = peer_next_any (peer);
    fail_unless (helix_now_ns () < end, "no %s comes", helix_type_name (type));
    fail_unless (
        got != 0, "the connection ended before %s", helix_type_name (type));
    if (got == HELIX_PING && type != HELIX_PING)
      peer_answer_ping (peer);
  } while (got != type);
}

gchar *
peer_expect_error (StreamPeer *peer, guint code)
{
  gchar text[HELIX_MAX_TEXT + 1];
  struct helix_error error;

  peer_expect (peer, HELIX_ERROR);
  PEER_UNPACK (peer, error, &error, text);
  fail_unless_equals_int (error.code, code);
  return g_strdup (text);
}

void
peer_expect_config (
    StreamPeer *peer, struct helix_config *config, guint32 fields)
{
  peer_expect (peer, HELIX_CONFIG);
  PEER_UNPACK (peer, config, config);
  fail_unless_equals_int (config->fields, fields);
}

void
peer_expect_no (StreamPeer *peer, guint type)
{
  guint64 end = helix_now_ns () + PEER_TIMEOUT_NS;
  guint got;

  PEER_SEND (peer, empty, HELIX_PING, 77);
  do {
    got = peer_next_any (peer);
    fail_unless (got != 0 && helix_now_ns () < end, "no PONG");
    fail_unless (got != type, "%s came", helix_type_name (type));
  } while (got != HELIX_PONG || peer->reader.header.channel != 77);
}

void
peer_expect_refusal (StreamPeer *peer, guint code)
{
  gchar *text = peer_expect_error (peer, code);

  fail_unless (text[0] != '\0');
  g_free (text);
  fail_unless_equals_int (peer_next_any (peer), 0);
}
