/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-vm-peek.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "helix-platform.h"

#define NS_PER_MS G_GUINT64_CONSTANT (1000000)

/* Reads at one go: a peer that never stops talking must not keep others from
 * being heard. */
#define READS_AT_ONCE 128

/* All that is ever sent fits any socket's buffer: what does not go out at once
 * goes to somebody who does not read, and silence tells the same. */
static void
say (HelixVmPeek *peek, const guint8 *message, gsize size)
{
  struct iovec iov = {(void *) message, size};

  if (peek->fd >= 0)
    helix_send (peek->fd, &iov, 1, -1);
}

static void
hang_up (HelixVmPeek *peek)
{
  if (peek->fd >= 0)
    close (peek->fd);
  peek->fd = -1;
}

HelixVmPeek *
helix_vm_peek_new (const gchar *path, pid_t pid, gint fd, const gchar *name)
{
  HelixVmPeek *peek = g_new0 (HelixVmPeek, 1);
  struct helix_hello hello = {0};
  guint8 message[HELIX_MAX_MESSAGE];
  uid_t uid;

  peek->path = g_strdup (path);
  peek->pid = pid;
  peek->fd = fd;
  if (pid == 0 && helix_peer_credentials (fd, &uid, &peek->pid) < 0)
    peek->pid = 0;
  peek->nonce = (guint64) g_random_int () << 32 | g_random_int ();
  helix_reader_init (&peek->reader);
  hello.version_min = HELIX_VERSION_MIN;
  hello.version_max = HELIX_VERSION_MAX;
  hello.role = HELIX_ROLE_FRAMES;
  hello.pid = (guint32) getpid ();
  hello.nonce = peek->nonce;
  /* PING is answered whatever becomes of HELLO. */
  say (peek, message, helix_pack_empty (message, HELIX_PING, 0));
  say (peek, message, helix_pack_hello (message, &hello, name));
  return peek;
}

void
helix_vm_peek_free (HelixVmPeek *peek)
{
  guint8 message[HELIX_MAX_MESSAGE];

  say (peek, message, helix_pack_bye (message, HELIX_BYE_CLOSING, NULL));
  hang_up (peek);
  g_free (peek->path);
  g_free (peek);
}

/* ---- what it says ---- */

static gboolean
take_welcome (HelixVmPeek *peek)
{
  const struct helix_reader *reader = &peek->reader;
  struct helix_welcome welcome;
  const char *why;

  if (peek->scanouts != 0
      || !helix_unpack_welcome (&welcome, peek->name, NULL, reader->payload,
          reader->payload_size, &why)
      || welcome.nonce != peek->nonce || welcome.scanouts == 0
      || welcome.scanouts > HELIX_MAX_SCANOUTS)
    return FALSE;
  peek->scanouts = welcome.scanouts;
  return TRUE;
}

static gboolean
take_scanout (HelixVmPeek *peek)
{
  const struct helix_reader *reader = &peek->reader;
  struct helix_scanout scanout;
  const char *why;

  if (!helix_unpack_scanout (
          &scanout, reader->payload, reader->payload_size, &why))
    return FALSE;
  if (reader->header.channel != 0 || scanout.scanout >= peek->scanouts)
    return TRUE;
  peek->scanout[scanout.scanout] = scanout;
  peek->known |= 1u << scanout.scanout;
  if (peek->known == (1u << peek->scanouts) - 1)
    peek->complete = TRUE;
  peek->news = TRUE;
  return TRUE;
}

static gboolean
take_error (HelixVmPeek *peek)
{
  const struct helix_reader *reader = &peek->reader;
  char text[HELIX_MAX_TEXT + 1];
  struct helix_error error;
  const char *why;

  if (!helix_unpack_error (
          &error, text, reader->payload, reader->payload_size, &why))
    return FALSE;
  if (!helix_error_is_fatal (error.code))
    return TRUE;
  peek->refused = peek->complete = peek->news = TRUE;
  return FALSE;
}

static void
answer_ping (HelixVmPeek *peek)
{
  guint8 message[HELIX_MAX_MESSAGE];
  guint64 now = helix_now_ns ();

  say (peek, message,
      helix_pack_pong_for (
          message, &peek->reader.header, peek->reader.payload, now, now));
}

static void
answer_unknown (HelixVmPeek *peek)
{
  guint8 message[HELIX_MAX_MESSAGE];
  gsize size =
      helix_pack_unsupported (message, &peek->reader.header, peek->unknown);

  if (size > 0)
    say (peek, message, size);
}

static gboolean
take_message (HelixVmPeek *peek)
{
  switch (peek->reader.header.type) {
    case HELIX_PING:
      answer_ping (peek);
      return TRUE;
    case HELIX_PONG:
      peek->alive = TRUE;
      return TRUE;
    case HELIX_WELCOME:
      peek->alive = TRUE;
      return take_welcome (peek);
    case HELIX_SCANOUT:
      return take_scanout (peek);
    case HELIX_ERROR:
      return take_error (peek);
    case HELIX_BYE:
      return FALSE;
    default:
      answer_unknown (peek);
      return TRUE;
  }
}

gboolean
helix_vm_peek_read (HelixVmPeek *peek)
{
  for (guint i = 0; i < READS_AT_ONCE && peek->fd >= 0; i++) {
    uint8_t *ptr;
    size_t len;
    ssize_t n;

    helix_reader_want (&peek->reader, &ptr, &len);
    n = helix_recv (peek->fd, ptr, len, NULL);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      return TRUE;
    if (n <= 0) {
      hang_up (peek);
      break;
    }
    switch (helix_reader_got (&peek->reader, (size_t) n)) {
      case HELIX_READER_MORE:
      case HELIX_READER_HEAD: /* its bulk is dropped */
        break;
      case HELIX_READER_MESSAGE:
        if (!take_message (peek))
          hang_up (peek);
        break;
      case HELIX_READER_ERROR:
        hang_up (peek);
        break;
    }
  }
  return peek->fd >= 0;
}

/* ---- several ---- */

gboolean
helix_vm_peek_wait (GPtrArray *peeks, guint64 deadline, gint interrupt)
{
  struct pollfd *fds = g_new0 (struct pollfd, peeks->len + 1);
  gboolean undisturbed = TRUE;
  guint64 now;

  fds[peeks->len].fd = interrupt;
  fds[peeks->len].events = POLLIN;
  while ((now = helix_now_ns ()) < deadline) {
    guint waiting = 0;

    for (guint i = 0; i < peeks->len; i++) {
      const HelixVmPeek *peek = g_ptr_array_index (peeks, i);

      fds[i].fd = peek->complete ? -1 : peek->fd;
      fds[i].events = POLLIN;
      waiting += fds[i].fd >= 0;
    }
    if (waiting == 0)
      break;
    if (poll (fds, peeks->len + 1,
            (int) ((deadline - now + NS_PER_MS - 1) / NS_PER_MS))
        <= 0)
      continue;
    for (guint i = 0; i < peeks->len; i++)
      if (fds[i].fd >= 0 && fds[i].revents)
        helix_vm_peek_read (g_ptr_array_index (peeks, i));
    undisturbed = interrupt < 0 || !fds[peeks->len].revents;
    if (!undisturbed)
      break;
  }
  g_free (fds);
  return undisturbed;
}

/* ---- for people ---- */

gchar *
helix_vm_label (const gchar *name, const gchar *path)
{
  const gchar *open = strstr (name, " (");
  const gchar *close = g_strrstr (name, "),");
  gsize len = strcspn (name, ",");

  if (open != NULL && close != NULL && close > open + 2)
    return g_strndup (open + 2, (gsize) (close - open - 2));
  if (len > 0)
    return g_strndup (name, len);
  return g_path_get_basename (path);
}

gchar *
helix_vm_peek_label (const HelixVmPeek *peek)
{
  return helix_vm_label (peek->name, peek->path);
}

gchar *
helix_vm_peek_describe (const HelixVmPeek *peek)
{
  GString *text = g_string_new (*peek->name ? peek->name : "a VM");

  if (peek->pid != 0)
    g_string_append_printf (text, " (pid %ld)", (long) peek->pid);
  g_string_append_printf (text, " at %s", peek->path);
  return g_string_free (text, FALSE);
}
