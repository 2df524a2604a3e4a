/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's end as a program: helixsrc ! h264parse ! appsink.
 *
 * Receives the encoded screen, unit by unit, and says once a second what
 * arrived: units, keyframes, bytes, and how old the picture was when it came
 * (from the readback on the host to here, both on this machine's clock). It
 * is where a program that streams to browsers would begin.
 *
 *   guest-appsink [--address tcp:10.0.2.2:14359] [--frames N] [--timeout S]
 *                 [--output FILE.h264] [--quiet]
 */
#include <errno.h>
#include <gst/app/gstappsink.h>
#include <gst/gst.h>
#include <stdio.h>
#include <stdlib.h>

/* Ages kept for the percentiles of the end; beyond that the oldest go. */
#define MAX_AGES 65536u

struct receiver {
  guint64 units, keyframes, bytes, undated;
  guint64 last_units, last_bytes; /* at the last line printed */
  guint64 *ages;                  /* ns, a ring of MAX_AGES */
  guint64 n_ages;                 /* ever stored */
  FILE *output;
};

static gchar *address, *output_path;
static gint frames, timeout_s = 30;
static gboolean quiet;

static GOptionEntry options[] = {
    {"address", 'a', 0, G_OPTION_ARG_STRING, &address,
        "where the host listens (default: helixsrc's own)", "ADDRESS"},
    {"frames", 'n', 0, G_OPTION_ARG_INT, &frames,
        "end after N units (default 0: never)", "N"},
    {"timeout", 't', 0, G_OPTION_ARG_INT, &timeout_s,
        "fail when nothing comes for S seconds (default 30, 0: never)", "S"},
    {"output", 'o', 0, G_OPTION_ARG_FILENAME, &output_path,
        "write the units there, an Annex B file", "FILE"},
    {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "print the summary only",
        NULL},
    {NULL, 0, 0, 0, NULL, NULL, NULL}};

/* Nanoseconds since the host read this picture, or GST_CLOCK_TIME_NONE.
 * helixsrc translates the host's clock to this machine's CLOCK_MONOTONIC. */
static GstClockTime
buffer_age (GstBuffer *buffer)
{
  static GstStaticCaps monotonic =
      GST_STATIC_CAPS ("timestamp/x-system-monotonic");
  GstCaps *reference = gst_static_caps_get (&monotonic);
  GstReferenceTimestampMeta *meta =
      gst_buffer_get_reference_timestamp_meta (buffer, reference);
  GstClockTime now = g_get_monotonic_time () * GST_USECOND;

  gst_caps_unref (reference);
  if (!meta || meta->timestamp > now)
    return GST_CLOCK_TIME_NONE;
  return now - meta->timestamp;
}

static gint
compare_ages (gconstpointer a, gconstpointer b)
{
  guint64 x = *(const guint64 *) a, y = *(const guint64 *) b;

  return x < y ? -1 : x > y;
}

/* The age, in ms, that `percent` of the newest `count` units did not exceed. */
static gdouble
percentile (const struct receiver *self, guint64 count, guint percent)
{
  guint64 *sorted, i;
  gdouble result;

  count = MIN (count, MIN (self->n_ages, MAX_AGES));
  if (count == 0)
    return 0;
  sorted = g_new (guint64, count);
  for (i = 0; i < count; i++)
    sorted[i] = self->ages[(self->n_ages - 1 - i) % MAX_AGES];
  qsort (sorted, count, sizeof *sorted, compare_ages);
  result = sorted[(count - 1) * percent / 100] / 1e6;
  g_free (sorted);
  return result;
}

static gboolean
take_sample (struct receiver *self, GstSample *sample)
{
  GstBuffer *buffer = gst_sample_get_buffer (sample);
  GstClockTime age = buffer_age (buffer);
  GstMapInfo map;
  gboolean written = TRUE;

  self->units++;
  self->bytes += gst_buffer_get_size (buffer);
  if (!GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT))
    self->keyframes++;
  if (GST_CLOCK_TIME_IS_VALID (age))
    self->ages[self->n_ages++ % MAX_AGES] = age;
  else
    self->undated++;

  if (self->output && gst_buffer_map (buffer, &map, GST_MAP_READ)) {
    written = fwrite (map.data, 1, map.size, self->output) == map.size;
    gst_buffer_unmap (buffer, &map);
    if (!written)
      g_printerr ("%s: could not be written\n", output_path);
  }
  return written;
}

static void
print_second (struct receiver *self)
{
  guint64 units = self->units - self->last_units;

  if (!quiet && units > 0)
    g_print ("%" G_GUINT64_FORMAT " units, %" G_GUINT64_FORMAT
             " keyframes; last second: %" G_GUINT64_FORMAT
             " units, %.0f kbit/s, "
             "age p50 %.1f ms, p99 %.1f ms\n",
        self->units, self->keyframes, units,
        (self->bytes - self->last_bytes) * 8 / 1e3,
        percentile (self, units, 50), percentile (self, units, 99));
  self->last_units = self->units;
  self->last_bytes = self->bytes;
}

/* Prints what the pipeline has to say. FALSE: it cannot go on. */
static gboolean
drain_bus (GstBus *bus)
{
  GstMessage *message;
  gboolean healthy = TRUE;

  while ((message = gst_bus_pop_filtered (
              bus, GST_MESSAGE_ERROR | GST_MESSAGE_WARNING))) {
    GError *error = NULL;

    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
      gst_message_parse_error (message, &error, NULL);
      healthy = FALSE;
    } else {
      gst_message_parse_warning (message, &error, NULL);
    }
    g_printerr ("%s: %s\n", healthy ? "warning" : "error", error->message);
    g_error_free (error);
    gst_message_unref (message);
  }
  return healthy;
}

static gboolean
receive (struct receiver *self, GstAppSink *sink, GstBus *bus)
{
  gint64 second = g_get_monotonic_time (), last = second;

  while (frames == 0 || self->units < (guint64) frames) {
    GstSample *sample = gst_app_sink_try_pull_sample (sink, 200 * GST_MSECOND);
    gint64 now = g_get_monotonic_time ();
    gboolean good = TRUE;

    if (!drain_bus (bus))
      good = FALSE;
    if (sample) {
      last = now;
      good = take_sample (self, sample) && good;
      gst_sample_unref (sample);
    } else if (gst_app_sink_is_eos (sink)) {
      return good;
    } else if (timeout_s > 0 && now - last > timeout_s * G_USEC_PER_SEC) {
      g_printerr ("error: no unit for %d s\n", timeout_s);
      good = FALSE;
    }
    if (!good)
      return FALSE;
    if (now - second >= G_USEC_PER_SEC) {
      print_second (self);
      second = now;
    }
  }
  return TRUE;
}

static gboolean
run (struct receiver *self)
{
  GError *error = NULL;
  GstElement *pipeline, *source, *sink = NULL;
  GstBus *bus;
  gboolean good = FALSE;

  pipeline =
      gst_parse_launch ("helixsrc name=source ! h264parse ! "
                        "video/x-h264,stream-format=byte-stream,alignment=au ! "
                        "appsink name=sink sync=false max-buffers=8",
          &error);
  if (error) {
    g_printerr ("error: %s\n", error->message);
    g_clear_error (&error);
    g_clear_pointer (&pipeline, gst_object_unref);
    return FALSE;
  }
  source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  bus = gst_element_get_bus (pipeline);
  if (address)
    g_object_set (source, "address", address, NULL);

  if (gst_element_set_state (pipeline, GST_STATE_PLAYING)
      == GST_STATE_CHANGE_FAILURE)
    drain_bus (bus);
  else
    good = receive (self, GST_APP_SINK (sink), bus);

  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (bus);
  gst_object_unref (sink);
  gst_object_unref (source);
  gst_object_unref (pipeline);
  return good;
}

int
main (int argc, char **argv)
{
  struct receiver self = {0};
  GOptionContext *context = g_option_context_new (NULL);
  GError *error = NULL;
  gboolean good;

  g_option_context_add_main_entries (context, options, NULL);
  g_option_context_add_group (context, gst_init_get_option_group ());
  good = g_option_context_parse (context, &argc, &argv, &error);
  g_option_context_free (context);
  if (!good) {
    g_printerr ("guest-appsink: %s\n", error->message);
    g_error_free (error);
    return 2;
  }
  if (output_path && !(self.output = fopen (output_path, "wbe"))) {
    g_printerr ("%s: %s\n", output_path, g_strerror (errno));
    return 2;
  }
  self.ages = g_new (guint64, MAX_AGES);

  good = run (&self);

  g_print ("total: %" G_GUINT64_FORMAT " units, %" G_GUINT64_FORMAT
           " keyframes, %" G_GUINT64_FORMAT " bytes, %" G_GUINT64_FORMAT
           " without capture time; age p50 %.1f ms, p99 %.1f ms\n",
      self.units, self.keyframes, self.bytes, self.undated,
      percentile (&self, MAX_AGES, 50), percentile (&self, MAX_AGES, 99));
  if (self.output && fclose (self.output) != 0)
    good = FALSE;
  g_free (self.ages);
  g_free (address);
  g_free (output_path);
  return good ? 0 : 1;
}
