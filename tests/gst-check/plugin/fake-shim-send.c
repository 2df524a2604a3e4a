/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-shim-private.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "helix-marker.h"
#include "helix-pack.h"
#include "helix-platform.h"
#include "hostile-fd.h"

gboolean
fake_send_all (FakeShim *shim, const void *bytes, gsize size, int pass)
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

void
fake_forget_pool (FakeShim *shim)
{
  if (shim->map != NULL)
    helix_shm_unmap (shim->map, shim->map_size);
  shim->map = NULL;
  if (shim->cut_fd >= 0)
    close (shim->cut_fd);
  shim->cut_fd = -1;
}

/* POOL with `fd`, as far as it is to be right. */
static gboolean
announce_pool (FakeShim *shim, struct helix_pool *pool, int fd)
{
  guint8 message[HELIX_MAX_MESSAGE];
  gsize size;

  if (shim->config.fault == FAKE_FRAME_FIRST)
    return TRUE;
  if (shim->config.fault == FAKE_POOL_CUT_OFF
      || shim->config.fault == FAKE_POOL_FILE)
    pool->kind = HELIX_POOL_FILE;
  if (shim->config.fault == FAKE_POOL_ENDLESS) {
    pool->slot_size = G_GUINT64_CONSTANT (1) << 40;
    pool->total_size = pool->slot_size * pool->slots;
  }
  size = helix_pack_pool (message, shim->channel, pool);
  if (shim->config.fault == FAKE_POOL_TWO)
    return hostile_fd_send_two (shim->fd, message, size, fd);
  return fake_send_all (shim, message, size,
      shim->config.fault == FAKE_POOL_WITHOUT_FD ? -1 : fd);
}

/* What SCANOUT says of the subscription. */
static void
describe (FakeShim *shim, gboolean off, struct helix_scanout *scanout)
{
  memset (scanout, 0, sizeof *scanout);
  scanout->scanout = shim->subscribe.scanout;
  scanout->generation = shim->generation;
  if (off)
    return;
  scanout->flags = HELIX_SCANOUT_ENABLED;
  scanout->generation = ++shim->generation;
  scanout->resource_id = 1;
  scanout->width = shim->config.width;
  scanout->height = shim->config.height;
  scanout->fourcc = shim->config.fourcc;
}

static gboolean
send_off (FakeShim *shim)
{
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_scanout scanout;

  fake_forget_pool (shim);
  pthread_mutex_lock (&shim->lock);
  shim->free_slots = 0;
  pthread_mutex_unlock (&shim->lock);
  describe (shim, TRUE, &scanout);
  return fake_send_all (
      shim, message, helix_pack_scanout (message, shim->channel, &scanout), -1);
}

/* In one write: a client that reads the first has the second as well. */
gboolean
fake_send_blink (FakeShim *shim)
{
  guint8 messages[2 * HELIX_MAX_MESSAGE];
  struct helix_scanout scanout;
  gsize size;

  describe (shim, TRUE, &scanout);
  size = helix_pack_scanout (messages, shim->channel, &scanout);
  describe (shim, FALSE, &scanout);
  size += helix_pack_scanout (messages + size, shim->channel, &scanout);
  return fake_send_all (shim, messages, size, -1);
}

gboolean
fake_send_pool (FakeShim *shim)
{
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_scanout scanout;
  struct helix_pool pool = {0};
  FakeConfig *config = &shim->config;
  bool sealed = false;
  int fd = -1, wrong;
  gboolean ok;

  if (config->off)
    return send_off (shim);
  fake_forget_pool (shim);
  describe (shim, FALSE, &scanout);
  pool.pool_id = ++shim->pool_id;
  pool.slots = config->slots;
  pool.slot_size =
      ((guint64) stride_of (shim) * config->height + 4095) & ~4095ull;
  pool.total_size = pool.slot_size * pool.slots;
  g_assert (helix_shm_create (pool.total_size, &shim->map, &fd, &sealed) == 0
      && helix_shm_populate (shim->map, pool.total_size) == 0);
  pool.kind = sealed ? HELIX_POOL_SEALED : HELIX_POOL_FILE;
  wrong = fake_pool_descriptor (shim, pool.total_size);
  if (wrong >= 0) {
    close (fd);
    fd = wrong;
  }
  shim->slot_size = pool.slot_size;
  shim->map_size = pool.total_size;
  pthread_mutex_lock (&shim->lock);
  shim->free_slots = (1u << config->slots) - 1;
  pthread_mutex_unlock (&shim->lock);

  ok = fake_send_all (shim, message,
           helix_pack_scanout (message, shim->channel, &scanout), -1)
      && announce_pool (shim, &pool, fd);
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

static gsize
pack_short (guint8 *message, enum helix_type type)
{
  const struct helix_header header = {HELIX_MAGIC, (guint8) type, 0, 0, 1};

  helix_pack_header (message, &header);
  return HELIX_HEADER_SIZE + 1;
}

static gboolean
send_new_types (FakeShim *shim)
{
  const struct helix_header header = {HELIX_MAGIC, 0x60, 0, shim->channel, 4};
  guint8 message[HELIX_HEADER_SIZE + 4] = {0};

  helix_pack_header (message, &header);
  return fake_send_all (shim, message, sizeof message, -1)
      && fake_send_all (shim, message,
          helix_pack_empty (message, (enum helix_type) 0x20, 0), -1);
}

gboolean
fake_send_frame (FakeShim *shim, guint slot)
{
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_frame frame = {0};
  FakeConfig *config = &shim->config;
  guint8 *pixels = (guint8 *) shim->map + slot * shim->slot_size;
  gsize head;

  frame.capture_ns = helix_now_ns () - config->age_ns;
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
  frame.readback_ns =
      (guint32) (helix_now_ns () - config->age_ns - frame.capture_ns);
  frame.read_bytes = frame.stride * frame.height;
  spoil (shim, &frame, slot);
  head = helix_pack_frame (message, shim->channel, &frame, shim->rects);
  if (config->fault == FAKE_BYE && shim->sequence == 2)
    head = helix_pack_bye (message, HELIX_BYE_CLOSING, "the VM is off");
  if (config->fault == FAKE_IDLED && shim->sequence == 2)
    head = helix_pack_error (message, 0, HELIX_ERROR_TIMEOUT, 0, "not a byte");
  if (config->fault == FAKE_SHORT_PING || config->fault == FAKE_SHORT_PONG)
    head = pack_short (
        message, config->fault == FAKE_SHORT_PING ? HELIX_PING : HELIX_PONG);
  if (config->fault == FAKE_VANISH_MID_FRAME)
    head /= 2;
  if (config->fault == FAKE_NEW_TYPES && !send_new_types (shim))
    return FALSE;
  fake_pool_cut_off (shim);
  return fake_send_all (shim, message, head, -1)
      && config->fault != FAKE_VANISH_MID_FRAME
      && !((config->fault == FAKE_BYE || config->fault == FAKE_IDLED)
          && shim->sequence == 2);
}

gboolean
fake_send_cursor (FakeShim *shim)
{
  guint8 message[HELIX_MAX_MESSAGE];
  guint32 bulk = 0;

  if (shim->cursor.flags & HELIX_CURSOR_SHAPE)
    bulk = shim->cursor.width * shim->cursor.height * 4;
  return fake_send_all (shim, message,
             helix_pack_cursor (message, shim->channel, &shim->cursor, bulk),
             -1)
      && (bulk == 0 || fake_send_all (shim, shim->shape, bulk, -1));
}
