/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemusrc-fixture.h"

#include "helix-marker.h"

#define TYPES (GST_MESSAGE_INFO | GST_MESSAGE_WARNING | GST_MESSAGE_ERROR)

FakeShim *shim;
SimChild *sim;
GstHarness *h;
GstBus *bus;

GstVideoInfo
video_info (void)
{
  static GstVideoInfo info;
  GstCaps *caps;

  if (h != NULL) {
    caps = gst_pad_get_current_caps (h->sinkpad);
    fail_unless (caps != NULL && gst_video_info_from_caps (&info, caps));
    gst_caps_unref (caps);
  }
  return info;
}

guint32
number_of (GstBuffer *buffer)
{
  GstVideoInfo info = video_info ();
  guint component = GST_VIDEO_INFO_IS_YUV (&info) ? 0 : 1; /* Y or green */
  GstVideoFrame frame;
  guint32 number = 0;

  fail_unless (gst_video_frame_map (&frame, &info, buffer, GST_MAP_READ));
  fail_unless (
      helix_marker_read (GST_VIDEO_FRAME_COMP_DATA (&frame, component),
          (guint32) GST_VIDEO_FRAME_COMP_STRIDE (&frame, component),
          (guint32) GST_VIDEO_FRAME_COMP_PSTRIDE (&frame, component), &number),
      "the marker cannot be read");
  gst_video_frame_unmap (&frame);
  return number;
}

GstBuffer *
pull (void)
{
  GstBuffer *buffer = gst_harness_pull (h);

  fail_unless (buffer != NULL, "no buffer came");
  return buffer;
}

guint32
pull_number (void)
{
  g_autoptr (GstBuffer) buffer = pull ();

  return number_of (buffer);
}

GstBuffer *
expect_buffer (guint32 number)
{
  GstBuffer *buffer = pull ();

  fail_unless_equals_int (number_of (buffer), number);
  return buffer;
}

static void
start (const gchar *caps, const gchar *first, va_list args)
{
  h = gst_harness_new ("helixqemusrc");
  fail_unless (h != NULL);
  gst_harness_use_systemclock (h);
  gst_harness_set_sink_caps_str (h, caps);
  g_object_set (h->element, "socket-path", path, NULL);
  if (first != NULL)
    g_object_set_valist (G_OBJECT (h->element), first, args);
  bus = gst_bus_new ();
  gst_element_set_bus (h->element, bus);
  gst_harness_play (h);
}

void
play (const FakeConfig *config, const gchar *caps, const gchar *first, ...)
{
  const FakeConfig plain = {.width = 640, .height = 96, .scanouts = 2};
  va_list args;

  shim = fake_shim_new (path, config != NULL ? config : &plain);
  va_start (args, first);
  start (caps, first, args);
  va_end (args);
  fail_unless (fake_shim_wait_subscribed (shim));
}

void
play_sim (const gchar *options, const gchar *caps, const gchar *first, ...)
{
  va_list args;

  sim = sim_child_new (path, options);
  va_start (args, first);
  start (caps, first, args);
  va_end (args);
}

void
finish (void)
{
  if (gst_pad_has_current_caps (h->sinkpad))
    video_info ();
  gst_harness_teardown (g_steal_pointer (&h));
  g_clear_pointer (&shim, fake_shim_free);
  g_clear_pointer (&sim, sim_child_end);
  gst_bus_set_flushing (bus, TRUE);
  gst_object_unref (bus);
}

void
send_frame (guint32 number)
{
  fail_unless (fake_shim_send (shim, number, NULL, 0));
}

void
send_size (guint width, guint height, guint32 number)
{
  fake_shim_resize (shim, width, height, HELIX_FOURCC_BGRX);
  send_frame (number);
}

void
show_frame (guint32 number)
{
  send_frame (number);
  fail_unless_equals_int (pull_number (), number);
}

GstBuffer *
pull_new (void)
{
  GstBuffer *buffer = pull ();

  while (buffer_capture (buffer) == 0) {
    gst_buffer_unref (buffer);
    buffer = pull ();
  }
  return buffer;
}

guint64
stat_of (const gchar *name)
{
  return element_stat (h->element, name);
}

/* Takes a buffer, if one came. */
static gboolean
has_reached (const gchar *name, guint64 least)
{
  GstBuffer *buffer = gst_harness_try_pull (h);

  if (buffer != NULL)
    gst_buffer_unref (buffer);
  return stat_of (name) >= least;
}

void
await_stat (const gchar *name, guint64 least)
{
  TEST_AWAIT (has_reached (name, least));
}

guint64
compare_frames (GstVideoInfo *info, GstBuffer *got, GstBuffer *want,
    guint components, gint most)
{
  GstVideoFrame a, b;
  guint64 sum = 0;

  fail_unless (gst_video_frame_map (&a, info, got, GST_MAP_READ));
  fail_unless (gst_video_frame_map (&b, info, want, GST_MAP_READ));
  for (guint c = 0; c < components; c++)
    for (gint y = 0; y < GST_VIDEO_FRAME_COMP_HEIGHT (&a, c); y++)
      for (gint x = 0; x < GST_VIDEO_FRAME_COMP_WIDTH (&a, c); x++) {
        gint step = GST_VIDEO_FRAME_COMP_PSTRIDE (&a, c);
        const guint8 *is = GST_VIDEO_FRAME_COMP_DATA (&a, c);
        const guint8 *wanted = GST_VIDEO_FRAME_COMP_DATA (&b, c);
        gint off;

        is += y * GST_VIDEO_FRAME_COMP_STRIDE (&a, c) + x * step;
        wanted += y * GST_VIDEO_FRAME_COMP_STRIDE (&b, c) + x * step;
        off = ABS (*is - *wanted);
        if (off > most)
          fail ("%dx%d: component %u at %d,%d is %u, not %u", info->width,
              info->height, c, x, y, *is, *wanted);
        sum += (guint64) off;
      }
  gst_video_frame_unmap (&a);
  gst_video_frame_unmap (&b);
  return sum;
}

void
renegotiate (const gchar *caps)
{
  gst_harness_set_sink_caps_str (h, caps);
  gst_harness_push_upstream_event (h, gst_event_new_reconfigure ());
}

void
await_subscribes (guint least)
{
  fail_unless (fake_shim_wait_subscribes (shim, least), "no SUBSCRIBE");
}

struct helix_subscribe
expect_subscribes (guint count)
{
  await_subscribes (count);
  fail_unless_equals_int (fake_shim_subscribes (shim), count);
  return fake_shim_subscription (shim);
}

void
expect_message (GstMessageType type, const gchar *word)
{
  GstMessage *message = gst_bus_timed_pop_filtered (bus, TEST_SOON, TYPES);
  GError *error = NULL;
  gchar *debug = NULL;

  fail_unless (message != NULL, "no message of '%s'", word);
  fail_unless (GST_MESSAGE_TYPE (message) == type, "%" GST_PTR_FORMAT, message);
  if (type == GST_MESSAGE_INFO)
    gst_message_parse_info (message, &error, &debug);
  else if (type == GST_MESSAGE_WARNING)
    gst_message_parse_warning (message, &error, &debug);
  else
    gst_message_parse_error (message, &error, &debug);
  fail_unless (strstr (error->message, word) != NULL, "%s", error->message);
  if (type == GST_MESSAGE_INFO) /* gst-launch-1.0 prints the other one */
    fail_unless_equals_string (debug, error->message);
  g_clear_error (&error);
  g_free (debug);
  gst_message_unref (message);
}

void
expect_no_message (void)
{
  GstMessage *message = gst_bus_pop_filtered (bus, TYPES);

  fail_unless (message == NULL, "%" GST_PTR_FORMAT, message);
}
