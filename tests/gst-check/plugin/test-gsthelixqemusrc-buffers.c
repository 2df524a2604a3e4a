/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>

#include "gsthelixevents.h"
#include "picture-maker.h"
#include "qemusrc-fixture.h"

#define WIDTH 321
#define HEIGHT 97
#define SHAPE_WIDTH 7
#define SHAPE_HEIGHT 5

static const gchar *const peers[] = {"video/x-raw, format=NV12",
    "video/x-raw, format=I420", "video/x-raw, format=BGRx",
    "video/x-raw, format=BGRA"};

/* A picture of which no two pixels and no two numbers are alike. */
static void
paint (guint8 *pixels, guint width, guint height, guint stride, guint32 number)
{
  for (guint y = 0; y < height; y++)
    for (guint x = 0; x < 4 * width; x++)
      pixels[y * stride + x] = (guint8) (x * 7 + y * 13 + number * 31);
}

static const FakeConfig noise = {
    .width = WIDTH, .height = HEIGHT, .paint = paint};

static void
shape_of (guint32 serial, guint8 *shape)
{
  for (guint i = 0; i < SHAPE_WIDTH * SHAPE_HEIGHT; i++) {
    shape[4 * i + 3] = (guint8) (i * 29 + serial * 101);
    for (guint c = 0; c < 3; c++)
      shape[4 * i + c] = (guint8) (shape[4 * i + 3] / (c + 1));
  }
}

static struct helix_cursor
cursor_at (gint x, gint y, guint32 serial)
{
  struct helix_cursor cursor = {0};

  cursor.flags = HELIX_CURSOR_VISIBLE;
  cursor.x = (guint32) x;
  cursor.y = (guint32) y;
  cursor.serial = serial;
  cursor.width = SHAPE_WIDTH;
  cursor.height = SHAPE_HEIGHT;
  cursor.hot_x = 1;
  cursor.hot_y = 2;
  cursor.changed_ns = helix_now_ns ();
  return cursor;
}

static void
send_cursor (struct helix_cursor cursor, gboolean shape)
{
  guint8 pixels[SHAPE_WIDTH * SHAPE_HEIGHT * 4];

  shape_of (cursor.serial, pixels);
  if (shape)
    cursor.flags |= HELIX_CURSOR_SHAPE;
  fail_unless (fake_shim_cursor (shim, &cursor, shape ? pixels : NULL));
}

/* Takes the buffer, which is the shim's picture and the cursor, converted from
 * nothing. */
static void
check_buffer (
    GstBuffer *buffer, guint32 number, const struct helix_cursor *info)
{
  guint8 *pixels = g_malloc (WIDTH * HEIGHT * 4);
  guint8 shape[SHAPE_WIDTH * SHAPE_HEIGHT * 4];
  HelixPicture picture = {
      pixels, WIDTH, HEIGHT, WIDTH * 4, GST_VIDEO_FORMAT_BGRx};
  HelixCursor cursor = {0};
  GstVideoInfo info_out = video_info ();
  GstBuffer *reference;

  paint (pixels, WIDTH, HEIGHT, WIDTH * 4, number);
  shape_of (info->serial, shape);
  cursor.info = *info;
  cursor.image = gst_buffer_new_memdup (shape, sizeof shape);
  reference = maker_convert (&picture, &cursor, &info_out);
  compare_frames (
      &info_out, buffer, reference, GST_VIDEO_INFO_N_COMPONENTS (&info_out), 0);
  gst_buffer_unref (reference);
  gst_buffer_unref (buffer);
  helix_cursor_clear (&cursor);
  g_free (pixels);
}

/* Whether the next event is one of the cursor. If so, unref it. */
static gboolean
is_event (GstEvent **event, HelixCursor *cursor)
{
  *event = gst_harness_try_pull_event (h);
  if (*event == NULL
      || gst_helix_cursor_from_structure (
          gst_event_get_structure (*event), &cursor->info, &cursor->image))
    return *event != NULL;
  gst_event_unref (*event);
  return FALSE;
}

static HelixCursor
expect_event (GstEvent **event)
{
  HelixCursor cursor;

  TEST_AWAIT (is_event (event, &cursor));
  return cursor;
}

/* show-cursor=false: downstream is told, once with the image and then without,
 * and the picture is left alone. */
GST_START_TEST (test_events)
{
  struct helix_cursor hidden = {0};
  HelixCursor cursor;
  GstEvent *event;
  GstMapInfo map;
  guint8 shape[SHAPE_WIDTH * SHAPE_HEIGHT * 4];

  play (&noise, "video/x-raw", "keepalive-time", 0, NULL);
  send_cursor (cursor_at (-3, 20, 4), TRUE);
  cursor = expect_event (&event);
  fail_unless_equals_int (cursor.info.flags, HELIX_CURSOR_VISIBLE);
  fail_unless_equals_int ((gint32) cursor.info.x, -3);
  fail_unless_equals_int (cursor.info.y, 20);
  fail_unless_equals_int (cursor.info.serial, 4);
  fail_unless_equals_int (cursor.info.width, SHAPE_WIDTH);
  fail_unless_equals_int (cursor.info.height, SHAPE_HEIGHT);
  fail_unless_equals_int (cursor.info.hot_x, 1);
  fail_unless_equals_int (cursor.info.hot_y, 2);
  fail_unless (cursor.image != NULL);
  shape_of (4, shape);
  fail_unless (gst_buffer_map (cursor.image, &map, GST_MAP_READ));
  fail_unless (memcmp (map.data, shape, sizeof shape) == 0);
  gst_buffer_unmap (cursor.image, &map);
  gst_event_unref (event);
  send_cursor (cursor_at (50, 60, 4), FALSE);
  cursor = expect_event (&event);
  fail_unless_equals_int (cursor.info.x, 50);
  fail_unless_equals_int (cursor.info.width, SHAPE_WIDTH);
  fail_unless (cursor.image == NULL);
  gst_event_unref (event);
  send_cursor (hidden, FALSE);
  cursor = expect_event (&event);
  fail_unless_equals_int (cursor.info.flags, 0);
  gst_event_unref (event);
  send_frame (1);
  gst_buffer_unref (pull ());
  fail_unless_equals_uint64 (stat_of ("cursor-moves"), 0);
  fail_unless_equals_uint64 (stat_of ("copied"), 0);
  finish ();
}
GST_END_TEST;

/* show-cursor=true: it is in the picture, and where it moves over a screen that
 * does not change a new picture comes, without a frame from the shim and with
 * little work. */
GST_START_TEST (test_blended)
{
  static const gint steps[][2] = {{5, 5}, {6, 5}, {200, 91}, {-4, -2},
      {WIDTH - 3, HEIGHT - 3}, {-7, 0}, {120, 0}, {WIDTH, 4}, {31, 33}};
  const struct helix_rect box = {8, 10, 16, 8};
  struct helix_cursor cursor = cursor_at (300, 3, 1);
  GstBuffer *buffer;
  guint64 before;

  play (&noise, peers[__i__], "keepalive-time", 0, "show-cursor", TRUE, NULL);
  send_cursor (cursor, TRUE);
  send_frame (1);
  buffer = pull ();
  if (stat_of ("frames-out") > 1) {
    /* The frame was faster than the cursor before it. */
    gst_buffer_unref (buffer);
    buffer = pull ();
  }
  check_buffer (buffer, 1, &cursor);
  before = stat_of ("converted-bytes");
  for (guint i = 0; i < G_N_ELEMENTS (steps); i++) {
    cursor = cursor_at (steps[i][0], steps[i][1], 1 + i / 4);
    send_cursor (cursor, i % 4 == 0);
    check_buffer (pull (), 1, &cursor);
  }
  fail_unless_equals_uint64 (stat_of ("cursor-moves"), G_N_ELEMENTS (steps));
  fail_unless_equals_uint64 (stat_of ("frames-in"), 1);
  /* Two places of the cursor each, and two scratch buffers that began empty. */
  before = stat_of ("converted-bytes") - before;
  fail_unless (
      before <= 2 * WIDTH * HEIGHT * 4 + G_N_ELEMENTS (steps) * 6 * 10 * 8 * 4,
      "%u bytes were converted", (guint) before);
  /* Something new beneath it and elsewhere; its slot is the only one held. */
  fail_unless (fake_shim_send (shim, 1, &box, 1));
  check_buffer (pull (), 1, &cursor);
  fail_unless_equals_int (fake_shim_wait_free_slots (shim, 2), 2);
  finish ();
}
GST_END_TEST;

/* The picture of the moved cursor carries the time of the move. */
GST_START_TEST (test_time_of_move)
{
  struct helix_cursor cursor;
  GstClockTime first;
  GstBuffer *buffer;

  play (&noise, peers[0], "keepalive-time", 0, "show-cursor", TRUE, NULL);
  send_frame (1);
  buffer = pull ();
  first = GST_BUFFER_PTS (buffer);
  gst_buffer_unref (buffer);
  cursor = cursor_at (10, 10, 1);
  send_cursor (cursor, TRUE);
  buffer = pull ();
  fail_unless_equals_uint64 (buffer_capture (buffer), cursor.changed_ns);
  fail_unless (GST_BUFFER_PTS (buffer) > first);
  gst_buffer_unref (buffer);
  finish ();
}
GST_END_TEST;

/* A downstream that keeps all it gets, BGRx, with the cursor now seen and now
 * not: frames go on, and each is right long after. */
GST_START_TEST (test_hoarding)
{
  struct helix_cursor cursors[24];
  GstBuffer *hoard[24];

  play (&noise, peers[2], "keepalive-time", 0, "show-cursor", TRUE, NULL);
  for (guint n = 0; n < G_N_ELEMENTS (hoard); n++) {
    /* Off the picture's edge where it is not to be seen. */
    cursors[n] = cursor_at (n / 3 % 2 ? WIDTH + 5 : (gint) n, 9, 1);
    send_cursor (cursors[n], n == 0);
    send_frame (n);
    do /* past what shows the frame before with the new cursor */
      hoard[n] = pull ();
    while (GST_BUFFER_OFFSET (hoard[n]) != n + 1);
  }
  for (guint n = 0; n < G_N_ELEMENTS (hoard); n++)
    check_buffer (hoard[n], n, &cursors[n]);
  finish ();
}
GST_END_TEST;

/* Turned on and off while playing: a picture with it, a picture without, and
 * downstream is told whether to draw it. */
GST_START_TEST (test_toggle)
{
  struct helix_cursor cursor = cursor_at (40, 40, 1), hidden = cursor;
  guint subscribes = 1;
  HelixCursor told;
  GstEvent *event;

  hidden.flags = 0;
  play (&noise, peers[0], "keepalive-time", 0, NULL);
  send_cursor (cursor, TRUE);
  told = expect_event (&event);
  fail_unless (told.info.flags & HELIX_CURSOR_VISIBLE && told.image != NULL);
  gst_event_unref (event);
  send_frame (1);
  check_buffer (pull_new (), 1, &hidden);
  for (guint i = 0; i < 4; i++) {
    gboolean show = i % 2 == 0;

    g_object_set (h->element, "show-cursor", show, NULL);
    told = expect_event (&event);
    fail_unless_equals_int (told.info.flags, show ? 0 : HELIX_CURSOR_VISIBLE);
    fail_unless_equals_int (told.image != NULL, !show);
    gst_event_unref (event);
    subscribes++;
    await_subscribes (subscribes);
    send_frame (2 + i);
    check_buffer (pull_new (), 2 + i, show ? &cursor : &hidden);
  }
  finish ();
}
GST_END_TEST;

/* ---- changes downstream ---- */

/* Counts buffers of another size than that of the caps before them. */
static GstPadProbeReturn
compare_to_caps (GstPad *pad, GstPadProbeInfo *info, gpointer misfits)
{
  GstCaps *caps = gst_pad_get_current_caps (pad);
  GstVideoInfo told;

  if (!gst_video_info_from_caps (&told, caps)
      || gst_buffer_get_size (GST_PAD_PROBE_INFO_BUFFER (info)) != told.size)
    g_atomic_int_inc ((gint *) misfits);
  gst_caps_unref (caps);
  return GST_PAD_PROBE_OK;
}

/* Downstream wants another format while the screen does not change: the last
 * picture, which has the old one, is not repeated, but requested anew. */
GST_START_TEST (test_another_format)
{
  const gchar *other = peers[(__i__ + 2) % 4];
  struct helix_cursor hidden = {.serial = 1};
  gint misfits = 0; /* atomic */

  play (&noise, peers[__i__ % 4], "keepalive-time", 10, NULL);
  gst_pad_add_probe (
      h->sinkpad, GST_PAD_PROBE_TYPE_BUFFER, compare_to_caps, &misfits, NULL);
  send_frame (1);
  gst_buffer_unref (pull ());
  gst_harness_set_sink_caps_str (h, other);
  await_subscribes (2);
  fail_unless_equals_int (g_atomic_int_get (&misfits), 0);
  send_frame (2);
  check_buffer (pull_new (), 2, &hidden);
  fail_unless_equals_int (g_atomic_int_get (&misfits), 0);
  finish ();
}
GST_END_TEST;

/* Downstream's own pool, of three buffers and no more. */
static GstPadProbeReturn
offer_pool (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstQuery *query = GST_PAD_PROBE_INFO_QUERY (info);
  GstBufferPool **pool = data;
  GstStructure *config;
  GstVideoInfo layout;
  GstCaps *caps;

  if (GST_QUERY_TYPE (query) != GST_QUERY_ALLOCATION)
    return GST_PAD_PROBE_OK;
  gst_query_parse_allocation (query, &caps, NULL);
  if (caps == NULL || *pool != NULL)
    return GST_PAD_PROBE_OK;
  fail_unless (gst_video_info_from_caps (&layout, caps));
  *pool = gst_video_buffer_pool_new ();
  config = gst_buffer_pool_get_config (*pool);
  gst_buffer_pool_config_set_params (config, caps, (guint) layout.size, 1, 3);
  fail_unless (gst_buffer_pool_set_config (*pool, config));
  gst_query_add_allocation_pool (query, *pool, (guint) layout.size, 1, 3);
  return GST_PAD_PROBE_HANDLED;
}

/* A flush, while a picture waits for a buffer of downstream's: it is not
 * forgotten, though the screen changes no more. */
GST_START_TEST (test_flush)
{
  GstBufferPoolAcquireParams now = {
      .flags = GST_BUFFER_POOL_ACQUIRE_FLAG_DONTWAIT};
  struct helix_cursor hidden = {.serial = 1};
  GstBufferPool *pool = NULL;
  GstPad *pad;
  GstBuffer *taken[3];
  guint n = 0;

  play (&noise, peers[0], "keepalive-time", 0, NULL);
  gst_pad_add_probe (
      h->sinkpad, GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM, offer_pool, &pool, NULL);
  pad = gst_element_get_static_pad (h->element, "src");
  send_frame (1);
  gst_buffer_unref (pull ());
  fail_unless (pool != NULL);
  while (n < G_N_ELEMENTS (taken)
      && gst_buffer_pool_acquire_buffer (pool, &taken[n], &now) == GST_FLOW_OK)
    n++;
  send_frame (2);
  TEST_AWAIT (stat_of ("frames-in") == 2);
  gst_element_send_event (h->element, gst_event_new_flush_start ());
  TEST_AWAIT (gst_pad_get_task_state (pad) == GST_TASK_PAUSED);
  gst_element_send_event (h->element, gst_event_new_flush_stop (FALSE));
  while (n-- > 0)
    gst_buffer_unref (taken[n]);
  await_subscribes (2);
  fail_unless_equals_uint64 (stat_of ("frames-out"), 1);
  send_frame (3);
  check_buffer (pull (), 3, &hidden);
  gst_object_unref (pool);
  gst_object_unref (pad);
  finish ();
}
GST_END_TEST;

static Suite *
gst_helix_qemu_src_buffers_suite (void)
{
  TCase *tc;
  Suite *s = stream_suite ("helixqemusrc-buffers", 60, &tc);

  tcase_add_test (tc, test_events);
  tcase_add_loop_test (tc, test_blended, 0, G_N_ELEMENTS (peers));
  tcase_add_test (tc, test_time_of_move);
  tcase_add_test (tc, test_hoarding);
  tcase_add_test (tc, test_toggle);
  tcase_add_loop_test (tc, test_another_format, 0, G_N_ELEMENTS (peers));
  tcase_add_test (tc, test_flush);
  return s;
}

GST_CHECK_MAIN (gst_helix_qemu_src_buffers);
