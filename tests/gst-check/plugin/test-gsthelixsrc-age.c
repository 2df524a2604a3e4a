/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How old pictures are when a guest sees them, from a real encoder, by the
 * time of capture: of four guests at the same time. A fifth one that does
 * nothing with them tells what this machine adds while it is busy.
 */
#include <gst/check/gstcheck.h>
#include <string.h>

#include "gsthelixmode.h"
#include "helix-platform.h"
#include "stream-fixture.h"
#include "stream-pipeline.h"

#define MS GST_MSECOND

/* A keyframe only when it is asked for. */
#define HOST \
  "videotestsrc is-live=true ! video/x-raw,format=I420,width=160,height=120," \
  "framerate=30/1 ! identity name=capture ! x264enc tune=zerolatency " \
  "speed-preset=ultrafast key-int-max=2147483647 ! " \
  "helixguestsink name=sink address=unix:%s"

typedef struct {
  guint64 seen, age; /* when, and how old it was */
} Sight;

typedef struct {
  GstElement *pipeline;
  GMutex lock;
  GArray *sights;
  guint latency_messages;
  gchar *warning;   /* the last one, or NULL */
  guint64 stall_at; /* when to do nothing for 0.8 s; 0: not */
} Guest;

static GstElement *host;
static Guest control, slow, stalled, synced, patient;
static Guest *const guests[] = {&control, &slow, &stalled, &synced, &patient};

static GstPadProbeReturn
stamp (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstBuffer *buffer = gst_buffer_make_writable (info->data);

  gst_buffer_add_reference_timestamp_meta (
      buffer, gst_helix_capture_caps (), helix_now_ns (), GST_CLOCK_TIME_NONE);
  info->data = buffer;
  return GST_PAD_PROBE_OK;
}

/* The sink shows it: behind its wait for the clock, if it waits. */
static void
on_handoff (GstElement *sink, GstBuffer *buffer, GstPad *pad, gpointer data)
{
  guint64 captured = buffer_capture (buffer);
  Sight sight = {.seen = helix_now_ns ()};
  Guest *guest = data;

  if (captured == 0)
    return; /* before the clocks' offset is known */
  sight.age = sight.seen > captured ? sight.seen - captured : 0;
  g_mutex_lock (&guest->lock);
  g_array_append_val (guest->sights, sight);
  g_mutex_unlock (&guest->lock);
  if (guest->stall_at != 0 && sight.seen >= guest->stall_at) {
    guest->stall_at = 0;
    /* That is the stall. */
    g_usleep (800000);
  }
}

static void
begin_guest (Guest *guest, const gchar *rest)
{
  GstElement *out;

  memset (guest, 0, sizeof *guest);
  g_mutex_init (&guest->lock);
  guest->sights = g_array_new (FALSE, FALSE, sizeof (Sight));
  guest->pipeline =
      pipeline_launch ("helixsrc name=src address=unix:%s ! %s", path, rest);
  out = gst_bin_get_by_name (GST_BIN (guest->pipeline), "out");
  g_object_set (out, "signal-handoffs", TRUE, NULL);
  g_signal_connect (out, "handoff", G_CALLBACK (on_handoff), guest);
  gst_object_unref (out);
  pipeline_play (guest->pipeline);
}

static void
end_guest (Guest *guest)
{
  pipeline_end (guest->pipeline);
  g_array_unref (guest->sights);
  g_free (guest->warning);
  g_mutex_clear (&guest->lock);
}

static void
begin_host (void)
{
  GstElement *capture;
  GstPad *pad;

  host = pipeline_launch (HOST, path);
  capture = gst_bin_get_by_name (GST_BIN (host), "capture");
  pad = gst_element_get_static_pad (capture, "src");
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, stamp, NULL, NULL);
  gst_object_unref (pad);
  gst_object_unref (capture);
  pipeline_play (host);
}

/* What an application does with the messages of its pipeline. */
static void
attend (Guest *guest)
{
  GstBus *bus = gst_element_get_bus (guest->pipeline);
  GstMessage *message;
  GError *error = NULL;

  while ((message = gst_bus_pop (bus)) != NULL) {
    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_LATENCY) {
      guest->latency_messages++;
      gst_bin_recalculate_latency (GST_BIN (guest->pipeline));
    } else if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_WARNING) {
      gst_message_parse_warning (message, &error, NULL);
      g_free (guest->warning);
      guest->warning = g_strdup (error->message);
      g_clear_error (&error);
    }
    fail_if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR);
    gst_message_unref (message);
  }
  gst_object_unref (bus);
}

static void
run_until (guint64 time)
{
  while (helix_now_ns () < time) {
    for (guint i = 0; i < G_N_ELEMENTS (guests); i++)
      attend (guests[i]);
    /* Time is what this is about. */
    g_usleep (20000);
  }
}

static gint
compare (gconstpointer a, gconstpointer b)
{
  guint64 x = *(const guint64 *) a, y = *(const guint64 *) b;

  return x < y ? -1 : x > y;
}

/* The age that so many percent of what was seen from then on had at most. */
static guint64
age_of (Guest *guest, guint percent, guint64 from)
{
  GArray *ages = g_array_new (FALSE, FALSE, sizeof (guint64));
  guint64 age;

  g_mutex_lock (&guest->lock);
  for (guint i = 0; i < guest->sights->len; i++) {
    Sight *sight = &g_array_index (guest->sights, Sight, i);

    if (sight->seen >= from)
      g_array_append_val (ages, sight->age);
  }
  g_mutex_unlock (&guest->lock);
  fail_unless (ages->len > 0, "nothing was seen");
  g_array_sort (ages, compare);
  age = g_array_index (ages, guint64, (ages->len - 1) * percent / 100);
  g_array_unref (ages);
  return age;
}

static guint64
latency_of (Guest *guest)
{
  GstElement *src = gst_bin_get_by_name (GST_BIN (guest->pipeline), "src");
  GstQuery *query = gst_query_new_latency ();
  GstClockTime min;

  fail_unless (gst_element_query (src, query));
  gst_query_parse_latency (query, NULL, &min, NULL);
  gst_query_unref (query);
  gst_object_unref (src);
  return min;
}

/* Its oldest picture but for some percent, from then on, is not older than that
 * and what this machine adds, from `cause` on: what it adds at one moment can
 * keep the guest late for seconds. */
static void
expect_age (
    Guest *guest, guint percent, guint64 cause, guint64 from, guint64 most)
{
  guint64 age = age_of (guest, percent, from);
  guint64 machine = age_of (&control, 100, cause);

  GST_INFO ("age %u ms, control %u ms, %u latency messages", (guint) (age / MS),
      (guint) (machine / MS), guest->latency_messages);
  fail_unless (age <= most + machine, "%u ms, %u ms of it this machine's",
      (guint) (age / MS), (guint) (machine / MS));
}

/* slow: a decoder that is 20 % too slow: never a picture older than 600 ms,
 * however long it goes on (before, 200 ms older each second), and at most a
 * keyframe a second. That is told, once.
 * stalled: a viewer that waits for the clock, and stalls once for 0.8 s: five
 * seconds later it is as if nothing had been (before, 0.9 s late for ever).
 * synced: a viewer that waits for the clock and needs 10 ms for each picture of
 * 33 ms has time enough: what it announces does not grow by its own waits
 * (before, 5.9 s after 10 s, and then nothing more came).
 * patient: a pipeline that waits on purpose, longer than max-age, leaves
 * nothing out and does not call that slow. */
GST_START_TEST (test_age)
{
  guint64 start = helix_now_ns (), stall = start + 2 * GST_SECOND;

  begin_host ();
  begin_guest (&control, "fakesink name=out sync=false");
  begin_guest (
      &slow, "identity sleep-time=40000 ! fakesink name=out sync=false");
  begin_guest (&stalled, "fakesink name=out sync=true");
  g_mutex_lock (&stalled.lock);
  stalled.stall_at = stall;
  g_mutex_unlock (&stalled.lock);
  begin_guest (
      &synced, "identity sleep-time=10000 ! fakesink name=out sync=true");
  begin_guest (&patient, "fakesink name=out sync=true");
  gst_pipeline_set_latency (GST_PIPELINE (patient.pipeline), 2 * GST_SECOND);
  fail_unless (gst_bin_recalculate_latency (GST_BIN (patient.pipeline)));
  run_until (stall + 7 * GST_SECOND);

  expect_age (&slow, 100, start, start, 600 * MS);
  fail_unless (pipeline_stat (slow.pipeline, "src", "skips") >= 2);
  fail_unless (slow.warning != NULL && strstr (slow.warning, "max-age") != NULL,
      "%s", slow.warning);
  expect_age (&stalled, 50, stall, stall + 6 * GST_SECOND, 100 * MS);
  fail_unless (stalled.latency_messages <= 12);
  fail_unless (latency_of (&synced) <= 2 * latency_of (&control) + 300 * MS,
      "%u ms, without work %u ms", (guint) (latency_of (&synced) / MS),
      (guint) (latency_of (&control) / MS));
  fail_unless (synced.warning == NULL || strstr (synced.warning, "3 s") == NULL,
      "%s", synced.warning);
  fail_unless_equals_uint64 (
      pipeline_stat (synced.pipeline, "src", "reconnects"), 0);
  fail_unless (age_of (&patient, 50, start) >= 1 * GST_SECOND, "%u ms",
      (guint) (age_of (&patient, 50, start) / MS));
  fail_unless_equals_uint64 (
      pipeline_stat (patient.pipeline, "src", "skips"), 0);
  fail_unless (patient.warning == NULL, "%s", patient.warning);
  fail_unless (pipeline_stat (host, "sink", "keyframes-requested") <= 30);

  for (guint i = 0; i < G_N_ELEMENTS (guests); i++)
    end_guest (guests[i]);
  pipeline_end (host);
}
GST_END_TEST;

static Suite *
helixsrc_age_suite (void)
{
  TCase *tc;
  Suite *s = stream_suite ("helixsrc-age", 60, &tc);

  if (have_elements ("x264enc"))
    tcase_add_test (tc, test_age);
  return s;
}

GST_CHECK_MAIN (helixsrc_age);
