/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether what helixsrc says about time is true: held against the marker in
 * the picture, which tells what frame of the screen a unit is, and against a
 * host whose clock is another.
 */
#include <gst/check/gstcheck.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-test-time.h"
#include "sim-child.h"
#include "stream-fixture.h"
#include "stream-peer.h"
#include "stream-pipeline.h"

#define FRAMES 60u
#define MAX_FRAMES 4096u

/* What was seen of each frame of the screen, ns of this machine's clock. */
static GMutex lock;
static guint64 captured[MAX_FRAMES]; /* on the host, 0: not seen */
static guint32 newest;               /* of these */

static guint32
number_of (GstSample *sample)
{
  guint32 number;

  fail_unless (sample_marker (sample, &number));
  fail_unless (number < MAX_FRAMES);
  return number;
}

/* Behind helixqemusrc: when each frame was captured. */
static GstPadProbeReturn
note_capture (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  GstCaps *caps = gst_pad_get_current_caps (pad);
  GstSample *sample = gst_sample_new (buffer, caps, NULL, NULL);
  guint64 now = helix_now_ns (), time = buffer_capture (buffer);
  guint32 number = number_of (sample);

  gst_sample_unref (sample);
  gst_caps_unref (caps);
  if (time == 0)
    return GST_PAD_PROBE_OK; /* a repetition is not captured */
  fail_unless (time <= now && now - time < TEST_SOON);
  g_mutex_lock (&lock);
  captured[number] = time;
  newest = MAX (newest, number);
  g_mutex_unlock (&lock);
  return GST_PAD_PROBE_OK;
}

/* A field of the statistics of a source, 0 when it is not there. */
static guint64
stat_of_source (GstElement *source, const gchar *field)
{
  GstStructure *stats;
  guint64 value = 0;

  g_object_get (source, "stats", &stats, NULL);
  gst_structure_get_uint64 (stats, field, &value);
  gst_structure_free (stats);
  return value;
}

typedef struct {
  GstClockTime pts;
  guint64 capture, seen; /* as the guest says; when it did */
  guint64 error;         /* what it then knew of the host's clock */
} Unit;

/* Behind helixsrc: what it says of each unit. */
static GstPadProbeReturn
note_unit (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  Unit unit = {.pts = GST_BUFFER_PTS (buffer), .seen = helix_now_ns ()};
  GstElement *source = gst_pad_get_parent_element (pad);

  unit.error = stat_of_source (source, "clock-offset-error");
  gst_object_unref (source);
  unit.capture = buffer_capture (buffer);
  g_mutex_lock (&lock);
  g_array_append_val ((GArray *) data, unit);
  g_mutex_unlock (&lock);
  return GST_PAD_PROBE_OK;
}

static void
add_probe (GstElement *pipeline, GstPadProbeCallback callback, gpointer data)
{
  GstElement *source = gst_bin_get_by_name (GST_BIN (pipeline), "src");
  GstPad *pad = gst_element_get_static_pad (source, "src");

  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, callback, data, NULL);
  gst_object_unref (pad);
  gst_object_unref (source);
}

static gint
compare (gconstpointer a, gconstpointer b)
{
  guint64 x = *(const guint64 *) a, y = *(const guint64 *) b;

  return x < y ? -1 : x > y;
}

static guint64
median (GArray *values)
{
  fail_unless (values->len > 0);
  g_array_sort (values, compare);
  return g_array_index (values, guint64, values->len / 2);
}

/* Unit by its PTS, which the decoder keeps. */
static Unit
unit_of (GArray *units, GstClockTime pts)
{
  Unit found = {0};

  g_mutex_lock (&lock);
  for (guint i = 0; i < units->len; i++)
    if (g_array_index (units, Unit, i).pts == pts)
      found = g_array_index (units, Unit, i);
  g_mutex_unlock (&lock);
  fail_unless (found.seen != 0, "a picture without a unit");
  return found;
}

/* The marker says which frame a decoded picture is, the host's side when
 * that frame was captured, both in the one clock of this machine; helixsrc
 * came to its answer over the wire and by PING and PONG. Equal to 1 ms; and
 * so are the ages that its statistics give. */
GST_START_TEST (test_marker)
{
  g_autofree gchar *socket = g_build_filename (folder, "helix.sock", NULL);
  SimChild *sim = sim_child_new (socket, "--size=640x96 --rate=30");
  GArray *units = g_array_new (FALSE, FALSE, sizeof (Unit));
  GArray *ages = g_array_new (FALSE, FALSE, sizeof (guint64));
  GstElement *host =
      pipeline_launch ("helixqemusrc name=src socket-path=%s ! x264enc "
                       "tune=zerolatency speed-preset=ultrafast ! "
                       "helixguestsink address=unix:%s",
          socket, path);
  GstElement *guest =
      pipeline_launch ("helixsrc name=src address=unix:%s ! h264parse ! "
                       "avdec_h264 max-threads=1 ! videoconvert ! "
                       "video/x-raw,format=GRAY8 ! "
                       "appsink name=out sync=false",
          path);
  GstClockTime last = GST_CLOCK_TIME_NONE, base;
  guint64 worst = 0, p50, measured;
  guint32 from = G_MAXUINT32; /* captured when the clock was known */

  add_probe (host, note_capture, NULL);
  add_probe (guest, note_unit, units);
  pipeline_play (host);
  pipeline_play (guest);
  base = gst_element_get_base_time (guest);
  while (ages->len < FRAMES) {
    GstSample *sample = pipeline_pull (guest);
    GstBuffer *picture = gst_sample_get_buffer (sample);
    guint32 number = number_of (sample);
    Unit unit = unit_of (units, GST_BUFFER_PTS (picture));
    guint64 truth, age;

    /* Stamps grow, and are of this pipeline's time. */
    fail_unless (!GST_CLOCK_TIME_IS_VALID (last) || unit.pts > last);
    last = unit.pts;
    fail_unless (last + base <= helix_now_ns ());
    fail_unless (last + base + TEST_SOON > helix_now_ns ());
    g_mutex_lock (&lock);
    truth = captured[number];
    if (from == G_MAXUINT32 && unit.capture != 0
        && unit.error <= GST_MSECOND / 2)
      from = newest;
    g_mutex_unlock (&lock);
    fail_unless (truth != 0, "frame %u was never captured", number);
    gst_sample_unref (sample);
    if (number <= from)
      continue; /* it may have been stamped before the first PONGs */
    age = (guint64) ABS ((gint64) (unit.capture - truth));
    worst = MAX (worst, age);
    age = unit.seen - truth;
    g_array_append_val (ages, age);
  }
  fail_unless (worst <= GST_MSECOND, "off by %u us", (guint) (worst / 1000));
  measured = median (ages);
  p50 = pipeline_stat (guest, "src", "latency-p50");
  /* The histogram's buckets are 1/16 wide; and it has the first pictures, too,
   * which a busy machine delays by more. */
  fail_unless (ABS ((gint64) (p50 - measured))
          <= (gint64) (5 * GST_MSECOND + measured / 2),
      "says %u us, is %u us", (guint) (p50 / 1000), (guint) (measured / 1000));
  fail_unless (pipeline_stat (guest, "src", "transit-p50") <= p50);
  fail_unless (pipeline_stat (guest, "src", "transit-max") > 0);
  GST_INFO ("off by at most %" GST_TIME_FORMAT ", latency p50 %" GST_TIME_FORMAT
            ", transit p50 %" GST_TIME_FORMAT,
      GST_TIME_ARGS (worst), GST_TIME_ARGS (p50),
      GST_TIME_ARGS (pipeline_stat (guest, "src", "transit-p50")));
  pipeline_end (guest);
  pipeline_end (host);
  sim_child_end (sim);
  g_array_unref (ages);
  g_array_unref (units);
}
GST_END_TEST;

/* ---- another clock ---- */

static const gint64 skews[] = {3600 * (gint64) GST_SECOND, 0,
    -(gint64) GST_SECOND, (gint64) GST_SECOND * 100 * 365 * 86400};

/* The host's clock is another by `skews`: the capture time comes out in ours,
 * and PTS is it in the pipeline's. */
GST_START_TEST (test_skewed_host)
{
  GstElement *guest = pipeline_launch (
      "helixsrc name=src address=unix:%s ! appsink name=out sync=false", path);
  gint listener = peer_listen (path);
  guint64 before, after, said, max;
  GstSample *sample;
  GstBuffer *buffer;
  StreamPeer peer;
  gint64 off;

  pipeline_play (guest);
  peer_accept (&peer, listener);
  peer.ahead = (guint64) skews[__i__];
  peer_welcome (&peer);
  peer_send_caps (&peer, 1);
  fixture_teach_clock (guest, "src", &peer);
  before = helix_now_ns ();
  peer_send_unit (&peer, 0, HELIX_UNIT_KEY, "abcd", 4);
  after = helix_now_ns ();
  sample = pipeline_pull (guest);
  buffer = gst_sample_get_buffer (sample);
  said = buffer_capture (buffer);
  fail_unless (said + GST_MSECOND >= before && said <= after + GST_MSECOND,
      "off by %" G_GINT64_FORMAT, (gint64) (said - before));
  off = (gint64) (GST_BUFFER_PTS (buffer) + gst_element_get_base_time (guest)
      - said);
  /* The element reads two clocks, one after the other. */
  fail_unless (ABS (off) <= (gint64) GST_SECOND / 2,
      "PTS is off by %" G_GINT64_FORMAT, off);
  gst_sample_unref (sample);
  fail_unless_equals_uint64 (pipeline_stat (guest, "src", "latency-count"), 1);
  max = pipeline_stat (guest, "src", "latency-max");
  fail_unless (pipeline_stat (guest, "src", "latency-p50") <= max);
  fail_unless (max < TEST_SOON);
  pipeline_end (guest);
  peer_clear (&peer);
  close (listener);
}
GST_END_TEST;

/* ---- a host that stands still ---- */

/* It is stopped: its kernel goes on taking connections, nobody answers. That
 * is told within 3 s; and whenever it goes on, even at the very moment when
 * helixsrc has given up another attempt, the picture is back within 1 s. */
GST_START_TEST (test_stopped_host)
{
  GstElement *guest = pipeline_launch (
      "helixsrc name=src address=unix:%s ! appsink name=out sync=false", path);
  gint listener = peer_listen (path);
  StreamPeer peer, dead;
  guint64 begin, took;
  GstSample *sample;

  pipeline_play (guest);
  peer_accept (&peer, listener);
  peer_welcome (&peer);
  peer_send_caps (&peer, 1);
  peer_send_unit (&peer, 0, HELIX_UNIT_KEY, "a", 1);
  gst_sample_unref (pipeline_pull (guest));
  pipeline_expect (guest, GST_MESSAGE_WARNING, "nothing came for 3 s");
  peer_clear (&peer);

  peer_accept (&dead, listener);
  while (peer_next_any (&dead) != 0)
    continue;
  begin = helix_now_ns ();
  peer_clear (&dead);
  peer_accept (&peer, listener);
  peer_welcome (&peer);
  peer_send_caps (&peer, 1);
  peer_send_unit (&peer, 0, HELIX_UNIT_KEY, "b", 1);
  sample = pipeline_pull (guest);
  took = helix_now_ns () - begin;
  /* Another attempt that is given up would cost 3 s. */
  fail_unless (took < 2900 * GST_MSECOND, "back after %u ms",
      (guint) (took / GST_MSECOND));
  gst_check_buffer_data (gst_sample_get_buffer (sample), "b", 1);
  gst_sample_unref (sample);
  pipeline_end (guest);
  peer_clear (&peer);
  close (listener);
}
GST_END_TEST;

static Suite *
helixsrc_time_suite (void)
{
  TCase *tc;
  Suite *s = stream_suite ("helixsrc-time", 60, &tc);

  tcase_add_test (tc, test_marker);
  tcase_add_loop_test (tc, test_skewed_host, 0, G_N_ELEMENTS (skews));
  tcase_add_test (tc, test_stopped_host);
  return s;
}

GST_CHECK_MAIN (helixsrc_time);
