/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>

#include "qemusrc-fixture.h"

#define TYPES (GST_MESSAGE_INFO | GST_MESSAGE_WARNING | GST_MESSAGE_ERROR)

gchar *path;
FakeShim *shim;
GstHarness *h;
GstBus *bus;

static void
setup (void)
{
  path = fake_path_new ();
}

static void
teardown (void)
{
  fake_path_free (path);
}

Suite *
fixture_suite (const gchar *name, gdouble timeout, TCase **tc)
{
  Suite *suite = suite_create (name);

  *tc = tcase_create ("general");
  suite_add_tcase (suite, *tc);
  tcase_add_checked_fixture (*tc, setup, teardown);
  tcase_set_timeout (*tc, timeout);
  return suite;
}

void
play (const FakeConfig *config, const gchar *caps, const gchar *first, ...)
{
  const FakeConfig plain = {.width = 640, .height = 96, .scanouts = 2};
  va_list args;

  shim = fake_shim_new (path, config != NULL ? config : &plain);
  h = qemusrc_harness_new (path, caps, NULL);
  va_start (args, first);
  if (first != NULL)
    g_object_set_valist (G_OBJECT (h->element), first, args);
  va_end (args);
  bus = gst_bus_new ();
  gst_element_set_bus (h->element, bus);
  gst_harness_play (h);
  fail_unless (fake_shim_wait_subscribed (shim));
}

void
finish (void)
{
  gst_harness_teardown (h);
  g_clear_pointer (&shim, fake_shim_free);
  gst_bus_set_flushing (bus, TRUE);
  gst_object_unref (bus);
}

void
send_frame (guint32 number)
{
  fail_unless (fake_shim_send (shim, number, NULL, 0));
}

void
show_frame (guint32 number)
{
  send_frame (number);
  gst_buffer_unref (qemusrc_expect (h, number));
}

static guint64
timestamp_of (GstBuffer *buffer, const gchar *name)
{
  GstCaps *caps = gst_caps_new_empty_simple (name);
  GstReferenceTimestampMeta *meta =
      gst_buffer_get_reference_timestamp_meta (buffer, caps);

  gst_caps_unref (caps);
  return meta != NULL ? meta->timestamp : 0;
}

guint64
capture_of (GstBuffer *buffer)
{
  return timestamp_of (buffer, "timestamp/x-system-monotonic");
}

guint64
pushed_of (GstBuffer *buffer)
{
  return timestamp_of (buffer, "timestamp/x-helix-pushed");
}

GstBuffer *
pull_new (void)
{
  GstBuffer *buffer = gst_harness_pull (h);

  while (buffer != NULL && capture_of (buffer) == 0) {
    gst_buffer_unref (buffer);
    buffer = gst_harness_pull (h);
  }
  fail_unless (buffer != NULL);
  return buffer;
}

guint64
stat_of (const gchar *name)
{
  return qemusrc_stat (h->element, name);
}

struct helix_subscribe
expect_subscribes (guint count)
{
  guint64 limit = helix_now_ns () + TEST_SOON;

  while (fake_shim_subscribes (shim) < count && helix_now_ns () < limit)
    g_thread_yield ();
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
