/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How long an encoded unit takes from helixguestsink's pad to helixsrc's, each
 * in a process of its own: helix-bench-units --address A --size BYTES
 * --rate UNITS/S --seconds S. The units are H.264 in shape only: no encoder's
 * time is in the figures. Prints one JSON object.
 *
 * With --bare unix|tcp the floor under that: how long as many bytes take from a
 * write in one process to the end of the last read in another, through a bare
 * socket of that kind.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gst/app/gstappsrc.h>
#include <gst/gst.h>
#include <gst/video/video.h>

#include "helix-bench.h"

#define NUMBER_DIGITS 8 /* hexadecimal, at the end of a unit: no start code */
#define WARMUP 50u /* units that do not count: connecting, first keyframe */

/* What the processes share. */
typedef struct {
  guint64 sent_ns[HELIX_BENCH_PICTURES]; /* by number, atomic */
} Shared;

static gchar *address, *bare;
static gint size = 20000;
static gdouble rate = 120, seconds = 5;

static const GOptionEntry entries[] = {
    {"address", 0, 0, G_OPTION_ARG_STRING, &address, "Of both", "ADDRESS"},
    {"bare", 0, 0, G_OPTION_ARG_STRING, &bare, "A socket alone", "unix|tcp"},
    {"size", 0, 0, G_OPTION_ARG_INT, &size, "Of a unit", "BYTES"},
    {"rate", 0, 0, G_OPTION_ARG_DOUBLE, &rate, "Units a second", "N"},
    {"seconds", 0, 0, G_OPTION_ARG_DOUBLE, &seconds, "How long", "S"},
    {NULL, 0, 0, 0, NULL, NULL, NULL},
};

static gboolean key_wanted = TRUE; /* atomic */

static GstElement *
launch (const gchar *text)
{
  GError *error = NULL;
  GstElement *pipeline = gst_parse_launch (text, &error);

  if (pipeline == NULL || error != NULL)
    helix_bench_die ("%s", error != NULL ? error->message : text);
  return pipeline;
}

static GstElement *
get (GstElement *pipeline, const gchar *name)
{
  return gst_bin_get_by_name (GST_BIN (pipeline), name);
}

/* ---- the receiving process ---- */

typedef struct {
  Shared *shared;
  GArray *times;
  guint units, wanted;
  GMutex lock;
  GCond done;
} Receiver;

static GstPadProbeReturn
on_received (GstPad *pad, GstPadProbeInfo *probe, gpointer data)
{
  guint64 now = helix_bench_now (), sent, took;
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (probe);
  gchar digits[NUMBER_DIGITS + 1] = "";
  Receiver *r = data;
  guint number;

  gst_buffer_extract (buffer, gst_buffer_get_size (buffer) - NUMBER_DIGITS,
      digits, NUMBER_DIGITS);
  number = (guint) strtoul (digits, NULL, 16);
  sent = __atomic_load_n (
      &r->shared->sent_ns[number % HELIX_BENCH_PICTURES], __ATOMIC_ACQUIRE);
  took = now - sent;
  g_mutex_lock (&r->lock);
  if (++r->units > WARMUP)
    g_array_append_val (r->times, took);
  if (r->times->len >= r->wanted)
    g_cond_signal (&r->done);
  g_mutex_unlock (&r->lock);
  return GST_PAD_PROBE_OK;
}

static int
report (const gchar *name, GArray *times)
{
  g_autoptr (GString) json = g_string_new (NULL);

  g_string_printf (json, "{\"address\": \"%s\", \"size\": %d, \"units\": %u",
      name, size, times->len);
  helix_bench_times_print (json, "", times);
  printf ("%s}\n", json->str);
  fflush (stdout);
  return EXIT_SUCCESS;
}

static int
receive (Shared *shared, guint units)
{
  g_autofree gchar *text = g_strdup_printf (
      "helixsrc name=src address=%s ! fakesink sync=false", address);
  GstElement *pipeline = launch (text), *src = get (pipeline, "src");
  GstPad *pad = gst_element_get_static_pad (src, "src");
  Receiver r = {.shared = shared, .wanted = units};
  gint64 limit = g_get_monotonic_time ()
      + (gint64) ((seconds * 2 + 20) * G_TIME_SPAN_SECOND);
  gboolean complete = TRUE;

  r.times = helix_bench_times_new (units + 100);
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, on_received, &r, NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  g_mutex_lock (&r.lock);
  while (complete && r.times->len < units)
    complete = g_cond_wait_until (&r.done, &r.lock, limit);
  g_mutex_unlock (&r.lock);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  if (!complete)
    helix_bench_die (
        "only %u of %u units came through %s", r.times->len, units, address);
  gst_object_unref (pad);
  gst_object_unref (src);
  gst_object_unref (pipeline);
  return report (address, r.times);
}

/* ---- the sending process ---- */

/* An access unit of the wanted size: SPS, PPS and IDR slice, or a P slice. */
static GstBuffer *
make_unit (guint number, gboolean key)
{
  static const guint8 headers[] = {0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x28, 0xda,
      0x01, 0xe0, 0x08, 0x9f, 0x97, 0x01, 0x10, 0, 0, 0, 1, 0x68, 0xce, 0x3c,
      0x80, 0, 0, 0, 1, 0x65, 0x88};
  static const guint8 slice[] = {0, 0, 0, 1, 0x41, 0x9a};
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, (gsize) size, NULL);
  gsize length = key ? sizeof headers : sizeof slice;
  gchar digits[NUMBER_DIGITS + 1];

  gst_buffer_memset (buffer, 0, 0x5a, (gsize) size);
  gst_buffer_fill (buffer, 0, key ? headers : slice, length);
  g_snprintf (digits, sizeof digits, "%08x", number);
  gst_buffer_fill (buffer, (gsize) size - NUMBER_DIGITS, digits, NUMBER_DIGITS);
  if (!key)
    GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT);
  return buffer;
}

static GstPadProbeReturn
on_upstream (GstPad *pad, GstPadProbeInfo *probe, gpointer data)
{
  if (gst_video_event_is_force_key_unit (GST_PAD_PROBE_INFO_EVENT (probe)))
    __atomic_store_n (&key_wanted, TRUE, __ATOMIC_RELEASE);
  return GST_PAD_PROBE_OK;
}

static GstPadProbeReturn
on_sent (GstPad *pad, GstPadProbeInfo *probe, gpointer data)
{
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (probe);
  Shared *shared = data;

  __atomic_store_n (
      &shared->sent_ns[GST_BUFFER_OFFSET (buffer) % HELIX_BENCH_PICTURES],
      helix_bench_now (), __ATOMIC_RELEASE);
  return GST_PAD_PROBE_OK;
}

/* Until the receiver has enough and ends; its exit status. */
static int
send_units (Shared *shared, pid_t receiver)
{
  g_autofree gchar *text = g_strdup_printf (
      "appsrc name=in is-live=true format=time do-timestamp=true "
      "caps=video/x-h264,stream-format=byte-stream,alignment=au,width=1920,"
      "height=1080,framerate=60/1 ! helixguestsink name=sink address=%s",
      address);
  GstElement *pipeline = launch (text), *in = get (pipeline, "in");
  GstElement *sink = get (pipeline, "sink");
  GstPad *from = gst_element_get_static_pad (in, "src");
  GstPad *to = gst_element_get_static_pad (sink, "sink");
  gulong period = (gulong) (G_USEC_PER_SEC / rate);
  int status = 0;

  gst_pad_add_probe (
      from, GST_PAD_PROBE_TYPE_EVENT_UPSTREAM, on_upstream, NULL, NULL);
  gst_pad_add_probe (to, GST_PAD_PROBE_TYPE_BUFFER, on_sent, shared, NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  for (guint n = 0; waitpid (receiver, &status, WNOHANG) == 0; n++) {
    gboolean key = __atomic_exchange_n (&key_wanted, FALSE, __ATOMIC_ACQ_REL);
    GstBuffer *unit = make_unit (n, key);

    GST_BUFFER_OFFSET (unit) = n;
    gst_app_src_push_buffer (GST_APP_SRC (in), unit);
    /* The rate of an encoder. */
    g_usleep (period);
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (from);
  gst_object_unref (to);
  gst_object_unref (in);
  gst_object_unref (sink);
  gst_object_unref (pipeline);
  return WIFEXITED (status) ? WEXITSTATUS (status) : EXIT_FAILURE;
}

/* ---- a bare socket ---- */

static void
make_pair (int pair[2])
{
  struct sockaddr_in at = {
      .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
  socklen_t length = sizeof at;
  int listener, on = 1;

  if (strcmp (bare, "unix") == 0) {
    if (socketpair (AF_UNIX, SOCK_STREAM, 0, pair) < 0)
      helix_bench_die ("no socket");
    return;
  }
  listener = socket (AF_INET, SOCK_STREAM, 0);
  pair[0] = socket (AF_INET, SOCK_STREAM, 0);
  if (bind (listener, (struct sockaddr *) &at, length) < 0
      || listen (listener, 1) < 0
      || getsockname (listener, (struct sockaddr *) &at, &length) < 0
      || connect (pair[0], (struct sockaddr *) &at, length) < 0)
    helix_bench_die ("no TCP on the loopback");
  pair[1] = accept (listener, NULL, NULL);
  setsockopt (pair[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  close (listener);
}

/* A unit begins with the time when it was sent. */
static int
receive_bare (int fd, guint units)
{
  g_autofree guint8 *unit = g_malloc ((gsize) size);
  GArray *times = helix_bench_times_new (units);

  for (guint n = 0; n < units + WARMUP; n++) {
    guint64 sent, took;

    if (recv (fd, unit, (gsize) size, MSG_WAITALL) != size)
      helix_bench_die ("the %s socket ended", bare);
    memcpy (&sent, unit, sizeof sent);
    took = helix_bench_now () - sent;
    if (n >= WARMUP)
      g_array_append_val (times, took);
  }
  return report (bare, times);
}

static int
send_bare (int fd, guint units, pid_t receiver)
{
  g_autofree guint8 *unit = g_malloc0 ((gsize) size);
  int status = 0;

  for (guint n = 0; n < units + WARMUP; n++) {
    guint64 now;

    /* The rate of an encoder. */
    g_usleep ((gulong) (G_USEC_PER_SEC / rate));
    now = helix_bench_now ();
    memcpy (unit, &now, sizeof now);
    /* The socket blocks: all of it goes, or the receiver is gone. */
    if (send (fd, unit, (gsize) size, MSG_NOSIGNAL) != size)
      helix_bench_die ("the receiver is gone");
  }
  waitpid (receiver, &status, 0);
  return WIFEXITED (status) ? WEXITSTATUS (status) : EXIT_FAILURE;
}

int
main (int argc, char **argv)
{
  GOptionContext *context = g_option_context_new (NULL);
  GError *error = NULL;
  int pair[2];
  Shared *shared;
  guint units;
  pid_t pid;

  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error))
    helix_bench_die ("%s", error->message);
  g_option_context_free (context);
  if ((address == NULL) == (bare == NULL) || size < 100 || !(rate > 0)
      || !(seconds > 0))
    helix_bench_die ("--address or --bare is needed, sizes go from 100 bytes, "
                     "rates and times are above 0");
  if (bare != NULL)
    make_pair (pair);
  units = (guint) (rate * seconds);
  shared = mmap (NULL, sizeof *shared, PROT_READ | PROT_WRITE,
      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED)
    helix_bench_die ("no memory to share");
  /* Before GStreamer starts its threads. */
  pid = fork ();
  if (pid < 0)
    helix_bench_die ("cannot fork");
  if (bare != NULL)
    return pid == 0 ? receive_bare (pair[1], units)
                    : send_bare (pair[0], units, pid);
  gst_init (NULL, NULL);
  if (pid == 0)
    return receive (shared, units);
  return send_units (shared, pid);
}
