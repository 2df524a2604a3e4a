/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The client of a shim, helixqemusrc's connection, with a server that says
 * anything at any time, sends any descriptor, truncates its memory, reads at
 * any time, disconnects and reconnects.
 *
 * The first byte is skipped: it was a choice in earlier inputs. Each further
 * byte chooses a deed of the server or of the client: see deed ().
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gst/gst.h>

#include "fuzz-input.h"
#include "helix-platform.h"
#include "helix-frame-connection.h"
#include "hostile-fd.h"

GST_DEBUG_CATEGORY_EXTERN (helix_frames_debug);

/* What the client holds on to, as a pipeline does. */
#define HELD 12
#define SLOT_SIZE 8192u
/* ns between two looks at the signs of life: 0 to 6.4 s a deed. */
#define STEP_NS (25 * GST_MSECOND)

static GstMemory *held[HELD];

static HelixWaiter waiter;
static HelixFrameConnection *client;
static guint64 now;

static int server; /* its end */
static int memory; /* of its last pool, or -1 */
static struct helix_reader reader;
static struct helix_pool pool;
static guint64 sequence;

static void
close_memory (void)
{
  if (memory >= 0)
    close (memory);
  memory = -1;
}

static guint
count_fds (void)
{
  DIR *dir = opendir ("/dev/fd");
  guint n = 0;

  MUST (dir != NULL);
  while (readdir (dir) != NULL)
    n++;
  closedir (dir);
  return n;
}

/* ---- the server ---- */

static void
send_with (const uint8_t *bytes, size_t size, int fd)
{
  struct iovec iov = {(void *) bytes, size};

  /* What does not fit is lost: half a message, as when a peer dies. */
  if (size > 0)
    helix_send (server, &iov, 1, fd);
}

static guint16
channel_of (uint8_t how)
{
  return how & 0x80 ? how & 3 : client->channel;
}

static void
say_welcome (uint8_t how)
{
  const struct helix_welcome welcome = {.version = 1,
      .scanouts = 1 + (how & 1),
      .role = HELIX_ROLE_FRAMES,
      .features = how & 2 ? 0 : HELIX_FEATURE_SHM,
      .nonce = client->connection->proof.nonce};
  uint8_t message[HELIX_MAX_MESSAGE];

  send_with (message, helix_pack_welcome (message, &welcome, "fuzz", NULL), -1);
}

static void
say_scanout (uint8_t how)
{
  const struct helix_scanout scanout = {.flags = how & 1,
      .generation = how >> 4,
      .width = how & 1 ? 16 : 0,
      .height = how & 1 ? 16 : 0,
      .fourcc = how & 1 ? HELIX_FOURCC_BGRX : 0};
  uint8_t message[HELIX_MAX_MESSAGE];

  send_with (
      message, helix_pack_scanout (message, channel_of (how), &scanout), -1);
}

/* POOL, with any descriptor, none or two. */
static void
say_pool (struct fuzz_input *in)
{
  uint8_t how = fuzz_byte (in), what = fuzz_byte (in);
  uint8_t message[HELIX_MAX_MESSAGE];
  gsize size;

  pool.pool_id++;
  pool.kind = how & 3;
  pool.slots = 2 + (how >> 2 & 7);
  pool.slot_size = how & 0x20 ? 256u << 20 : SLOT_SIZE;
  pool.total_size = pool.slot_size * pool.slots;
  size = helix_pack_pool (message, channel_of (how), &pool);
  close_memory ();
  if (what < 0xf0) /* a small one, whatever POOL says of it */
    memory = hostile_fd_open (
        what % HOSTILE_FD_KINDS, (gsize) SLOT_SIZE * (1 + what / 32));
  if (what & 0x10 && memory >= 0)
    hostile_fd_send_two (server, message, size, memory);
  else
    send_with (message, size, memory);
}

/* FRAME, as the last POOL has it, or nearly so, and with bytes behind it. */
static void
say_frame (struct fuzz_input *in)
{
  static const uint8_t more[16];
  uint8_t how = fuzz_byte (in), size = fuzz_byte (in);
  const struct helix_frame frame = {.sequence = ++sequence,
      .capture_ns = how & 0x20 ? 1 : helix_now_ns (),
      .generation = how >> 4,
      .pool_id = pool.pool_id - (size == 0xff),
      .slot = how & 7,
      .width = 1 + size % 64,
      .height = 1 + size / 4,
      .stride = 4 * (1 + size % 64),
      .fourcc = HELIX_FOURCC_BGRX,
      .rects = how >> 4 & 1};
  const struct helix_rect rect = {0, 0, 1, 1};
  uint8_t message[HELIX_MAX_MESSAGE];

  send_with (
      message, helix_pack_frame (message, channel_of (how), &frame, &rect), -1);
  send_with (more, how & 0x40 ? sizeof more : 0, -1);
}

static void
say_cursor (struct fuzz_input *in)
{
  static const uint8_t pixels[16 * 16 * 4];
  uint8_t how = fuzz_byte (in);
  const struct helix_cursor cursor = {.flags = how & 3,
      .serial = 1 + (how >> 6),
      .width = how & 2 ? 1 + (how >> 2 & 15) : 0,
      .height = how & 2 ? 16 : 0};
  uint32_t bulk = cursor.width * cursor.height * 4;
  uint8_t message[HELIX_MAX_MESSAGE];

  send_with (
      message, helix_pack_cursor (message, client->channel, &cursor, bulk), -1);
  send_with (pixels, bulk, -1);
}

/* Takes pages of its memory away, as far as it can. */
static void
cut_off (uint8_t how)
{
  if (memory < 0)
    return;
#ifdef FALLOC_FL_PUNCH_HOLE
  if (how & 1) {
    (void) !fallocate (
        memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SLOT_SIZE * 8);
    return;
  }
#endif
  (void) !ftruncate (memory, how & 2 ? 0 : SLOT_SIZE);
}

static const struct fuzz_type to_client[] = {
    {HELIX_PING, sizeof (struct helix_ping) / 4},
    {HELIX_PONG, sizeof (struct helix_pong) / 4},
    {HELIX_WELCOME, sizeof (struct helix_welcome) / 4},
    {HELIX_ERROR, sizeof (struct helix_error) / 4},
    {HELIX_BYE, sizeof (struct helix_bye) / 4},
    {HELIX_STATUS, sizeof (struct helix_status) / 4},
    {HELIX_SCANOUT, sizeof (struct helix_scanout) / 4},
    {HELIX_POOL, sizeof (struct helix_pool) / 4},
    {HELIX_FRAME, sizeof (struct helix_frame) / 4},
    {HELIX_CURSOR, sizeof (struct helix_cursor) / 4}, {0x7f, 1}};

/* What the client says is well-formed, whatever it was told; a RELEASE is of a
 * slot that there is. */
static void
hear_client (guint most)
{
  struct helix_release release;
  const char *why;

  while (most-- > 0) {
    uint8_t *ptr;
    size_t len;
    ssize_t n;

    helix_reader_want (&reader, &ptr, &len);
    n = recv (server, ptr, len, MSG_DONTWAIT);
    if (n <= 0)
      break;
    switch (helix_reader_got (&reader, (size_t) n)) {
      case HELIX_READER_MESSAGE:
        if (reader.header.type != HELIX_RELEASE)
          break;
        MUST (helix_unpack_release (
            &release, reader.payload, reader.payload_size, &why));
        MUST (release.slot < HELIX_MAX_SLOTS);
        break;
      case HELIX_READER_ERROR:
      case HELIX_READER_HEAD:
        MUST (!"the client sent a message that is none");
        break;
      case HELIX_READER_MORE:
        break;
    }
  }
}

/* ---- the client ---- */

static void
connect_client (void)
{
  const HelixFrameRequest request = {.rate_den = 1};
  int pair[2];

  if (client != NULL) {
    helix_frame_connection_free (client);
    close (server);
  }
  MUST (socketpair (AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  MUST (helix_fd_prepare (pair[0]) == 0 && helix_fd_prepare (pair[1]) == 0);
  server = pair[1];
  helix_reader_init (&reader);
  close_memory ();
  memset (&pool, 0, sizeof pool);
  sequence = 0;
  client =
      helix_frame_connection_new (pair[0], "fuzz", "fuzz", &request, &waiter);
  now = helix_now_ns ();
}

static void
let_go (guint i)
{
  g_clear_pointer (&held[i], gst_memory_unref);
}

/* Reads every byte of the picture, which cannot be cut off. */
static void
look_at (const HelixFrame *frame)
{
  const volatile guint8 *pixels = frame->pixels;
  gsize size = (gsize) frame->info.stride * frame->info.height;

  MUST (size <= HELIX_MAX_FRAME_BYTES);
  MUST (frame->info.stride >= frame->info.width * 4);
  for (gsize i = 0; i < size; i++)
    (void) pixels[i];
}

static void
take_frame (HelixFrame *frame, uint8_t how)
{
  guint i = how % HELD;

  look_at (frame);
  let_go (i);
  if (how & 0xc0)
    held[i] = g_steal_pointer (&frame->memory);
  helix_frame_clear (frame);
}

static void
take_cursor (HelixCursor *cursor)
{
  if (cursor->image != NULL)
    MUST (gst_buffer_get_size (cursor->image)
        == (gsize) cursor->info.width * cursor->info.height * 4);
  helix_cursor_clear (cursor);
}

/* FALSE: the connection is over. */
static gboolean
read_client (uint8_t how)
{
  HelixFramesResult result;
  GError *error = NULL;
  HelixCursor cursor;
  HelixFrame frame;

  result = helix_frame_connection_read (
      client, how & 1 ? GST_SECOND : 0, &frame, &cursor, &error);
  MUST ((error != NULL) == (result >= HELIX_FRAMES_WARNING));
  g_clear_error (&error);
  if (result == HELIX_FRAMES_FRAME)
    take_frame (&frame, how);
  else if (result == HELIX_FRAMES_CURSOR)
    take_cursor (&cursor);
  return result <= HELIX_FRAMES_WARNING;
}

static gboolean
tick (struct fuzz_input *in)
{
  now += fuzz_byte (in) * STEP_NS;
  return helix_connection_tick (client->connection, now) != 0
      || read_client (0);
}

static void
subscribe (uint8_t how)
{
  HelixFrameRequest request = client->request;

  request.scanout = how & 1;
  request.resource_id = how >> 1 & 3;
  helix_frame_connection_subscribe (client, &request);
}

/* FALSE: the connection is over. */
static gboolean
deed (struct fuzz_input *in)
{
  uint8_t message[HELIX_MAX_MESSAGE];

  switch (fuzz_byte (in) % 14) {
    case 0:
      send_with (message,
          fuzz_message (in, to_client, G_N_ELEMENTS (to_client), message), -1);
      break;
    case 1:
      send_with (message, fuzz_raw (in, message), -1);
      break;
    case 2:
      say_welcome (fuzz_byte (in));
      break;
    case 3:
      say_scanout (fuzz_byte (in));
      break;
    case 4:
      say_pool (in);
      break;
    case 5:
      say_frame (in);
      break;
    case 6:
      say_cursor (in);
      break;
    case 7:
      cut_off (fuzz_byte (in));
      break;
    case 8:
      hear_client (fuzz_byte (in));
      break;
    case 9:
      return read_client (fuzz_byte (in));
    case 10:
      let_go (fuzz_byte (in) % HELD);
      break;
    case 11:
      subscribe (fuzz_byte (in));
      break;
    case 12:
      return tick (in);
    case 13:
      /* The server goes, in the middle of whatever it was. */
      shutdown (server, SHUT_WR);
      break;
  }
  return TRUE;
}

/* All was let go of: each slot that is not on its way is the server's again. */
static void
look_at_slots (void)
{
  if (client->pool != NULL)
    MUST (helix_slot_pool_free_slots (client->pool)
            + (client->newest.memory != NULL)
        >= client->pool->info.slots);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  struct fuzz_input in = {data, size};
  guint fds;

  gst_init (NULL, NULL);
  if (helix_frames_debug == NULL)
    GST_DEBUG_CATEGORY_INIT (helix_frames_debug, "helixframes", 0, "fuzzed");
  fuzz_byte (&in);
  fds = count_fds ();
  memory = -1;
  MUST (helix_waiter_init (&waiter));
  connect_client ();
  while (in.left > 0)
    if (!deed (&in))
      connect_client ();
  for (guint i = 0; i < HELD; i++)
    let_go (i);
  look_at_slots ();
  hear_client (G_MAXUINT);
  g_clear_pointer (&client, helix_frame_connection_free);
  helix_waiter_clear (&waiter);
  close (server);
  close_memory ();
  MUST (count_fds () == fds);
  return 0;
}
