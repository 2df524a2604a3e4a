/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One thread takes connections and answers what clients send; the test's calls
 * send from the test's thread. All of it under one lock.
 */
#include "fake-shim.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "helix-marker.h"
#include "helix-platform.h"
#include "helix-reader.h"
#include "helix-test-folder.h"
#include "helix-waiter.h"
#include "hostile-fd.h"

#define WAIT_S 15

struct _FakeShim {
  int listener;
  HelixWaiter waiter;
  GThread *thread;

  pthread_mutex_t lock; /* of what follows; ThreadSanitizer knows no GMutex */
  pthread_cond_t cond;  /* something of it changed */
  FakeConfig config;
  gboolean stop, subscribed;
  guint accepted, subscribes, shows, pings, byes, errors;
  struct helix_subscribe subscribe; /* the last that was granted */
  struct helix_show show;           /* the last */
  guint free_slots;                 /* bit i */

  int fd; /* of the client, or -1; closed by the thread */
  struct helix_reader reader;
  guint16 channel;
  guint32 pool_id, generation;
  guint64 slot_size, sequence;
  void *map; /* of the pool */
  gsize map_size;
  int cut_fd; /* of the memory that FAKE_POOL_CUT_OFF cuts off, or -1 */
};

/* ---- sending; FALSE: the client is gone, or to be got rid of ---- */

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

static guint
stride_of (FakeShim *shim)
{
  return shim->config.stride ? shim->config.stride : shim->config.width * 4;
}

static void
forget_pool (FakeShim *shim)
{
  if (shim->map != NULL)
    helix_shm_unmap (shim->map, shim->map_size);
  shim->map = NULL;
  if (shim->cut_fd >= 0)
    close (shim->cut_fd);
  shim->cut_fd = -1;
}

/* A descriptor that is not what POOL says of it; -1 = nothing is wrong with it.
 * What else may be wrong is tested at helix_shm_open (). */
static int
wrong_descriptor (FakeShim *shim, gsize size)
{
  switch (shim->config.fault) {
    case FAKE_POOL_UNSEALED:
      return hostile_fd_open (HOSTILE_FD_UNSEALED, size);
    case FAKE_POOL_HUGE:
      return hostile_fd_open (HOSTILE_FD_HUGE, size);
    case FAKE_POOL_CUT_OFF:
      shim->cut_fd = hostile_fd_open (HOSTILE_FD_UNSEALED, size);
      return fcntl (shim->cut_fd, F_DUPFD_CLOEXEC, 0);
    default:
      return -1;
  }
}

/* POOL with `fd`, as far as it is to be right. */
static gboolean
announce_pool (FakeShim *shim, struct helix_pool *pool, int fd)
{
  FakeFault fault = shim->config.fault;
  guint8 message[HELIX_MAX_MESSAGE];
  gsize size;

  if (fault == FAKE_FRAME_FIRST)
    return TRUE;
  if (fault == FAKE_POOL_CUT_OFF)
    pool->kind = HELIX_POOL_FILE;
  if (fault == FAKE_POOL_ENDLESS) {
    pool->slot_size = G_GUINT64_CONSTANT (1) << 40;
    pool->total_size = pool->slot_size * pool->slots;
  }
  size = helix_pack_pool (message, shim->channel, pool);
  if (fault == FAKE_POOL_TWO)
    return hostile_fd_send_two (shim->fd, message, size, fd);
  return send_all (
      shim, message, size, fault == FAKE_POOL_WITHOUT_FD ? -1 : fd);
}

/* Packs what SCANOUT says of the subscription. */
static gsize
pack_scanout (FakeShim *shim, guint8 *message, gboolean off)
{
  struct helix_scanout scanout = {
      .scanout = shim->subscribe.scanout, .generation = shim->generation};

  if (!off) {
    scanout.flags = HELIX_SCANOUT_ENABLED;
    scanout.generation = ++shim->generation;
    scanout.resource_id = 1;
    scanout.width = shim->config.width;
    scanout.height = shim->config.height;
    scanout.fourcc = shim->config.fourcc;
  }
  return helix_pack_scanout (message, shim->channel, &scanout);
}

/* SCANOUT, and POOL if it is on. */
static gboolean
send_scanout (FakeShim *shim)
{
  guint8 message[HELIX_MAX_MESSAGE];
  FakeConfig *config = &shim->config;
  struct helix_pool pool = {0};
  int fd = -1, wrong;
  gboolean ok;

  forget_pool (shim);
  shim->free_slots = 0;
  if (!send_all (shim, message, pack_scanout (shim, message, config->off), -1))
    return FALSE;
  if (config->off)
    return TRUE;
  pool.pool_id = ++shim->pool_id;
  pool.slots = config->slots;
  pool.slot_size = shim->slot_size =
      ((guint64) stride_of (shim) * config->height + 4095) & ~4095ull;
  pool.total_size = shim->map_size = pool.slot_size * pool.slots;
  g_assert (helix_shm_create (pool.total_size, &shim->map, &fd) == 0
      && helix_shm_populate (shim->map, pool.total_size) == 0);
  pool.kind = helix_shm_is_sealed () ? HELIX_POOL_SEALED : HELIX_POOL_FILE;
  wrong = wrong_descriptor (shim, pool.total_size);
  if (wrong >= 0) {
    close (fd);
    fd = wrong;
  }
  shim->free_slots = (1u << config->slots) - 1;
  ok = announce_pool (shim, &pool, fd);
  close (fd);
  return ok;
}

static void
spoil (FakeShim *shim, struct helix_frame *frame)
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
send_new_types (FakeShim *shim)
{
  const struct helix_header header = {HELIX_MAGIC, 0x60, 0, shim->channel, 4};
  guint8 message[HELIX_HEADER_SIZE + 4] = {0};

  helix_pack_header (message, &header);
  return send_all (shim, message, sizeof message, -1)
      && send_all (shim, message,
          helix_pack_empty (message, (enum helix_type) 0x20, 0), -1);
}

static void
paint (FakeShim *shim, guint8 *pixels, guint32 number)
{
  FakeConfig *config = &shim->config;

  if (config->paint != NULL)
    config->paint (
        pixels, config->width, config->height, stride_of (shim), number);
  else if (config->width >= HELIX_MARKER_WIDTH
      && config->height >= HELIX_MARKER_HEIGHT)
    helix_marker_draw (pixels, stride_of (shim), number);
}

/* FRAME, or what comes in its place. */
static gboolean
send_frame (FakeShim *shim, guint32 number, const struct helix_rect *rects,
    guint n, guint slot)
{
  FakeConfig *config = &shim->config;
  struct helix_frame frame = {.sequence = ++shim->sequence,
      .capture_ns = helix_now_ns () - config->age_ns,
      .scanout = shim->subscribe.scanout,
      .resource_id = 1,
      .generation = shim->generation,
      .pool_id = shim->pool_id,
      .slot = slot,
      .width = config->width,
      .height = config->height,
      .stride = stride_of (shim),
      .fourcc = config->fourcc,
      .rects = n,
      .read_bytes = stride_of (shim) * config->height};
  gboolean second = frame.sequence == 2;
  guint8 message[HELIX_MAX_MESSAGE];
  gsize size;

  paint (shim, (guint8 *) shim->map + slot * shim->slot_size, number);
  frame.readback_ns =
      (guint32) (helix_now_ns () - config->age_ns - frame.capture_ns);
  spoil (shim, &frame);
  size = helix_pack_frame (message, shim->channel, &frame, rects);
  if (config->fault == FAKE_BYE && second)
    size = helix_pack_bye (message, HELIX_BYE_CLOSING, "the VM is off");
  if (config->fault == FAKE_IDLED && second)
    size = helix_pack_error (message, 0, HELIX_ERROR_TIMEOUT, 0, "not a byte");
  if (config->fault == FAKE_VANISH_MID_FRAME)
    size /= 2;
  if (config->fault == FAKE_NEW_TYPES && !send_new_types (shim))
    return FALSE;
  if (shim->cut_fd >= 0)
    g_assert (ftruncate (shim->cut_fd, 0) == 0);
  return send_all (shim, message, size, -1)
      && config->fault != FAKE_VANISH_MID_FRAME
      && !(
          (config->fault == FAKE_BYE || config->fault == FAKE_IDLED) && second);
}

/* ---- receiving; the thread; FALSE likewise ---- */

static void
hang_up (FakeShim *shim)
{
  if (shim->fd >= 0)
    close (shim->fd);
  shim->fd = -1;
  shim->subscribed = FALSE;
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
  return send_all (shim, message, size,
      shim->config.fault == FAKE_STRAY_FD ? shim->listener : -1);
}

static gboolean
refuse (FakeShim *shim, enum helix_error_code code, const gchar *text)
{
  guint8 message[HELIX_MAX_MESSAGE];

  shim->subscribes += shim->reader.header.type == HELIX_SUBSCRIBE;
  return send_all (shim, message,
      helix_pack_error (message, shim->reader.header.channel, code,
          shim->reader.header.type, text),
      -1);
}

static gboolean
take_subscribe (FakeShim *shim)
{
  struct helix_subscribe subscribe;
  const char *why;

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
  shim->sequence = 0;
  shim->channel = shim->reader.header.channel;
  shim->subscribes++;
  shim->subscribe = subscribe;
  shim->subscribed = TRUE;
  return send_scanout (shim);
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
  g_assert (!(shim->free_slots >> release.slot & 1));
  shim->free_slots |= 1u << release.slot;
  return TRUE;
}

static gboolean
take_show (FakeShim *shim)
{
  const char *why;

  if (!helix_unpack_show (
          &shim->show, shim->reader.payload, shim->reader.payload_size, &why))
    return FALSE;
  shim->shows++;
  return shim->reader.header.channel == shim->channel
      && (shim->show.resource_id < FAKE_NO_RESOURCE
          || refuse (shim, HELIX_ERROR_NO_RESOURCE, "no such resource"));
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
    case HELIX_SHOW:
      return take_show (shim);
    case HELIX_PING:
      shim->pings++;
      return send_all (shim, message,
          helix_pack_pong_for (
              message, &shim->reader.header, shim->reader.payload, 0, 0),
          -1);
    case HELIX_ERROR:
      shim->errors++;
      return TRUE;
    case HELIX_BYE:
      shim->byes++;
      return FALSE;
    default:
      return TRUE;
  }
}

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

static gpointer
run (gpointer data)
{
  FakeShim *shim = data;

  pthread_mutex_lock (&shim->lock);
  while (!shim->stop) {
    struct pollfd fds[3] = {
        {.fd = shim->waiter.wakeup[0], .events = POLLIN},
        {.fd = shim->fd < 0 ? shim->listener : -1, .events = POLLIN},
        {.fd = shim->fd, .events = POLLIN},
    };

    pthread_mutex_unlock (&shim->lock);
    poll (fds, 3, -1);
    pthread_mutex_lock (&shim->lock);
    if (fds[1].revents && !shim->stop) {
      shim->accepted++;
      shim->fd = helix_accept (shim->listener);
      helix_reader_init (&shim->reader);
    }
    if (fds[2].revents && !take_bytes (shim))
      hang_up (shim);
    pthread_cond_broadcast (&shim->cond);
  }
  hang_up (shim);
  forget_pool (shim);
  pthread_mutex_unlock (&shim->lock);
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
  g_assert (helix_waiter_init (&shim->waiter));
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
  helix_waiter_wake (&shim->waiter);
  g_thread_join (shim->thread);
  close (shim->listener);
  helix_waiter_clear (&shim->waiter);
  pthread_mutex_destroy (&shim->lock);
  pthread_cond_destroy (&shim->cond);
  g_free (shim);
}

/* The end of the client, where `ok` is FALSE: the thread sees it. */
static gboolean
keep (FakeShim *shim, gboolean ok)
{
  if (ok || shim->fd < 0)
    return ok;
  shim->subscribed = FALSE;
  shutdown (shim->fd, SHUT_RDWR);
  return FALSE;
}

/* Waits, with the lock, until `condition` or for WAIT_S. Returns the former. */
#define AWAIT(shim, condition) \
  ({ \
    guint64 end = helix_now_ns () + WAIT_S * G_GUINT64_CONSTANT (1000000000); \
\
    while (!(condition) \
        && helix_cond_wait_until (&(shim)->cond, &(shim)->lock, end) == 0) \
      continue; \
    (condition); \
  })

gboolean
fake_shim_wait_subscribed (FakeShim *shim)
{
  gboolean ok;

  pthread_mutex_lock (&shim->lock);
  ok = AWAIT (shim, shim->subscribed);
  pthread_mutex_unlock (&shim->lock);
  return ok;
}

/* Of the shim's counter at `counter`. */
static gboolean
wait_count (FakeShim *shim, const guint *counter, guint least)
{
  gboolean ok;

  pthread_mutex_lock (&shim->lock);
  ok = AWAIT (shim, *counter >= least);
  pthread_mutex_unlock (&shim->lock);
  return ok;
}

gboolean
fake_shim_wait_subscribes (FakeShim *shim, guint count)
{
  return wait_count (shim, &shim->subscribes, count);
}

gboolean
fake_shim_wait_byes (FakeShim *shim, guint count)
{
  return wait_count (shim, &shim->byes, count);
}

gboolean
fake_shim_send (
    FakeShim *shim, guint32 number, const struct helix_rect *rects, guint n)
{
  gboolean ok;
  gint slot;

  pthread_mutex_lock (&shim->lock);
  ok = AWAIT (shim, shim->subscribed && shim->free_slots != 0);
  if (ok) {
    slot = g_bit_nth_lsf (shim->free_slots, -1);
    shim->free_slots &= ~(1u << slot);
    keep (shim, send_frame (shim, number, rects, n, (guint) slot));
  }
  pthread_mutex_unlock (&shim->lock);
  return ok;
}

gboolean
fake_shim_cursor (
    FakeShim *shim, const struct helix_cursor *cursor, const guint8 *shape)
{
  guint32 bulk = cursor->flags & HELIX_CURSOR_SHAPE
      ? cursor->width * cursor->height * 4
      : 0;
  guint8 message[HELIX_MAX_MESSAGE];
  gboolean ok;

  pthread_mutex_lock (&shim->lock);
  ok = AWAIT (shim, shim->subscribed);
  if (ok)
    keep (shim,
        send_all (shim, message,
            helix_pack_cursor (message, shim->channel, cursor, bulk), -1)
            && send_all (shim, shape, bulk, -1));
  pthread_mutex_unlock (&shim->lock);
  return ok;
}

gboolean
fake_shim_wait_show (FakeShim *shim, guint count, struct helix_show *show)
{
  gboolean ok;

  pthread_mutex_lock (&shim->lock);
  ok = AWAIT (shim, shim->shows >= count);
  *show = shim->show;
  pthread_mutex_unlock (&shim->lock);
  return ok;
}

void
fake_shim_wait_pings (FakeShim *shim, guint more)
{
  pthread_mutex_lock (&shim->lock);
  more += shim->pings;
  g_assert (AWAIT (shim, shim->pings >= more));
  pthread_mutex_unlock (&shim->lock);
}

void
fake_shim_resize (FakeShim *shim, guint width, guint height, guint32 fourcc)
{
  pthread_mutex_lock (&shim->lock);
  shim->config.width = width;
  shim->config.height = height;
  shim->config.fourcc = fourcc;
  shim->config.off = FALSE;
  if (shim->subscribed)
    keep (shim, send_scanout (shim));
  pthread_mutex_unlock (&shim->lock);
}

void
fake_shim_off (FakeShim *shim)
{
  pthread_mutex_lock (&shim->lock);
  shim->config.off = TRUE;
  if (shim->subscribed)
    keep (shim, send_scanout (shim));
  pthread_mutex_unlock (&shim->lock);
}

void
fake_shim_blink (FakeShim *shim)
{
  guint8 messages[2 * HELIX_MAX_MESSAGE];
  gsize size;

  pthread_mutex_lock (&shim->lock);
  /* In one write: a client that reads the first has the second as well. */
  size = pack_scanout (shim, messages, TRUE);
  size += pack_scanout (shim, messages + size, FALSE);
  keep (shim, send_all (shim, messages, size, -1));
  pthread_mutex_unlock (&shim->lock);
}

void
fake_shim_vanish (FakeShim *shim)
{
  fake_shim_off (shim);
  pthread_mutex_lock (&shim->lock);
  keep (shim, FALSE);
  pthread_mutex_unlock (&shim->lock);
}

guint
fake_shim_wait_free_slots (FakeShim *shim, guint wanted)
{
  guint n;

  pthread_mutex_lock (&shim->lock);
  AWAIT (shim, (guint) __builtin_popcount (shim->free_slots) == wanted);
  n = (guint) __builtin_popcount (shim->free_slots);
  pthread_mutex_unlock (&shim->lock);
  return n;
}

/* `count` is one of `shim`'s. */
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
fake_shim_accepted (FakeShim *shim)
{
  return read_count (shim, &shim->accepted);
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
