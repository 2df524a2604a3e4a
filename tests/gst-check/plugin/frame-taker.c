/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "frame-taker.h"

#include <gst/check/gstcheck.h>

#include "helix-marker.h"
#include "helix-platform.h"
#include "helix-test-time.h"

HelixFrameClient *
taker_new (
    const gchar *path, gboolean reconnect, const HelixFrameRequest *request)
{
  HelixFrameClientConfig config = {
      .path = path, .name = "test", .auto_reconnect = reconnect};
  HelixFrameRequest plain = {.rate_den = 1};

  return helix_frame_client_new (&config, request != NULL ? request : &plain);
}

HelixCursor taker_cursor;

HelixFramesResult
taker_next (HelixFrameClient *client, HelixFrame *frame, GError **error)
{
  helix_cursor_clear (&taker_cursor);
  return helix_frame_client_next (
      client, helix_now_ns () + TEST_SOON, frame, &taker_cursor, error);
}

HelixFramesResult
taker_look (HelixFrameClient *client)
{
  GError *error = NULL;
  HelixFrame frame;
  HelixFramesResult result = helix_frame_client_next (client,
      helix_now_ns () + 10 * GST_MSECOND, &frame, &taker_cursor, &error);

  if (result == HELIX_FRAMES_FRAME)
    helix_frame_clear (&frame);
  fail_unless (error == NULL);
  return result;
}

void
taker_connect (HelixFrameClient *client, FakeShim *shim)
{
  TAKER_RUN_UNTIL (client, fake_shim_subscription (shim).rate_den != 0);
  fail_unless (fake_shim_wait_subscribed (shim));
}

guint32
taker_number (const HelixFrame *frame)
{
  guint32 number = 0;

  fail_unless (
      helix_marker_read (frame->pixels, frame->info.stride, 4, &number));
  return number;
}

void
taker_expect_frame (HelixFrameClient *client, HelixFrame *frame, guint32 number)
{
  GError *error = NULL;

  fail_unless_equals_int (
      taker_next (client, frame, &error), HELIX_FRAMES_FRAME);
  fail_unless_equals_int (taker_number (frame), number);
}

void
taker_expect_words (GError **error, const gchar *word, const gchar *other_word)
{
  fail_unless (*error != NULL);
  GST_INFO ("%s", (*error)->message);
  fail_unless (strstr ((*error)->message, word) != NULL, "%s does not say %s",
      (*error)->message, word);
  fail_unless (strstr ((*error)->message, other_word) != NULL,
      "%s does not say %s", (*error)->message, other_word);
  g_clear_error (error);
}

void
taker_expect_error (
    const gchar *path, const HelixFrameRequest *request, const gchar *word)
{
  HelixFrameClient *client = taker_new (path, TRUE, request);
  HelixFrame frame;
  GError *error = NULL;

  fail_unless_equals_int (
      taker_next (client, &frame, &error), HELIX_FRAMES_FAILED);
  taker_expect_words (&error, word, path);
  helix_frame_client_free (client);
}
