/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's receiving end with a stopwatch: helixsrc ! h264parse, every unit
 * written to a file, and how old each was when the application had it, by the
 * capture time that travels with it.
 *
 *   helix-receive [--address A] [--h264 FILE] [--mp4 FILE] [--report FILE]
 *                 [--seconds S] [--properties TEXT]
 *
 * Ends after S seconds or on SIGTERM or SIGINT, and then finalizes the files.
 * Prints (and writes to --report) one "key value" a line.
 */
#include <glib-unix.h>
#include <gst/app/gstappsink.h>
#include <gst/gst.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FINISH_NS (30 * GST_SECOND) /* the muxer may write its index so long */

static gchar *address, *h264_path, *mp4_path, *report_path, *properties;
static gint seconds_wanted;

static const GOptionEntry entries[] = {
    {"address", 0, 0, G_OPTION_ARG_STRING, &address,
        "helixsrc's address (default: its own)", "ADDRESS"},
    {"properties", 0, 0, G_OPTION_ARG_STRING, &properties,
        "More of helixsrc's, as gst-launch-1.0 takes them", "TEXT"},
    {"h264", 0, 0, G_OPTION_ARG_FILENAME, &h264_path,
        "Write the units as a byte stream", "FILE"},
    {"mp4", 0, 0, G_OPTION_ARG_FILENAME, &mp4_path, "Write an MP4", "FILE"},
    {"report", 0, 0, G_OPTION_ARG_FILENAME, &report_path, "Write the numbers",
        "FILE"},
    {"seconds", 0, 0, G_OPTION_ARG_INT, &seconds_wanted,
        "End S seconds after the first unit", "S"},
    {NULL, 0, 0, 0, NULL, NULL, NULL},
};

struct receiver {
  GstElement *pipeline, *source;
  GMainLoop *loop;
  GstCaps *monotonic; /* what kind of time stamp the capture time is */
  FILE *h264;
  gint status;

  GMutex lock; /* what follows: streaming thread and main loop */
  guint64 units, keyframes, bytes;
  guint64 first_ns, last_ns; /* when units arrived, CLOCK_MONOTONIC */
  GArray *latency;           /* guint64 ns, capture to application */
};

static guint64
now_ns (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return (guint64) now.tv_sec * GST_SECOND + (guint64) now.tv_nsec;
}

static gboolean
finish (gpointer data)
{
  struct receiver *r = data;

  /* Its own thread delivers it: the muxer closes its file behind it. */
  gst_element_send_event (r->pipeline, gst_event_new_eos ());
  return G_SOURCE_REMOVE;
}

static gboolean
give_up (gpointer data)
{
  struct receiver *r = data;

  fprintf (stderr, "helix-receive: no end of stream within %d s\n",
      (int) (FINISH_NS / GST_SECOND));
  r->status = 1;
  g_main_loop_quit (r->loop);
  return G_SOURCE_REMOVE;
}

static gboolean
asked_to_end (gpointer data)
{
  g_timeout_add (FINISH_NS / GST_MSECOND, give_up, data);
  return finish (data);
}

static gboolean
write_unit (struct receiver *r, GstBuffer *buffer)
{
  GstMapInfo map;
  gboolean good;

  if (r->h264 == NULL)
    return TRUE;
  if (!gst_buffer_map (buffer, &map, GST_MAP_READ))
    return FALSE;
  good = fwrite (map.data, 1, map.size, r->h264) == map.size
      && fflush (r->h264) == 0;
  gst_buffer_unmap (buffer, &map);
  if (!good)
    fprintf (stderr, "helix-receive: cannot write %s\n", h264_path);
  return good;
}

static GstFlowReturn
new_sample (GstAppSink *sink, gpointer data)
{
  struct receiver *r = data;
  GstSample *sample = gst_app_sink_pull_sample (sink);
  GstReferenceTimestampMeta *capture;
  GstBuffer *buffer;
  guint64 now = now_ns ();
  gboolean good;

  if (sample == NULL)
    return GST_FLOW_EOS;
  buffer = gst_sample_get_buffer (sample);
  good = write_unit (r, buffer);
  capture = gst_buffer_get_reference_timestamp_meta (buffer, r->monotonic);

  g_mutex_lock (&r->lock);
  if (r->units++ == 0) {
    r->first_ns = now;
    if (seconds_wanted > 0)
      g_timeout_add_seconds ((guint) seconds_wanted, asked_to_end, r);
  }
  r->last_ns = now;
  r->bytes += gst_buffer_get_size (buffer);
  if (!GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT))
    r->keyframes++;
  if (capture != NULL) {
    /* The clocks' offset is known to half a round trip: a negative age is 0. */
    guint64 age = now > capture->timestamp ? now - capture->timestamp : 0;

    g_array_append_val (r->latency, age);
  }
  g_mutex_unlock (&r->lock);
  gst_sample_unref (sample);
  return good ? GST_FLOW_OK : GST_FLOW_ERROR;
}

static gboolean
message (GstBus *bus, GstMessage *message, gpointer data)
{
  struct receiver *r = data;
  GError *error = NULL;
  gchar *debug = NULL;

  switch (GST_MESSAGE_TYPE (message)) {
    case GST_MESSAGE_EOS:
      g_main_loop_quit (r->loop);
      break;
    case GST_MESSAGE_WARNING:
      gst_message_parse_warning (message, &error, &debug);
      fprintf (stderr, "helix-receive: warning: %s\n", error->message);
      break;
    case GST_MESSAGE_ERROR:
      gst_message_parse_error (message, &error, &debug);
      fprintf (stderr, "helix-receive: %s\n  (%s)\n", error->message,
          debug != NULL ? debug : "no details");
      r->status = 1;
      g_main_loop_quit (r->loop);
      break;
    default:
      break;
  }
  g_clear_error (&error);
  g_free (debug);
  return TRUE;
}

static gboolean
build (struct receiver *r)
{
  const gchar *mux = mp4_path != NULL
      ? "units. ! queue ! h264parse ! video/x-h264,stream-format=avc3 ! "
        "mp4mux ! filesink name=file"
      : "";
  gchar *line = g_strdup_printf ("helixsrc name=source %s ! h264parse "
                                 "config-interval=-1 ! tee name=units ! queue "
                                 "! video/x-h264,stream-format=byte-stream,"
                                 "alignment=au ! appsink name=sink sync=false "
                                 "%s",
      properties != NULL ? properties : "", mux);
  GError *error = NULL;
  GstAppSinkCallbacks callbacks = {.new_sample = new_sample};
  GstElement *sink;
  GstBus *bus;

  r->pipeline = gst_parse_launch (line, &error);
  g_free (line);
  if (r->pipeline == NULL || error != NULL) {
    fprintf (stderr, "helix-receive: %s\n",
        error != NULL ? error->message : "cannot build the pipeline");
    return FALSE;
  }
  r->source = gst_bin_get_by_name (GST_BIN (r->pipeline), "source");
  if (address != NULL)
    g_object_set (r->source, "address", address, NULL);
  if (mp4_path != NULL) {
    GstElement *file = gst_bin_get_by_name (GST_BIN (r->pipeline), "file");

    g_object_set (file, "location", mp4_path, NULL);
    gst_object_unref (file);
  }
  sink = gst_bin_get_by_name (GST_BIN (r->pipeline), "sink");
  gst_app_sink_set_callbacks (GST_APP_SINK (sink), &callbacks, r, NULL);
  gst_object_unref (sink);
  bus = gst_element_get_bus (r->pipeline);
  gst_bus_add_watch (bus, message, r);
  gst_object_unref (bus);
  return TRUE;
}

static gint
compare (gconstpointer a, gconstpointer b)
{
  guint64 left = *(const guint64 *) a, right = *(const guint64 *) b;

  return left < right ? -1 : left > right;
}

/* The value that `percent` of the latencies do not exceed, milliseconds. */
static gdouble
percentile (GArray *latency, guint percent)
{
  guint index = (guint) ((guint64) (latency->len - 1) * percent / 100);

  return (gdouble) g_array_index (latency, guint64, index) / GST_MSECOND;
}

static void
report (struct receiver *r, FILE *out)
{
  gdouble seconds = (gdouble) (r->last_ns - r->first_ns) / GST_SECOND;
  GstStructure *stats = NULL;

  fprintf (out, "frames %" G_GUINT64_FORMAT "\n", r->units);
  fprintf (out, "keyframes %" G_GUINT64_FORMAT "\n", r->keyframes);
  fprintf (out, "bytes %" G_GUINT64_FORMAT "\n", r->bytes);
  fprintf (out, "seconds %.3f\n", seconds);
  if (r->units > 1 && seconds > 0)
    fprintf (out, "fps %.2f\n", (gdouble) (r->units - 1) / seconds);
  if (r->latency->len > 0) {
    g_array_sort (r->latency, compare);
    fprintf (out, "latency_samples %u\n", r->latency->len);
    fprintf (out, "latency_p50_ms %.2f\n", percentile (r->latency, 50));
    fprintf (out, "latency_p99_ms %.2f\n", percentile (r->latency, 99));
  }
  g_object_get (r->source, "stats", &stats, NULL);
  if (stats != NULL) {
    gchar *text = gst_structure_to_string (stats);

    fprintf (out, "helixsrc %s\n", text);
    g_free (text);
    gst_structure_free (stats);
  }
}

static gboolean
write_report (struct receiver *r)
{
  FILE *out;

  report (r, stdout);
  if (report_path == NULL)
    return TRUE;
  out = fopen (report_path, "we");
  if (out == NULL) {
    perror (report_path);
    return FALSE;
  }
  report (r, out);
  return fclose (out) == 0;
}

int
main (int argc, char **argv)
{
  struct receiver r = {0};
  GOptionContext *context = g_option_context_new (NULL);
  GError *error = NULL;

  g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_add_group (context, gst_init_get_option_group ());
  if (!g_option_context_parse (context, &argc, &argv, &error)) {
    fprintf (stderr, "helix-receive: %s\n", error->message);
    return 2;
  }
  g_option_context_free (context);
  if (h264_path != NULL && (r.h264 = fopen (h264_path, "we")) == NULL) {
    perror (h264_path);
    return 1;
  }
  r.monotonic = gst_caps_new_empty_simple ("timestamp/x-system-monotonic");
  r.latency = g_array_new (FALSE, FALSE, sizeof (guint64));
  r.loop = g_main_loop_new (NULL, FALSE);
  g_mutex_init (&r.lock);
  if (!build (&r))
    return 1;
  g_unix_signal_add (SIGTERM, asked_to_end, &r);
  g_unix_signal_add (SIGINT, asked_to_end, &r);
  /* A failure to start is a message on the bus as well: told from there. */
  gst_element_set_state (r.pipeline, GST_STATE_PLAYING);
  g_main_loop_run (r.loop);
  if (!write_report (&r))
    r.status = 1;
  gst_element_set_state (r.pipeline, GST_STATE_NULL);
  if (r.h264 != NULL && fclose (r.h264) != 0)
    r.status = 1;
  gst_object_unref (r.source);
  gst_object_unref (r.pipeline);
  return r.status;
}
