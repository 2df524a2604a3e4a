/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* helixguestsink and helixsrc with a secret in a file, over each transport. */
#include <glib/gstdio.h>
#include <gst/check/gstcheck.h>
#include <string.h>

#include "helix-protocol.h"
#include "serial-line.h"
#include "stream-fixture.h"
#include "stream-pipeline.h"

#define TOKEN "Zm9yIHRlc3RzIG9ubHk="
#define VIDEO \
  "videotestsrc is-live=true ! video/x-raw,width=64,height=64,framerate=30/1 " \
  "! jpegenc ! "

static gchar *file;

static void
write_token (const gchar *name, const gchar *token)
{
  fail_unless (g_file_set_contents (name, token, -1, NULL));
  fail_unless (g_chmod (name, 0600) == 0);
}

static void
setup (void)
{
  g_autofree gchar *other = g_build_filename (folder, "other", NULL);

  file = g_build_filename (folder, "token", NULL);
  write_token (file, TOKEN "\n");
  write_token (other, "guess\n");
}

static void
teardown (void)
{
  g_free (file);
}

static GstElement *
play_host (const gchar *address, const gchar *properties)
{
  return pipeline_play (pipeline_launch (
      VIDEO "helixguestsink name=end address=%s %s", address, properties));
}

static GstElement *
play_guest (const gchar *address, const gchar *properties)
{
  return pipeline_play (pipeline_launch (
      "helixsrc name=end address=%s %s ! appsink name=out sync=false "
      "max-buffers=2 drop=true",
      address, properties));
}

/* The properties of an element with that file; "": with none. */
static gchar *
token_of (const gchar *name)
{
  return *name == '\0' ? g_strdup ("")
                       : g_strdup_printf ("token-file=%s/%s", folder, name);
}

/* ---- the same at both ends ---- */

static gchar *
address_of (GstElement *pipeline)
{
  GstElement *end = gst_bin_get_by_name (GST_BIN (pipeline), "end");
  gchar *address = element_address (end);

  gst_object_unref (end);
  return address;
}

/* An address of NULL: the one at which the other end listens; it begins then.
 * The modes are properties, or "". */
static void
run_with (const gchar *host_address, const gchar *host_mode,
    const gchar *guest_address, const gchar *guest_mode)
{
  g_autofree gchar *token = token_of ("token");
  g_autofree gchar *ours = g_strdup_printf ("%s %s", token, host_mode);
  g_autofree gchar *theirs = g_strdup_printf ("%s %s", token, guest_mode);
  g_autofree gchar *address = NULL;
  GstElement *host, *guest;

  if (host_address != NULL) {
    host = play_host (host_address, ours);
    if (guest_address == NULL)
      guest_address = address = address_of (host);
    guest = play_guest (guest_address, theirs);
  } else {
    guest = play_guest (guest_address, theirs);
    address = address_of (guest);
    host = play_host (address, ours);
  }
  for (guint i = 0; i < 3; i++)
    gst_sample_unref (pipeline_pull (guest));
  pipeline_end (guest);
  pipeline_end (host);
}

/* Either end listens, on a port that the kernel gives. UNIX: changed_file. */
GST_START_TEST (test_tcp)
{
  run_with ("tcp:127.0.0.1:0", "", NULL, "");
  run_with (NULL, "mode=connect", "tcp:127.0.0.1:0", "mode=listen");
}
GST_END_TEST;

static gboolean
has (const GByteArray *heard, const gchar *bytes)
{
  return memmem (heard->data, heard->len, bytes, strlen (bytes)) != NULL;
}

/* On a line that writes down what passes: two proofs, and not the token. */
GST_START_TEST (test_serial)
{
  g_autofree gchar *port = NULL;
  g_autoptr (GByteArray) heard = g_byte_array_new ();
  SerialLine line;

  serial_line_start (&line, path, heard);
  port = g_strdup_printf ("serial:%s", line.name);
  run_with (address, "mode=connect", port, "");
  /* The second guest's session begins where the first one's was left. */
  run_with (address, "mode=connect", port, "");
  serial_line_stop (&line);
  fail_unless (has (heard, "helixguestsink "));
  fail_unless (has (heard, "HXFR\x46"));
  fail_if (has (heard, TOKEN));
}
GST_END_TEST;

/* ---- not the same ---- */

static const struct {
  const gchar *host, *guest; /* "", or which file */
  const gchar *host_says, *guest_says;
} unequal[] = {
    {"token", "other", "token is wrong", "token is wrong"},
    {"token", "", "token-file", "asks for a token"},
    {"", "token", NULL, "does not ask for the token"},
};

GST_START_TEST (test_unequal)
{
  g_autofree gchar *ours = token_of (unequal[__i__].host);
  g_autofree gchar *theirs = token_of (unequal[__i__].guest);
  GstElement *host = play_host (address, ours);
  GstElement *guest = play_guest (address, theirs);

  pipeline_expect (guest, GST_MESSAGE_ERROR, unequal[__i__].guest_says);
  if (unequal[__i__].host_says != NULL)
    pipeline_expect (host, GST_MESSAGE_WARNING, unequal[__i__].host_says);
  pipeline_end (guest);
  pipeline_end (host);
}
GST_END_TEST;

/* ---- the file ---- */

static const gchar *const elements[] = {
    "helixguestsink", "helixsrc", "helixresourcesink"};

GST_START_TEST (test_bad_file)
{
  GstElement *element = gst_element_factory_make (elements[__i__], NULL);
  GstBus *bus;

  if (element == NULL)
    return; /* helixresourcesink is optional */
  bus = gst_bus_new ();
  gst_element_set_bus (element, bus);
  fail_unless (g_chmod (file, 0644) == 0);
  g_object_set (
      element, "address", "unix:/no/such/socket", "token-file", file, NULL);
  fail_unless_equals_int (gst_element_set_state (element, GST_STATE_PAUSED),
      GST_STATE_CHANGE_FAILURE);
  pipeline_expect (element, GST_MESSAGE_ERROR, "chmod 600");
  pipeline_end (element);
  gst_object_unref (bus);
}
GST_END_TEST;

/* What the file says counts from the next start on. */
GST_START_TEST (test_changed_file)
{
  g_autofree gchar *token = token_of ("token");
  GstElement *host = play_host (address, token);
  GstElement *guest;

  write_token (file, "another\n");
  guest = play_guest (address, token);
  g_free (pipeline_message_of (guest, GST_MESSAGE_ERROR));
  pipeline_end (guest);
  gst_element_set_state (host, GST_STATE_READY);
  pipeline_play (host);
  guest = play_guest (address, token);
  gst_sample_unref (pipeline_pull (guest));
  pipeline_end (guest);
  pipeline_end (host);
}
GST_END_TEST;

static Suite *
stream_token_suite (void)
{
  TCase *tc;
  Suite *s = stream_suite ("stream-token", 60, &tc);

  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_tcp);
  tcase_add_test (tc, test_serial);
  tcase_add_loop_test (tc, test_unequal, 0, G_N_ELEMENTS (unequal));
  tcase_add_loop_test (tc, test_bad_file, 0, G_N_ELEMENTS (elements));
  tcase_add_test (tc, test_changed_file);
  return s;
}

GST_CHECK_MAIN (stream_token);
