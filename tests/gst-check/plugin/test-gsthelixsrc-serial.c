/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* helixsrc on a stream that outlives both ends. */
#include <gst/check/gstcheck.h>

#include "helix-platform.h"
#include "helix-test-time.h"
#include "serial-line.h"
#include "stream-peer.h"
#include "stream-pipeline.h"

static gchar *folder, *path, *address;

static void
setup (void)
{
  folder = peer_folder_new ();
  path = g_build_filename (folder, "s", NULL);
  address = g_strdup_printf ("unix:%s", path);
}

static void
teardown (void)
{
  g_free (address);
  g_free (path);
  peer_folder_free (folder);
}

/* The guest is killed again and again, in the middle of units of 30 kB, and
 * each successor is in the picture in no time. */
GST_START_TEST (test_serial_guest_restarts)
{
  GstElement *host, *guest;
  SerialLine line;

  serial_line_start (&line, path, TRUE, NULL);
  host = pipeline_play (
      pipeline_launch ("videotestsrc is-live=true pattern=snow ! "
                       "video/x-raw,width=256,height=192,framerate=30/1 ! "
                       "jpegenc ! helixguestsink address=%s mode=connect",
          address));
  for (guint i = 0; i < 5; i++) {
    guint64 begin = helix_now_ns ();

    guest = pipeline_play (pipeline_launch (
        "helixsrc address=serial:%s ! image/jpeg,width=256 ! jpegdec ! "
        "appsink name=out sync=false",
        line.name));
    for (guint n = 0; n < 3; n++)
      gst_sample_unref (pipeline_pull (guest));
    fail_unless (helix_now_ns () - begin < TEST_SOON);
    pipeline_end (guest);
  }
  pipeline_end (host);
  serial_line_stop (&line);
}
GST_END_TEST;

GST_START_TEST (test_serial_host_restarts)
{
  GstElement *host, *guest;
  SerialLine line;

  serial_line_start (&line, path, TRUE, NULL);
  guest = pipeline_play (pipeline_launch (
      "helixsrc address=serial:%s ! jpegdec ! appsink name=out sync=false "
      "max-buffers=2 drop=true",
      line.name));
  for (guint i = 0; i < 3; i++) {
    host = pipeline_play (
        pipeline_launch ("videotestsrc is-live=true pattern=snow ! "
                         "video/x-raw,width=256,height=192,framerate=30/1 ! "
                         "jpegenc ! helixguestsink address=%s mode=connect",
            address));
    for (guint n = 0; n < 5; n++)
      gst_sample_unref (pipeline_pull (guest));
    pipeline_end (host);
  }
  pipeline_end (guest);
  serial_line_stop (&line);
}
GST_END_TEST;

static Suite *
helixsrc_serial_suite (void)
{
  Suite *s = suite_create ("helixsrc-serial");
  TCase *tc = tcase_create ("serial");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_serial_guest_restarts);
  tcase_add_test (tc, test_serial_host_restarts);
  return s;
}

GST_CHECK_MAIN (helixsrc_serial);
