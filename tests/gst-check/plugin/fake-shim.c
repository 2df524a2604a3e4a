/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-shim.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "helix-marker.h"
#include "helix-pack.h"
#include "helix-platform.h"
#include "helix-reader.h"

#define WAIT_S 5

struct _FakeShim {
  FakeConfig config;
  int listener;
  int wakeup[2];
  GThread *thread;

  GMutex lock;
  GCond cond;
  gboolean stop, subscribed;
  guint accepted;
  struct helix_subscribe subscribe;
  gboolean wanted; /* a frame: */
  guint32 number;
  struct helix_rect rects[HELIX_MAX_RECTS];
  guint n_rects;
  guint free_slots; /* bit i */

  /* the thread's */
  int fd; /* of the client, or -1 */
  struct helix_reader reader;
  guint16 channel;
  guint32 pool_id, generation;
  gboolean stale_pool; /* to be announced anew */
  guint64 slot_size;
  void *map; /* of the pool, or of an INLINE frame */
  gsize map_size;
  guint64 sequence;
};

/* ---- sending ---- */

static gboolean
send_all (FakeShim *shim, const void *bytes, gsize size, int pass)
{
  gsize done = 0;

  while (done < size) {
    struct iovec iov = {(guint8 *) bytes + done, size - done};
    ssize_t n = helix_send (shim->fd, &iov, 1, pass);

    if (n > 0) {
      done += (gsize) n;
      pass = -1;
    } else if (n < 0 && errno == EAGAIN) {
      struct pollfd fd = {.fd = shim->fd, .events = POLLOUT};

      if (poll (&fd, 1, WAIT_S * 1000) <= 0)
        return FALSE;
    } else {
      return FALSE;
    }
  }
  return TRUE;
}

static void
hang_up (FakeShim *shim)
{
  if (shim->fd >= 0)
    close (shim->fd);
  shim->fd = -1;
  g_mutex_lock (&shim->lock);
  shim->subscribed = FALSE;
  g_mutex_unlock (&shim->lock);
}

static gboolean
is_inline (FakeShim *shim)
{
  return shim->subscribe.flags & HELIX_SUBSCRIBE_INLINE;
}

static guint
stride_of (FakeShim *shim)
{
  return shim->config.stride ? shim->config.stride : shim->config.width * 4;
}

static void
forget_pool (FakeShim *shim)
{
  if (shim->map != NULL && shim->pool_id != 0 && !is_inline (shim))
    helix_shm_unmap (shim->map, shim->map_size);
  else
    g_free (shim->map);
  shim->map = NULL;
}

/* A descriptor that is not what POOL says of it. */
static int
wrong_descriptor (FakeShim *shim, gsize size)
{
  int fds[2];

  switch (shim->config.fault) {
    case FAKE_POOL_PIPE:
      g_assert (pipe (fds) == 0);
      close (fds[1]);
      return fds[0];
    case FAKE_POOL_SHORT:
    case FAKE_POOL_UNSEALED:
      fds[0] = memfd_create ("fake", MFD_CLOEXEC | MFD_ALLOW_SEALING);
      g_assert (fds[0] >= 0);
      if (shim->config.fault == FAKE_POOL_SHORT)
        size -= 4096;
      g_assert (ftruncate (fds[0], (off_t) size) == 0);
      if (shim->config.fault == FAKE_POOL_SHORT)
        fcntl (fds[0], F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
      return fds[0];
    default:
      return -1;
  }
}

static gboolean
send_pool (FakeShim *shim)
{
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_scanout scanout = {0};
  struct helix_pool pool = {0};
  FakeConfig *config = &shim->config;
  bool sealed = false;
  int fd = -1, wrong;
  gboolean ok;

  forget_pool (shim);
  scanout.scanout = shim->subscribe.scanout;
  scanout.flags = HELIX_SCANOUT_ENABLED;
  scanout.generation = ++shim->generation;
  scanout.resource_id = 1;
  scanout.width = config->width;
  scanout.height = config->height;
  scanout.fourcc = config->fourcc;
  pool.pool_id = ++shim->pool_id;
  pool.slots = config->slots;
  pool.slot_size =
      ((guint64) stride_of (shim) * config->height + 4095) & ~4095ull;
  pool.total_size = pool.slot_size * pool.slots;
  if (is_inline (shim)) {
    pool.kind = HELIX_POOL_INLINE;
    shim->map = g_malloc0 (pool.total_size);
  } else {
    g_assert (
        helix_shm_create (pool.total_size, &shim->map, &fd, &sealed) == 0);
    pool.kind = sealed ? HELIX_POOL_SEALED : HELIX_POOL_FILE;
    wrong = wrong_descriptor (shim, pool.total_size);
    if (wrong >= 0) {
      close (fd);
      fd = wrong;
    }
  }
  shim->slot_size = pool.slot_size;
  shim->map_size = pool.total_size;
  g_mutex_lock (&shim->lock);
  shim->free_slots = (1u << config->slots) - 1;
  g_mutex_unlock (&shim->lock);

  ok = send_all (shim, message,
           helix_pack_scanout (message, shim->channel, &scanout), -1)
      && (config->fault == FAKE_FRAME_FIRST
          || send_all (shim, message,
              helix_pack_pool (message, shim->channel, &pool),
              config->fault == FAKE_POOL_WITHOUT_FD ? -1 : fd));
  if (fd >= 0)
    close (fd);
  return ok;
}

static void
paint (FakeShim *shim, guint8 *pixels, guint32 number)
{
  FakeConfig *config = &shim->config;
  guint stride = stride_of (shim);

  if (config->paint != NULL)
    config->paint (pixels, config->width, config->height, stride, number);
  else if (config->width >= HELIX_MARKER_WIDTH
      && config->height >= HELIX_MARKER_HEIGHT)
    helix_marker_draw (pixels, stride, number);
}

static void
spoil (FakeShim *shim, struct helix_frame *frame, guint slot)
{
  switch (shim->config.fault) {
    case FAKE_BAD_SLOT:
      frame->slot = 7;
      break;
    case FAKE_BAD_POOL:
      frame->pool_id += 1;
      break;
    case FAKE_OLD_SEQUENCE:
      frame->sequence = 1;
      break;
    case FAKE_LYING_SIZE:
      frame->width = frame->height = 8000;
      frame->stride = 32000;
      break;
    case FAKE_SAME_SLOT:
      frame->slot = 0;
      break;
    default:
      break;
  }
}

static gboolean
send_frame (FakeShim *shim, guint slot)
{
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_frame frame = {0};
  FakeConfig *config = &shim->config;
  guint8 *pixels = (guint8 *) shim->map + slot * shim->slot_size;
  guint32 bulk = 0;
  gsize head;

  frame.capture_ns = helix_now_ns ();
  paint (shim, pixels, shim->number);
  frame.sequence = ++shim->sequence;
  frame.scanout = shim->subscribe.scanout;
  frame.resource_id = 1;
  frame.generation = shim->generation;
  frame.pool_id = shim->pool_id;
  frame.slot = slot;
  frame.flags = config->y_inverted ? HELIX_FRAME_Y_INVERTED : 0;
  frame.width = config->width;
  frame.height = config->height;
  frame.stride = stride_of (shim);
  frame.fourcc = config->fourcc;
  frame.rects = shim->n_rects;
  frame.readback_ns = (guint32) (helix_now_ns () - frame.capture_ns);
  frame.read_bytes = frame.stride * frame.height;
  spoil (shim, &frame, slot);
  if (is_inline (shim))
    bulk = frame.stride * frame.height;
  head = helix_pack_frame (message, shim->channel, &frame, shim->rects, bulk);
  if (config->fault == FAKE_BYE && shim->sequence == 2)
    head = helix_pack_bye (message, HELIX_BYE_CLOSING, "the VM is off");
  if (config->fault == FAKE_VANISH_MID_FRAME)
    head /= 2;
  if (!send_all (shim, message, head, -1))
    return FALSE;
  if (config->fault == FAKE_VANISH_MID_FRAME
      || (config->fault == FAKE_BYE && shim->sequence == 2))
    return FALSE;
  if (config->fault == FAKE_VANISH_MID_PIXELS) {
    send_all (shim, pixels, bulk / 2, -1);
    return FALSE;
  }
  return bulk == 0 || send_all (shim, pixels, bulk, -1);
}

/* ---- receiving ---- */

static gboolean
take_hello (FakeShim *shim)
{
  char token[HELIX_MAX_TOKEN + 1], name[HELIX_MAX_NAME + 1];
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_welcome welcome = {0};
  struct helix_hello hello;
  const char *why;
  gsize size;

  if (!helix_unpack_hello (&hello, token, name, shim->reader.payload,
          shim->reader.payload_size, &why))
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
  size = helix_pack_welcome (message, &welcome, "fake-shim");
  if (shim->config.fault == FAKE_VERSION_ERROR)
    size = helix_pack_error (message, 0, HELIX_ERROR_VERSION, HELIX_HELLO,
        "this shim speaks version 77 only");
  if (shim->config.fault == FAKE_WRONG_MAGIC) {
    size = 64;
    memset (message, 'x', size);
    memcpy (message, "SSH-2.0-", 8);
  }
  return send_all (shim, message, size, -1);
}

static gboolean
take_subscribe (FakeShim *shim)
{
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_subscribe subscribe;
  const char *why;
  gboolean ok;

  if (!helix_unpack_subscribe (
          &subscribe, shim->reader.payload, shim->reader.payload_size, &why))
    return FALSE;
  if (shim->config.fault == FAKE_NO_SCANOUT)
    return send_all (shim, message,
        helix_pack_error (message, shim->reader.header.channel,
            HELIX_ERROR_NO_SCANOUT, HELIX_SUBSCRIBE,
            "scanout 0 is not exported"),
        -1);
  forget_pool (shim);
  shim->sequence = 0;
  shim->channel = shim->reader.header.channel;
  g_mutex_lock (&shim->lock);
  shim->subscribe = subscribe;
  g_mutex_unlock (&shim->lock);
  ok = send_pool (shim);
  g_mutex_lock (&shim->lock);
  shim->subscribed = TRUE;
  g_cond_broadcast (&shim->cond);
  g_mutex_unlock (&shim->lock);
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
  g_mutex_lock (&shim->lock);
  g_assert (!(shim->free_slots >> release.slot & 1));
  shim->free_slots |= 1u << release.slot;
  g_cond_broadcast (&shim->cond);
  g_mutex_unlock (&shim->lock);
  return TRUE;
}

static gboolean
take_message (FakeShim *shim)
{
  guint8 message[HELIX_MAX_MESSAGE];

  if (shim->config.fault == FAKE_SILENT)
    return TRUE;
  switch (shim->reader.header.type) {
    case HELIX_HELLO:
      return take_hello (shim);
    case HELIX_SUBSCRIBE:
      return take_subscribe (shim);
    case HELIX_RELEASE:
      return take_release (shim);
    case HELIX_PING:
      return shim->config.fault == FAKE_DEAF
          || send_all (shim, message,
              helix_pack_pong_for (
                  message, &shim->reader.header, shim->reader.payload, 0, 0),
              -1);
    case HELIX_BYE:
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
  gboolean ok = TRUE;
  gint slot = -1;

  if (shim->stale_pool) {
    shim->stale_pool = FALSE;
    ok = send_pool (shim);
  }
  g_mutex_lock (&shim->lock);
  if (shim->wanted && shim->subscribed && shim->free_slots != 0) {
    slot = g_bit_nth_lsf (shim->free_slots, -1);
    shim->free_slots &= ~(1u << slot);
  }
  g_mutex_unlock (&shim->lock);
  if (!ok || slot < 0)
    return ok;
  ok = send_frame (shim, (guint) slot);
  g_mutex_lock (&shim->lock);
  shim->wanted = FALSE;
  g_cond_broadcast (&shim->cond);
  g_mutex_unlock (&shim->lock);
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
    g_mutex_lock (&shim->lock);
    stop = shim->stop;
    if (fds[1].revents && !stop)
      shim->accepted++;
    g_mutex_unlock (&shim->lock);
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
  forget_pool (shim);
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
  shim->fd = -1;
  g_mutex_init (&shim->lock);
  g_cond_init (&shim->cond);
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
  g_mutex_lock (&shim->lock);
  shim->stop = TRUE;
  g_mutex_unlock (&shim->lock);
  helix_wakeup_raise (shim->wakeup);
  g_thread_join (shim->thread);
  close (shim->listener);
  helix_wakeup_close (shim->wakeup);
  g_mutex_clear (&shim->lock);
  g_cond_clear (&shim->cond);
  g_free (shim);
}

static gint64
until (void)
{
  return g_get_monotonic_time () + WAIT_S * G_TIME_SPAN_SECOND;
}

gboolean
fake_shim_wait_subscribed (FakeShim *shim)
{
  gint64 end = until ();
  gboolean ok = TRUE;

  g_mutex_lock (&shim->lock);
  while (!shim->subscribed && ok)
    ok = g_cond_wait_until (&shim->cond, &shim->lock, end);
  g_mutex_unlock (&shim->lock);
  return ok;
}

gboolean
fake_shim_send (
    FakeShim *shim, guint32 number, const struct helix_rect *rects, guint n)
{
  gint64 end = until ();
  gboolean ok = TRUE;

  g_mutex_lock (&shim->lock);
  shim->wanted = TRUE;
  shim->number = number;
  shim->n_rects = n;
  if (n > 0)
    memcpy (shim->rects, rects, n * sizeof *rects);
  helix_wakeup_raise (shim->wakeup);
  while (shim->wanted && ok)
    ok = g_cond_wait_until (&shim->cond, &shim->lock, end);
  shim->wanted = FALSE;
  g_mutex_unlock (&shim->lock);
  return ok;
}

void
fake_shim_resize (FakeShim *shim, guint width, guint height, guint32 fourcc)
{
  /* The thread looks at these only when a frame is wanted or a message came;
   * the lock in fake_shim_send () orders the rest. */
  g_mutex_lock (&shim->lock);
  shim->config.width = width;
  shim->config.height = height;
  shim->config.fourcc = fourcc;
  shim->stale_pool = TRUE;
  g_mutex_unlock (&shim->lock);
}

guint
fake_shim_wait_free_slots (FakeShim *shim, guint wanted)
{
  gint64 end = until ();
  gboolean ok = TRUE;
  guint count;

  g_mutex_lock (&shim->lock);
  do
    count = (guint) __builtin_popcount (shim->free_slots);
  while (count != wanted && ok
      && (ok = g_cond_wait_until (&shim->cond, &shim->lock, end)));
  g_mutex_unlock (&shim->lock);
  return count;
}

guint
fake_shim_accepted (FakeShim *shim)
{
  guint accepted;

  g_mutex_lock (&shim->lock);
  accepted = shim->accepted;
  g_mutex_unlock (&shim->lock);
  return accepted;
}

struct helix_subscribe
fake_shim_subscription (FakeShim *shim)
{
  struct helix_subscribe subscribe;

  g_mutex_lock (&shim->lock);
  subscribe = shim->subscribe;
  g_mutex_unlock (&shim->lock);
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

  g_unlink (path);
  g_rmdir (dir);
  g_free (dir);
  g_free (path);
}
