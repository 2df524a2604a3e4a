/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A client of the shim that watches scanouts and their cursors, plugs monitors,
 * and prints a line for each thing that happens:
 *
 *   welcome NAME
 *   scanout N on WxH | scanout N off
 *   frame SCANOUT WxH number MARKER        ("number -": there is no marker)
 *   damaged SCANOUT at X,Y                 (--check: not the test picture)
 *   cursor SCANOUT at X,Y serial N | cursor SCANOUT hidden
 *   shape SCANOUT serial N WxH hot X,Y sum FNV1A
 *   error CODE TEXT
 *
 * Ends with 0 at the line that --until names, else when it is told to, with 1
 * when the shim hangs up, talks nonsense or lets the time-out pass.
 */
#include <errno.h>
#include <glib-unix.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest/helix-picture.h"
#include "helix-connection.h"
#include "helix-marker.h"
#include "helix-pack.h"
#include "helix-platform.h"

static gchar *socket_path, *until;
static gchar **scanouts, **sets;
static gchar *show_text;
static gboolean with_cursor, check;
static gchar *ppm;
static struct helix_show show = {.capture_ns = HELIX_NONE64};
static gint timeout_s;

static const GOptionEntry entries[] = {
    {"socket", 0, 0, G_OPTION_ARG_FILENAME, &socket_path,
        "The shim's socket (default: $HELIX_SOCKET)", "PATH"},
    {"scanout", 0, 0, G_OPTION_ARG_STRING_ARRAY, &scanouts,
        "Watch it (repeatable)", "N"},
    {"cursor", 0, 0, G_OPTION_ARG_NONE, &with_cursor, "Its cursor, too", NULL},
    {"set", 0, 0, G_OPTION_ARG_STRING_ARRAY, &sets,
        "Plug a monitor in, or out (repeatable)", "N:WxH|N:off"},
    {"show", 0, 0, G_OPTION_ARG_STRING, &show_text,
        "SHOW this resource RATE times a second on the first scanout's channel",
        "RESOURCE:RATE"},
    {"check", 0, 0, G_OPTION_ARG_NONE, &check,
        "Compare each frame with the test picture, whose bars are not shifted",
        NULL},
    {"ppm", 0, 0, G_OPTION_ARG_FILENAME, &ppm,
        "Keep the newest frame in FILE, as screendump of QEMU does", "FILE"},
    {"until", 0, 0, G_OPTION_ARG_STRING, &until,
        "End when a line begins with TEXT", "TEXT"},
    {"timeout", 0, 0, G_OPTION_ARG_INT, &timeout_s,
        "Seconds it may take (default: for ever)", "S"},
    {NULL, 0, 0, 0, NULL, NULL, NULL},
};

/* The slots of one subscription; its channel is the scanout + 1. */
struct pool {
  struct helix_pool pool;
  struct helix_shm shm; /* no bytes: there is none */
};

static HelixConnection *shim;
static const struct helix_reader *reader; /* of the shim's messages */
static struct pool pools[HELIX_MAX_SCANOUTS + 1];
static uint8_t *shape; /* pixels of the CURSOR being read */
static GMainLoop *loop;
static int status;

static void
end (int code)
{
  status = code;
  g_main_loop_quit (loop);
}

static void G_GNUC_PRINTF (1, 2) say (const char *format, ...)
{
  g_autofree gchar *line = NULL;
  va_list args;

  va_start (args, format);
  line = g_strdup_vprintf (format, args);
  va_end (args);
  puts (line);
  fflush (stdout);
  if (until != NULL && g_str_has_prefix (line, until))
    end (0);
}

static void G_GNUC_PRINTF (1, 2) give_up (const char *format, ...)
{
  va_list args;

  fputs ("helix-watch: ", stderr);
  va_start (args, format);
  vfprintf (stderr, format, args);
  va_end (args);
  fputc ('\n', stderr);
  end (1);
}

/* ---- talking: a few small messages, which the socket's buffer takes ---- */

static void
send_set (const char *text)
{
  struct helix_set_scanout set = {0};
  uint8_t message[HELIX_MAX_MESSAGE];
  int end_at = 0;

  if (sscanf (text, "%u:off%n", &set.scanout, &end_at) != 1 || end_at == 0
      || text[end_at] != '\0') {
    end_at = 0;
    if (sscanf (
            text, "%u:%ux%u%n", &set.scanout, &set.width, &set.height, &end_at)
            != 3
        || text[end_at] != '\0') {
      give_up ("--set %s is neither N:WxH nor N:off", text);
      return;
    }
  }
  helix_connection_send (shim, message, helix_pack_set_scanout (message, &set));
}

static void
send_subscribe (const char *text)
{
  uint32_t scanout = (uint32_t) strtoul (text, NULL, 10);
  struct helix_subscribe wish = {
      .scanout = scanout,
      .rate_den = 1,
      .flags = with_cursor ? HELIX_SUBSCRIBE_CURSOR : 0,
  };
  uint8_t message[HELIX_MAX_MESSAGE];

  if (scanout >= HELIX_MAX_SCANOUTS) {
    give_up ("--scanout %s is above %u", text, HELIX_MAX_SCANOUTS - 1);
    return;
  }
  helix_connection_send (shim, message,
      helix_pack_subscribe (message, (uint16_t) (scanout + 1), &wish));
}

static gboolean
on_show (gpointer data)
{
  uint8_t message[HELIX_MAX_MESSAGE];
  uint16_t channel = (uint16_t) (atoi (scanouts[0]) + 1);

  helix_connection_send (
      shim, message, helix_pack_show (message, channel, &show));
  return G_SOURCE_CONTINUE;
}

static void
begin_show (void)
{
  guint rate = 0;

  if (scanouts == NULL
      || sscanf (show_text, "%u:%u", &show.resource_id, &rate) != 2 || rate == 0
      || rate > 1000) {
    give_up (
        "--show %s is not RESOURCE:RATE, or there is no --scanout", show_text);
    return;
  }
  g_timeout_add (1000 / rate, on_show, NULL);
}

/* ---- listening ---- */

static void
on_welcome (void)
{
  say ("welcome %s", shim->name);
  for (gchar **set = sets; set != NULL && *set != NULL; set++)
    send_set (*set);
  for (gchar **one = scanouts; one != NULL && *one != NULL; one++)
    send_subscribe (*one);
  if (show_text != NULL)
    begin_show ();
}

static bool
on_scanout (const char **why)
{
  struct helix_scanout scanout;

  if (!helix_unpack_scanout (
          &scanout, reader->payload, reader->payload_size, why))
    return false;
  /* The subscription's own copy says the same. */
  if (reader->header.channel != 0)
    return true;
  if (scanout.flags & HELIX_SCANOUT_ENABLED)
    say ("scanout %u on %ux%u", scanout.scanout, scanout.width, scanout.height);
  else
    say ("scanout %u off", scanout.scanout);
  return true;
}

static bool
on_pool (const char **why)
{
  struct pool *pool = &pools[reader->header.channel];

  if (pool->shm.bytes != NULL)
    helix_shm_close (&pool->shm);
  if (!helix_unpack_pool (
          &pool->pool, reader->payload, reader->payload_size, why))
    return false;
  if (shim->passed_fd < 0) {
    *why = "POOL without its descriptor";
    return false;
  }
  return helix_shm_open (&pool->shm, shim->passed_fd,
      (size_t) pool->pool.total_size, pool->pool.kind == HELIX_POOL_SEALED,
      why);
}

/* Compares all that does not change from frame to frame: the bars, and the
 * black to the right of the marker. */
static void
check_picture (const struct helix_frame *frame, const uint8_t *pixels)
{
  for (uint32_t y = 0; y < frame->height; y++) {
    const uint8_t *pixel = pixels + (size_t) y * frame->stride;
    uint32_t bar = 0;

    if (y >= HELIX_STRIP_TOP && y < HELIX_BARS_TOP)
      continue;
    for (uint32_t x = 0; x < frame->width; x++, pixel += 4) {
      uint32_t due = 0;

      if (y < HELIX_BARS_TOP) {
        if (x < HELIX_MARKER_WIDTH)
          continue;
      } else {
        while (x >= helix_bar_left (bar + 1, frame->width))
          bar++;
        due = helix_bar_colour (bar, 0);
      }
      if ((pixel[0] | pixel[1] << 8 | pixel[2] << 16) == (int) due)
        continue;
      say ("damaged %u at %u,%u", frame->scanout, x, y);
      return;
    }
  }
}

/* BGRx. Replaces the file in one step: it is read meanwhile. */
static void
write_ppm (const struct helix_frame *frame, const uint8_t *pixels)
{
  g_autoptr (GString) out = g_string_new (NULL);
  g_autoptr (GError) error = NULL;

  g_string_printf (out, "P6\n%u %u\n255\n", frame->width, frame->height);
  for (uint32_t y = 0; y < frame->height; y++) {
    const uint8_t *pixel = pixels + (size_t) y * frame->stride;

    for (uint32_t x = 0; x < frame->width; x++, pixel += 4) {
      const gchar rgb[] = {
          (gchar) pixel[2], (gchar) pixel[1], (gchar) pixel[0]};

      g_string_append_len (out, rgb, 3);
    }
  }
  if (!g_file_set_contents (ppm, out->str, (gssize) out->len, &error))
    give_up ("%s", error->message);
}

static bool
on_frame (const char **why)
{
  struct pool *pool = &pools[reader->header.channel];
  struct helix_rect rects[HELIX_MAX_RECTS];
  struct helix_release release;
  struct helix_frame frame;
  uint8_t message[HELIX_MAX_MESSAGE];
  const uint8_t *pixels;
  uint32_t number;
  size_t offset;
  char marker[16] = "-";

  if (!helix_unpack_frame (
          &frame, rects, reader->payload, reader->payload_size, why))
    return false;
  if (pool->shm.bytes == NULL || frame.pool_id != pool->pool.pool_id
      || frame.slot >= pool->pool.slots
      || (uint64_t) frame.stride * frame.height > pool->pool.slot_size) {
    *why = "FRAME outside of its pool";
    return false;
  }
  offset = frame.slot * (size_t) pool->pool.slot_size;
  if (helix_shm_fetch (&pool->shm, offset, (size_t) frame.stride * frame.height)
      < 0) {
    *why = "the pool was cut off";
    return false;
  }
  pixels = pool->shm.bytes + offset;
  /* Any channel of a grey marker; the second byte is green in BGRx. */
  if (frame.width >= HELIX_MARKER_WIDTH && frame.height >= HELIX_MARKER_HEIGHT
      && helix_marker_read (pixels + 1, frame.stride, 4, &number))
    g_snprintf (marker, sizeof marker, "%u", number);
  if (check)
    check_picture (&frame, pixels);
  if (ppm != NULL)
    write_ppm (&frame, pixels);
  say ("frame %u %ux%u number %s", frame.scanout, frame.width, frame.height,
      marker);
  release = (struct helix_release){frame.pool_id, frame.slot};
  helix_connection_send (shim, message,
      helix_pack_release (message, reader->header.channel, &release));
  return true;
}

static bool
unpack_cursor (struct helix_cursor *cursor, const char **why)
{
  return helix_unpack_cursor (
      cursor, reader->payload, reader->payload_size, reader->header.size, why);
}

static bool
on_cursor (const char **why)
{
  struct helix_cursor cursor;

  if (!unpack_cursor (&cursor, why))
    return false;
  if (cursor.flags & HELIX_CURSOR_SHAPE)
    say ("shape %u serial %u %ux%u hot %u,%u sum %08x", cursor.scanout,
        cursor.serial, cursor.width, cursor.height, cursor.hot_x, cursor.hot_y,
        helix_picture_sum (shape, (size_t) cursor.width * cursor.height * 4));
  if (cursor.flags & HELIX_CURSOR_VISIBLE)
    say ("cursor %u at %d,%d serial %u", cursor.scanout, (int32_t) cursor.x,
        (int32_t) cursor.y, cursor.serial);
  else
    say ("cursor %u hidden", cursor.scanout);
  return true;
}

static bool
on_message (const char **why)
{
  if (reader->header.channel > HELIX_MAX_SCANOUTS) {
    *why = "a channel that was never subscribed";
    return false;
  }
  switch (reader->header.type) {
    case HELIX_SCANOUT:
      return on_scanout (why);
    case HELIX_POOL:
      return on_pool (why);
    case HELIX_FRAME:
      return on_frame (why);
    case HELIX_CURSOR:
      return on_cursor (why);
    case HELIX_ERROR:
      say ("error %s %s", helix_error_name (shim->error.code), shim->text);
      return true;
    default:
      return true;
  }
}

/* Bytes of bulk that the reader announced: a cursor's, or dropped. */
static bool
on_head (const char **why)
{
  struct helix_cursor cursor;

  if (reader->header.type != HELIX_CURSOR)
    return true;
  if (!unpack_cursor (&cursor, why))
    return false;
  g_free (shape);
  shape = g_malloc (reader->bulk_size);
  helix_reader_bulk (&shim->reader, shape);
  return true;
}

/* Takes what one read brought; false: that was all, or the end. */
static bool
take (void)
{
  g_autofree gchar *lost = NULL;
  const char *why = NULL;
  bool good = true;

  switch (helix_connection_read (shim)) {
    case HELIX_CONNECTION_IDLE:
      return false;
    case HELIX_CONNECTION_LIVE:
      on_welcome ();
      break;
    case HELIX_CONNECTION_HEAD:
      good = on_head (&why);
      break;
    case HELIX_CONNECTION_MESSAGE:
      good = on_message (&why);
      break;
    case HELIX_CONNECTION_LOST:
      why = lost = helix_connection_describe (shim);
      good = false;
      break;
    default:
      break;
  }
  if (!good)
    give_up ("the shim's end: %s", why);
  return good && g_main_loop_is_running (loop);
}

static gboolean
on_readable (gint source, GIOCondition condition, gpointer data)
{
  while (take ())
    ;
  return G_SOURCE_CONTINUE;
}

static gboolean
on_signal (gpointer data)
{
  end (0);
  return G_SOURCE_CONTINUE;
}

static gboolean
on_timeout (gpointer data)
{
  give_up (
      "nothing like \"%s\" within %d s", until != NULL ? until : "", timeout_s);
  return G_SOURCE_REMOVE;
}

static bool
connect_to_shim (void)
{
  static const HelixConnectionConfig config = {.name = "helix-watch"};
  const char *path = socket_path ? socket_path : g_getenv ("HELIX_SOCKET");
  gint fd = helix_socket (AF_UNIX);

  if (path == NULL) {
    fputs ("helix-watch: no --socket and no $HELIX_SOCKET\n", stderr);
    return false;
  }
  if (fd < 0 || helix_unix_connect (fd, path) != 0) {
    fprintf (stderr, "helix-watch: cannot connect to %s: %s\n", path,
        g_strerror (errno));
    return false;
  }
  shim = helix_connection_new (fd, &config, helix_now_ns ());
  reader = &shim->reader;
  helix_connection_hello (shim, HELIX_ROLE_FRAMES, NULL);
  g_unix_fd_add (fd, G_IO_IN, on_readable, NULL);
  return true;
}

int
main (int argc, char **argv)
{
  g_autoptr (GOptionContext) context = g_option_context_new ("");
  g_autoptr (GError) error = NULL;

  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error)) {
    fprintf (stderr, "helix-watch: %s\n", error->message);
    return 2;
  }
  if (!connect_to_shim ())
    return 1;
  loop = g_main_loop_new (NULL, FALSE);
  g_unix_signal_add (SIGINT, on_signal, NULL);
  g_unix_signal_add (SIGTERM, on_signal, NULL);
  if (timeout_s > 0)
    g_timeout_add_seconds ((guint) timeout_s, on_timeout, NULL);
  g_main_loop_run (loop);
  helix_connection_unref (shim);
  return status;
}
