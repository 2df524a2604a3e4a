/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-shim-private.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "helix-pack.h"
#include "helix-platform.h"
#include "helix-test-folder.h"

/* ---- receiving ---- */

static void
hang_up (FakeShim *shim)
{
  if (shim->fd >= 0)
    close (shim->fd);
  shim->fd = -1;
  pthread_mutex_lock (&shim->lock);
  shim->subscribed = FALSE;
  pthread_mutex_unlock (&shim->lock);
}

static gboolean
take_hello (FakeShim *shim)
{
  char name[HELIX_MAX_NAME + 1];
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_welcome welcome = {0};
  struct helix_hello hello;
  const char *why;
  gsize size;

  if (!helix_unpack_hello (
          &hello, name, shim->reader.payload, shim->reader.payload_size, &why))
    return FALSE;
  welcome.version = HELIX_VERSION_MAX;
  welcome.scanouts = (guint16) shim->config.scanouts;
  welcome.role = hello.role;
  welcome.features = hello.features;
  welcome.nonce = hello.nonce;
  if (shim->config.fault == FAKE_VERSION_WELCOME)
    welcome.version = 77;
  if (shim->config.fault == FAKE_WRONG_NONCE)
    welcome.nonce++;
  size = helix_pack_welcome (message, &welcome, "fake-shim", NULL);
  if (shim->config.fault == FAKE_VERSION_ERROR)
    size = helix_pack_error (message, 0, HELIX_ERROR_VERSION, HELIX_HELLO,
        "this shim speaks version 77 only");
  if (shim->config.fault == FAKE_WRONG_MAGIC) {
    size = 64;
    memset (message, 'x', size);
    memcpy (message, "SSH-2.0-", 8);
  }
  /* Any descriptor will do. */
  return fake_send_all (shim, message, size,
      shim->config.fault == FAKE_STRAY_FD ? shim->listener : -1);
}

static gboolean
refuse (FakeShim *shim, enum helix_error_code code, const gchar *text)
{
  guint8 message[HELIX_MAX_MESSAGE];

  pthread_mutex_lock (&shim->lock);
  shim->subscribes += shim->reader.header.type == HELIX_SUBSCRIBE;
  pthread_mutex_unlock (&shim->lock);
  return fake_send_all (shim, message,
      helix_pack_error (message, shim->reader.header.channel, code,
          shim->reader.header.type, text),
      -1);
}

static gboolean
take_subscribe (FakeShim *shim)
{
  struct helix_subscribe subscribe;
  const char *why;
  gboolean ok;

  if (!helix_unpack_subscribe (
          &subscribe, shim->reader.payload, shim->reader.payload_size, &why))
    return FALSE;
  if (shim->config.fault == FAKE_NO_SCANOUT)
    return refuse (shim, HELIX_ERROR_NO_SCANOUT, "scanout 0 is not exported");
  if (subscribe.scanout != HELIX_NONE32
      && shim->config.hidden_scanouts & 1u << subscribe.scanout)
    return refuse (shim, HELIX_ERROR_NO_SCANOUT, "that one is not exported");
  if (subscribe.resource_id >= FAKE_NO_RESOURCE)
    return refuse (shim, HELIX_ERROR_NO_RESOURCE, "no such resource");
  fake_forget_pool (shim);
  shim->sequence = 0;
  shim->channel = shim->reader.header.channel;
  pthread_mutex_lock (&shim->lock);
  shim->subscribes++;
  shim->subscribe = subscribe;
  pthread_mutex_unlock (&shim->lock);
  ok = fake_send_pool (shim);
  pthread_mutex_lock (&shim->lock);
  shim->subscribed = TRUE;
  pthread_cond_broadcast (&shim->cond);
  pthread_mutex_unlock (&shim->lock);
  return ok;
}

static gboolean
take_release (FakeShim *shim)
{
  struct helix_release release;
  const char *why;

  if (!helix_unpack_release (
          &release, shim->reader.payload, shim->reader.payload_size, &why))
    return FALSE;
  if (release.pool_id != shim->pool_id)
    return TRUE;
  pthread_mutex_lock (&shim->lock);
  g_assert (!(shim->free_slots >> release.slot & 1));
  shim->free_slots |= 1u << release.slot;
  pthread_cond_broadcast (&shim->cond);
  pthread_mutex_unlock (&shim->lock);
  return TRUE;
}

static gboolean
take_show (FakeShim *shim)
{
  struct helix_show show;
  const char *why;

  if (!helix_unpack_show (
          &show, shim->reader.payload, shim->reader.payload_size, &why))
    return FALSE;
  pthread_mutex_lock (&shim->lock);
  shim->show = show;
  shim->shows++;
  pthread_cond_broadcast (&shim->cond);
  pthread_mutex_unlock (&shim->lock);
  return shim->reader.header.channel == shim->channel
      && (show.resource_id < FAKE_NO_RESOURCE
          || refuse (shim, HELIX_ERROR_NO_RESOURCE, "no such resource"));
}

static gboolean
take_ping (FakeShim *shim)
{
  guint8 message[HELIX_MAX_MESSAGE];

  pthread_mutex_lock (&shim->lock);
  shim->pings++;
  pthread_cond_broadcast (&shim->cond);
  pthread_mutex_unlock (&shim->lock);
  return shim->config.fault == FAKE_DEAF
      || fake_send_all (shim, message,
          helix_pack_pong_for (
              message, &shim->reader.header, shim->reader.payload, 0, 0),
          -1);
}

static gboolean
take_message (FakeShim *shim)
{
  if (shim->config.fault == FAKE_SILENT)
    return TRUE;
  switch (shim->reader.header.type) {
    case HELIX_HELLO:
      return take_hello (shim);
    case HELIX_SUBSCRIBE:
      return take_subscribe (shim);
    case HELIX_RELEASE:
      return take_release (shim);
    case HELIX_SHOW:
      return take_show (shim);
    case HELIX_PING:
      return take_ping (shim);
    case HELIX_ERROR:
      pthread_mutex_lock (&shim->lock);
      shim->errors++;
      pthread_mutex_unlock (&shim->lock);
      return TRUE;
    case HELIX_BYE:
      hang_up (shim);
      pthread_mutex_lock (&shim->lock);
      shim->byes++;
      pthread_cond_broadcast (&shim->cond);
      pthread_mutex_unlock (&shim->lock);
      return FALSE;
    default:
      return TRUE;
  }
}

/* FALSE: the client is gone, or to be got rid of. */
static gboolean
take_bytes (FakeShim *shim)
{
  uint8_t *ptr;
  size_t len;
  ssize_t n;

  helix_reader_want (&shim->reader, &ptr, &len);
  n = helix_recv (shim->fd, ptr, len, NULL);
  if (n < 0)
    return errno == EAGAIN;
  if (n == 0)
    return FALSE;
  switch (helix_reader_got (&shim->reader, (size_t) n)) {
    case HELIX_READER_MESSAGE:
      return take_message (shim);
    case HELIX_READER_ERROR:
      return FALSE;
    default:
      return TRUE;
  }
}

/* A frame, if one is wanted and a slot is free. */
static gboolean
serve (FakeShim *shim)
{
  gboolean ok = TRUE, stale;
  gint slot = -1;

  pthread_mutex_lock (&shim->lock);
  stale = shim->stale_pool;
  pthread_mutex_unlock (&shim->lock);
  if (stale)
    ok = fake_send_pool (shim);
  pthread_mutex_lock (&shim->lock);
  if (stale) {
    shim->stale_pool = FALSE;
    pthread_cond_broadcast (&shim->cond);
  }
  if (ok && shim->blink_wanted) {
    ok = fake_send_blink (shim);
    shim->blink_wanted = FALSE;
    pthread_cond_broadcast (&shim->cond);
  }
  if (shim->vanish_wanted) {
    shim->vanish_wanted = ok = FALSE;
    pthread_cond_broadcast (&shim->cond);
  }
  if (ok && shim->cursor_wanted && shim->subscribed) {
    ok = fake_send_cursor (shim);
    shim->cursor_wanted = FALSE;
    pthread_cond_broadcast (&shim->cond);
  }
  if (shim->wanted && shim->subscribed && shim->free_slots != 0) {
    slot = g_bit_nth_lsf (shim->free_slots, -1);
    shim->free_slots &= ~(1u << slot);
  }
  pthread_mutex_unlock (&shim->lock);
  if (!ok || slot < 0)
    return ok;
  ok = fake_send_frame (shim, (guint) slot);
  pthread_mutex_lock (&shim->lock);
  shim->wanted = FALSE;
  pthread_cond_broadcast (&shim->cond);
  pthread_mutex_unlock (&shim->lock);
  return ok;
}

static gpointer
run (gpointer data)
{
  FakeShim *shim = data;

  for (;;) {
    struct pollfd fds[3] = {
        {.fd = shim->wakeup[0], .events = POLLIN},
        {.fd = shim->fd < 0 ? shim->listener : -1, .events = POLLIN},
        {.fd = shim->fd, .events = POLLIN},
    };
    gboolean stop;

    poll (fds, 3, -1);
    if (fds[0].revents)
      helix_wakeup_clear (shim->wakeup);
    pthread_mutex_lock (&shim->lock);
    stop = shim->stop;
    if (fds[1].revents && !stop)
      shim->accepted++;
    pthread_mutex_unlock (&shim->lock);
    if (stop)
      break;
    if (fds[1].revents) {
      shim->fd = helix_accept (shim->listener);
      helix_reader_init (&shim->reader);
    }
    if (fds[2].revents && !take_bytes (shim))
      hang_up (shim);
    if (shim->fd >= 0 && !serve (shim))
      hang_up (shim);
  }
  hang_up (shim);
  fake_forget_pool (shim);
  return NULL;
}

/* ---- the test's side ---- */

FakeShim *
fake_shim_new (const gchar *path, const FakeConfig *config)
{
  FakeShim *shim = g_new0 (FakeShim, 1);

  shim->config = *config;
  if (shim->config.slots == 0)
    shim->config.slots = 3;
  if (shim->config.scanouts == 0)
    shim->config.scanouts = 1;
  if (shim->config.fourcc == 0)
    shim->config.fourcc = HELIX_FOURCC_BGRX;
  shim->fd = shim->cut_fd = -1;
  pthread_mutex_init (&shim->lock, NULL);
  helix_cond_init (&shim->cond);
  g_assert (helix_wakeup_open (shim->wakeup) == 0);
  g_unlink (path);
  shim->listener = helix_socket (AF_UNIX);
  g_assert (shim->listener >= 0);
  g_assert (helix_unix_bind (shim->listener, path) == 0);
  g_assert (listen (shim->listener, 4) == 0);
  shim->thread = g_thread_new ("fake-shim", run, shim);
  return shim;
}

void
fake_shim_free (FakeShim *shim)
{
  pthread_mutex_lock (&shim->lock);
  shim->stop = TRUE;
  pthread_mutex_unlock (&shim->lock);
  helix_wakeup_raise (shim->wakeup);
  g_thread_join (shim->thread);
  close (shim->listener);
  helix_wakeup_close (shim->wakeup);
  g_free (shim->shape);
  pthread_mutex_destroy (&shim->lock);
  pthread_cond_destroy (&shim->cond);
  g_free (shim);
}

static guint64
until (void)
{
  return helix_now_ns () + WAIT_S * G_GUINT64_CONSTANT (1000000000);
}

/* FALSE: nothing changed until `end`. */
static gboolean
wait_change (FakeShim *shim, guint64 end)
{
  return helix_cond_wait_until (&shim->cond, &shim->lock, end) == 0;
}

gboolean
fake_shim_wait_subscribed (FakeShim *shim)
{
  guint64 end = until ();
  gboolean ok = TRUE;

  pthread_mutex_lock (&shim->lock);
  while (!shim->subscribed && ok)
    ok = wait_change (shim, end);
  pthread_mutex_unlock (&shim->lock);
  return ok;
}

gboolean
fake_shim_wait_byes (FakeShim *shim, guint count)
{
  guint64 end = until ();
  gboolean ok = TRUE;

  pthread_mutex_lock (&shim->lock);
  while (shim->byes < count && ok)
    ok = wait_change (shim, end);
  pthread_mutex_unlock (&shim->lock);
  return ok;
}

gboolean
fake_shim_send (
    FakeShim *shim, guint32 number, const struct helix_rect *rects, guint n)
{
  guint64 end = until ();
  gboolean ok = TRUE;

  pthread_mutex_lock (&shim->lock);
  shim->wanted = TRUE;
  shim->number = number;
  shim->n_rects = n;
  if (n > 0)
    memcpy (shim->rects, rects, n * sizeof *rects);
  helix_wakeup_raise (shim->wakeup);
  while (shim->wanted && ok)
    ok = wait_change (shim, end);
  shim->wanted = FALSE;
  pthread_mutex_unlock (&shim->lock);
  return ok;
}

gboolean
fake_shim_cursor (
    FakeShim *shim, const struct helix_cursor *cursor, const guint8 *shape)
{
  guint64 end = until ();
  gboolean ok = TRUE;

  pthread_mutex_lock (&shim->lock);
  shim->cursor = *cursor;
  g_clear_pointer (&shim->shape, g_free);
  if (shape != NULL) {
    gsize size = (gsize) cursor->width * cursor->height * 4;

    shim->shape = g_malloc (size);
    memcpy (shim->shape, shape, size);
  }
  shim->cursor_wanted = TRUE;
  helix_wakeup_raise (shim->wakeup);
  while (shim->cursor_wanted && ok)
    ok = wait_change (shim, end);
  shim->cursor_wanted = FALSE;
  pthread_mutex_unlock (&shim->lock);
  return ok;
}

gboolean
fake_shim_wait_show (FakeShim *shim, guint count, struct helix_show *show)
{
  guint64 end = until ();
  gboolean ok = TRUE;

  pthread_mutex_lock (&shim->lock);
  while (shim->shows < count && ok)
    ok = wait_change (shim, end);
  *show = shim->show;
  pthread_mutex_unlock (&shim->lock);
  return ok;
}

/* `count` is one of `shim`'s, and is under its lock. */
static guint
read_count (FakeShim *shim, const guint *count)
{
  guint value;

  pthread_mutex_lock (&shim->lock);
  value = *count;
  pthread_mutex_unlock (&shim->lock);
  return value;
}

guint
fake_shim_subscribes (FakeShim *shim)
{
  return read_count (shim, &shim->subscribes);
}

guint
fake_shim_errors (FakeShim *shim)
{
  return read_count (shim, &shim->errors);
}

void
fake_shim_wait_pings (FakeShim *shim, guint more)
{
  guint64 end = until ();
  gboolean ok = TRUE;

  pthread_mutex_lock (&shim->lock);
  more += shim->pings;
  while (shim->pings < more && ok)
    ok = wait_change (shim, end);
  g_assert (ok);
  pthread_mutex_unlock (&shim->lock);
}

void
fake_shim_resize (FakeShim *shim, guint width, guint height, guint32 fourcc)
{
  /* The thread looks at these only when a frame is wanted or a message came;
   * the lock in fake_shim_send () orders the rest. */
  pthread_mutex_lock (&shim->lock);
  shim->config.width = width;
  shim->config.height = height;
  shim->config.fourcc = fourcc;
  shim->config.off = FALSE;
  shim->stale_pool = TRUE;
  pthread_mutex_unlock (&shim->lock);
}

/* With the lock, which it gives back: wakes the thread, and waits until it has
 * done what *wanted says. */
static void
await_done (FakeShim *shim, const gboolean *wanted)
{
  guint64 end = until ();
  gboolean ok = TRUE;

  helix_wakeup_raise (shim->wakeup);
  while (*wanted && ok)
    ok = wait_change (shim, end);
  g_assert (ok);
  pthread_mutex_unlock (&shim->lock);
}

void
fake_shim_off (FakeShim *shim)
{
  pthread_mutex_lock (&shim->lock);
  shim->config.off = TRUE;
  shim->stale_pool = TRUE;
  await_done (shim, &shim->stale_pool);
}

void
fake_shim_blink (FakeShim *shim)
{
  pthread_mutex_lock (&shim->lock);
  shim->blink_wanted = TRUE;
  await_done (shim, &shim->blink_wanted);
}

void
fake_shim_vanish (FakeShim *shim)
{
  pthread_mutex_lock (&shim->lock);
  shim->config.off = TRUE;
  shim->stale_pool = TRUE;
  shim->vanish_wanted = TRUE;
  await_done (shim, &shim->vanish_wanted);
}

guint
fake_shim_wait_free_slots (FakeShim *shim, guint wanted)
{
  guint64 end = until ();
  gboolean ok = TRUE;
  guint count;

  pthread_mutex_lock (&shim->lock);
  do
    count = (guint) __builtin_popcount (shim->free_slots);
  while (count != wanted && ok && (ok = wait_change (shim, end)));
  pthread_mutex_unlock (&shim->lock);
  return count;
}

guint
fake_shim_accepted (FakeShim *shim)
{
  guint accepted;

  pthread_mutex_lock (&shim->lock);
  accepted = shim->accepted;
  pthread_mutex_unlock (&shim->lock);
  return accepted;
}

struct helix_subscribe
fake_shim_subscription (FakeShim *shim)
{
  struct helix_subscribe subscribe;

  pthread_mutex_lock (&shim->lock);
  subscribe = shim->subscribe;
  pthread_mutex_unlock (&shim->lock);
  return subscribe;
}

gchar *
fake_path_new (void)
{
  gchar *dir = g_dir_make_tmp ("helix-XXXXXX", NULL);
  gchar *path = g_build_filename (dir, "helix.sock", NULL);

  g_free (dir);
  return path;
}

void
fake_path_free (gchar *path)
{
  gchar *dir = g_path_get_dirname (path);

  test_remove_tree (dir);
  g_free (dir);
  g_free (path);
}
