/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shim with a client that says anything at any time, while the screen
 * does what a guest may do. Both of the shim's threads are this one, a turn
 * at a time; each byte of the input chooses a deed: see deed ().
 *
 * One shim serves all inputs. After each the client is gone, and so must be
 * all that it had.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "fuzz-input.h"
#include "helix-platform.h"
#include "helix-shim-subscription.h"
#include "helix-sim-loop.h"

#define SCANOUTS 3
#define RESOURCES 4 /* ids 1.. */
#define LARGEST 256 /* pixels either way */
#define MOST_TURNS 1000
#define MOST_PENDING 16 /* more are complete at once */

static const struct fuzz_type to_shim[] = {
    {HELIX_PING, sizeof (struct helix_ping) / 4},
    {HELIX_PONG, sizeof (struct helix_pong) / 4},
    {HELIX_HELLO, sizeof (struct helix_hello) / 4},
    {HELIX_BYE, sizeof (struct helix_bye) / 4}, {HELIX_LIST, 0},
    {HELIX_ERROR, sizeof (struct helix_error) / 4},
    {HELIX_SUBSCRIBE, sizeof (struct helix_subscribe) / 4},
    {HELIX_UNSUBSCRIBE, 0}, {HELIX_RELEASE, sizeof (struct helix_release) / 4},
    {HELIX_SET_SCANOUT, sizeof (struct helix_set_scanout) / 4},
    {HELIX_SHOW, sizeof (struct helix_show) / 4},
    {HELIX_CONFIG, sizeof (struct helix_config) / 4},
    {HELIX_FRAME, sizeof (struct helix_frame) / 4}, {0x7f, 1}};

/* Sizes of resources; 0: it is gone, and must not be read. */
static struct {
  uint32_t width, height;
} resources[RESOURCES + 1];

/* Readbacks that are complete later, in any order. */
static struct helix_readback *pending[MOST_PENDING];
static unsigned n_pending;
static bool later; /* the next ones are */

static struct helix_shim *shim;
static struct helix_sim_loops loops;
static gchar *path;
static int peer = -1;

/* ---- the tables of functions ---- */

static void
fill_box (const struct helix_readback *readback, uint32_t i)
{
  const struct helix_rect *box = &readback->box[i];
  uint8_t *row = helix_readback_dst (readback, i);

  MUST (readback->stride >= box->width * 4);
  for (uint32_t y = 0; y < box->height; y++, row += readback->stride)
    memset (row, (int) readback->surface.resource_id, (size_t) box->width * 4);
}

static void
fill_boxes (const struct helix_readback *readback)
{
  for (uint32_t i = 0; i < readback->boxes; i++)
    fill_box (readback, i);
}

static bool
is_pending (const struct helix_surface *surface)
{
  for (unsigned i = 0; i < n_pending; i++)
    if (memcmp (&pending[i]->surface, surface, sizeof *surface) == 0)
      return true;
  return false;
}

/* The slot is that of one subscription. */
static bool
fits_its_slot (const struct helix_readback *readback)
{
  uint64_t size = (uint64_t) readback->stride * readback->surface.rect.height;
  unsigned slots = 0;

  for (guint i = 0; i < shim->subscriptions->len; i++) {
    const struct helix_shim_subscription *sub =
        g_ptr_array_index (shim->subscriptions, i);
    const struct helix_shim_fill *fill = &sub->fill;

    /* The request is what a helix_shim_readback begins with. */
    if ((const void *) fill->readback == (const void *) readback)
      slots += fill->slot < fill->memory->slots
          && size <= fill->memory->slot_size
          && readback->dst
              == helix_shim_memory_pixels (fill->memory, fill->slot);
  }
  return slots == 1 && readback->stride >= readback->surface.rect.width * 4;
}

static enum helix_read
read_pixels (void *opaque, struct helix_readback *readback, const char **why)
{
  const struct helix_rect *shown = &readback->surface.rect;
  uint32_t id = readback->surface.resource_id;

  MUST (id > 0 && id <= RESOURCES && resources[id].width > 0);
  MUST (readback->boxes > 0 && readback->boxes <= HELIX_MAX_RECTS);
  MUST (!is_pending (&readback->surface));
  MUST ((uint64_t) shown->x + shown->width <= resources[id].width);
  MUST ((uint64_t) shown->y + shown->height <= resources[id].height);
  for (uint32_t i = 0; i < readback->boxes; i++) {
    const struct helix_rect *box = &readback->box[i];

    MUST (box->x >= shown->x && box->y >= shown->y);
    MUST ((uint64_t) box->x + box->width <= shown->x + shown->width);
    MUST ((uint64_t) box->y + box->height <= shown->y + shown->height);
    MUST (box->width > 0 && box->height > 0);
  }
  MUST (fits_its_slot (readback));
  if (later && n_pending < MOST_PENDING) {
    pending[n_pending++] = readback;
    return HELIX_READ_PENDING;
  }
  if (id == RESOURCES) {
    *why = "this one cannot be read";
    return HELIX_READ_FAILED;
  }
  fill_boxes (readback);
  return HELIX_READ_DONE;
}

static bool
get_resource (void *opaque, uint32_t id, struct helix_surface *surface)
{
  if (id == 0 || id > RESOURCES || resources[id].width == 0)
    return false;
  memset (surface, 0, sizeof *surface);
  surface->resource_id = id;
  surface->rect.width = resources[id].width;
  surface->rect.height = resources[id].height;
  surface->fourcc = HELIX_FOURCC_BGRX;
  return true;
}

static bool
set_scanout (
    void *opaque, const struct helix_set_scanout *set, const char **why)
{
  MUST (set->scanout < SCANOUTS);
  *why = "one in two is refused";
  return set->width & 1;
}

static void
take_log (void *opaque, enum helix_log_level level, const char *line)
{
  MUST (strlen (line) < 4096);
}

/* The shim's lock is never held across a call that may be a system's. */
static void
must_be_unlocked (void)
{
  MUST (pthread_mutex_trylock (&shim->lock) == 0);
  pthread_mutex_unlock (&shim->lock);
}

static void
wake_io (void *opaque)
{
  must_be_unlocked ();
  helix_sim_loop_ops.wake_io (opaque);
}

static void
wake_display (void *opaque)
{
  must_be_unlocked ();
  helix_sim_loop_ops.wake_display (opaque);
}

/* ---- life ---- */

static void
turn (unsigned count)
{
  while (count-- > 0) {
    g_main_context_iteration (loops.io.context, FALSE);
    g_main_context_iteration (loops.display.context, FALSE);
  }
}

static void
clean_up (void)
{
  gchar *folder = g_path_get_dirname (path);
  gchar *lock = g_strconcat (path, ".lock", NULL);
  gchar *registry = g_build_filename (folder, "gst-helix", NULL);

  helix_shim_io_stop (shim);
  helix_shim_free (shim);
  helix_sim_loops_clear (&loops);
  g_unlink (lock);
  g_rmdir (registry);
  g_rmdir (folder);
  g_free (registry);
  g_free (lock);
  g_free (folder);
  g_free (path);
}

static void
start (void)
{
  static const struct helix_display_ops display_ops = {.read = read_pixels,
      .resource = get_resource,
      .set_scanout = set_scanout,
      .log = take_log};
  struct helix_shim_config config = {.name = "fuzz",
      .scanouts = SCANOUTS,
      .scanout_mask = 0xffff,
      .slots = 3,
      .max_clients = 2,
      .max_width = LARGEST,
      .max_height = LARGEST,
      .max_memory = 8 * LARGEST * LARGEST * 4};
  struct helix_loop_ops loop_ops = helix_sim_loop_ops;
  gchar *folder = g_dir_make_tmp ("helix-fuzz-XXXXXX", NULL);
  char *error = NULL;

  MUST (folder != NULL);
  g_setenv ("XDG_RUNTIME_DIR", folder, TRUE);
  path = g_build_filename (folder, "helix.sock", NULL);
  g_free (folder);
  config.path = path;
  helix_sim_loops_init (&loops, NULL);
  loop_ops.wake_io = wake_io;
  loop_ops.wake_display = wake_display;
  shim = helix_shim_new (&config, &display_ops, NULL, &loop_ops, &loops);
  loops.shim = shim;
  if (!helix_shim_listen (shim, &error)) {
    fprintf (stderr, "%s\n", error);
    abort ();
  }
  atexit (clean_up);
}

static void
connect_peer (void)
{
  if (peer >= 0)
    close (peer);
  turn (1); /* or the queue of connections gets full */
  peer = helix_socket (AF_UNIX);
  MUST (peer >= 0 && helix_unix_connect (peer, path) == 0);
}

static void
send_bytes (const uint8_t *bytes, size_t size)
{
  /* A client that was refused connects again; what does not fit is lost. */
  if (size > 0 && send (peer, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0
      && errno != EAGAIN)
    connect_peer ();
}

static void
drain_peer (size_t most)
{
  uint8_t bytes[65536];

  /* Descriptors that came along are closed by the kernel. */
  while (most-- > 0 && recv (peer, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
    ;
}

/* ---- deeds ---- */

static void
say_hello (uint8_t how)
{
  const struct helix_hello hello = {.version_min = 1,
      .version_max = 1,
      .role = HELIX_ROLE_FRAMES,
      .features = how & 1,
      .nonce = 7};
  uint8_t message[HELIX_MAX_MESSAGE];

  send_bytes (message, helix_pack_hello (message, &hello, "fuzz"));
}

static void
subscribe (struct fuzz_input *in)
{
  uint8_t how = fuzz_byte (in);
  const struct helix_subscribe request = {
      .scanout = how & 8 ? HELIX_NONE32 : how & 3,
      .resource_id = how & 8 ? how & 7 : 0,
      .rate_num = how >> 6,
      .rate_den = 1,
      .slots = (how >> 4) & 3 ? 2 + ((how >> 4) & 3) : 0,
      .flags = how & 32 ? HELIX_SUBSCRIBE_CURSOR : 0};
  uint8_t message[HELIX_MAX_MESSAGE];

  send_bytes (
      message, helix_pack_subscribe (message, fuzz_byte (in) & 3, &request));
}

static void
release (struct fuzz_input *in)
{
  uint8_t how = fuzz_byte (in);
  const struct helix_release release = {.pool_id = how >> 3, .slot = how & 7};
  uint8_t message[HELIX_MAX_MESSAGE];

  send_bytes (
      message, helix_pack_release (message, fuzz_byte (in) & 3, &release));
}

static void
show (struct fuzz_input *in)
{
  uint8_t how = fuzz_byte (in);
  const struct helix_show show = {how & 7, 0, HELIX_NONE64};
  uint8_t message[HELIX_MAX_MESSAGE];

  send_bytes (message, helix_pack_show (message, (how >> 3) & 3, &show));
}

/* A resource comes, goes or is drawn on; whole, in part, or out of it. */
static void
touch_resource (struct fuzz_input *in)
{
  uint8_t how = fuzz_byte (in);
  uint32_t id = 1 + (how & 3);
  struct helix_rect rect = {
      fuzz_byte (in), fuzz_byte (in), fuzz_byte (in), fuzz_byte (in)};

  if (how & 4) {
    helix_shim_display_unref (shim, id);
    resources[id].width = 0;
  }
  if (how & 8) {
    if (resources[id].width > 0)
      helix_shim_display_unref (shim, id);
    resources[id].width = 1 + rect.width;
    resources[id].height = 1 + rect.height;
  }
  if (resources[id].width > 0) {
    rect.x %= resources[id].width;
    rect.y %= resources[id].height;
    rect.width = MIN (rect.width, resources[id].width - rect.x);
    rect.height = MIN (rect.height, resources[id].height - rect.y);
    helix_shim_display_flush (shim, id, &rect);
  }
}

static void
show_scanout (struct fuzz_input *in)
{
  uint8_t how = fuzz_byte (in);
  struct helix_surface surface;

  if (!get_resource (NULL, 1 + ((how >> 2) & 3), &surface)) {
    helix_shim_display_scanout (shim, how % SCANOUTS, NULL);
    return;
  }
  if (how & 16)
    surface.rect.width = (surface.rect.width + 1) / 2;
  if (how & 32) {
    surface.rect.y = surface.rect.height / 2;
    surface.rect.height -= surface.rect.y;
  }
  helix_shim_display_scanout (shim, how % SCANOUTS, &surface);
}

static void
move_cursor (struct fuzz_input *in)
{
  static const uint8_t pixels[64 * 64 * 4];
  uint8_t how = fuzz_byte (in);
  const struct helix_cursor_shape shape = {
      1 + how % 64, 1 + how / 4, how % 64, 0, pixels};

  helix_shim_display_cursor (shim, how % SCANOUTS, how & 4, how - 100,
      100 - how, how & 8 ? &shape : NULL);
}

/* More than may be exported (see start ()); nothing reads it. */
static void
show_too_large (struct fuzz_input *in)
{
  uint8_t how = fuzz_byte (in);
  const struct helix_surface surface = {1 + ((how >> 2) & 3),
      {0, 0, LARGEST + 1 + (how >> 4), LARGEST}, HELIX_FOURCC_BGRX};

  helix_shim_display_scanout (shim, how % SCANOUTS, &surface);
}

/* The VM migrates away and comes back: the socket goes and comes. */
static void
migrate (void)
{
  helix_shim_serve (shim, false);
  turn (2);
  MUST (!g_file_test (path, G_FILE_TEST_EXISTS));
  helix_shim_serve (shim, true);
  turn (2);
  connect_peer ();
}

/* Its resource, client and memory may be gone, or others by now. */
static void
complete (unsigned index, bool good)
{
  struct helix_readback *readback = pending[index];

  pending[index] = pending[--n_pending];
  fill_boxes (readback);
  helix_shim_display_read_done (shim, readback, good ? NULL : "it failed");
}

/* Readbacks are complete later from here on, or at once; or one is complete. */
static void
change_readback (uint8_t how)
{
  if (how & 1)
    later = how & 2;
  else if (n_pending > 0)
    complete ((how >> 2) % n_pending, how & 2);
}

static void
deed (struct fuzz_input *in)
{
  uint8_t message[HELIX_MAX_MESSAGE];
  uint8_t how;

  switch (fuzz_byte (in) % 15) {
    case 0:
      send_bytes (
          message, fuzz_message (in, to_shim, G_N_ELEMENTS (to_shim), message));
      break;
    case 1:
      send_bytes (message, fuzz_raw (in, message));
      break;
    case 2:
      say_hello (fuzz_byte (in));
      break;
    case 3:
      subscribe (in);
      break;
    case 4:
      release (in);
      break;
    case 5:
      touch_resource (in);
      break;
    case 6:
      show_scanout (in);
      break;
    case 7:
      move_cursor (in);
      break;
    case 8:
      drain_peer (fuzz_byte (in));
      break;
    case 9:
      turn (1 + fuzz_byte (in) % 8);
      break;
    case 10:
      helix_shim_display_reset (shim);
      memset (resources, 0, sizeof resources);
      break;
    case 11:
      connect_peer ();
      break;
    case 12:
      show (in);
      break;
    case 13:
      show_too_large (in);
      break;
    case 14:
      how = fuzz_byte (in);
      /* Seldom: it makes files, which takes as long as all else here. */
      if ((how & 15) == 0)
        migrate ();
      else
        change_readback (how >> 4);
      break;
  }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  struct fuzz_input in = {data, size};
  struct helix_shim_stats stats;
  unsigned turns = 0;

  if (shim == NULL)
    start ();
  for (uint32_t i = 1; i <= RESOURCES; i++)
    resources[i].width = resources[i].height = 16 * i;
  connect_peer ();
  say_hello (1);
  turn (2);
  later = false;
  while (in.left > 0)
    deed (&in);
  close (peer);
  peer = -1;
  helix_shim_display_reset (shim);
  memset (resources, 0, sizeof resources);
  do {
    MUST (turns++ < MOST_TURNS);
    turn (1);
    helix_shim_get_stats (shim, &stats);
  } while (stats.clients > 0 || stats.subscriptions > 0);
  MUST (stats.readbacks_pending == n_pending);
  while (n_pending > 0)
    complete (0, n_pending & 1);
  helix_shim_get_stats (shim, &stats);
  MUST (stats.readbacks_pending == 0);
  return 0;
}
