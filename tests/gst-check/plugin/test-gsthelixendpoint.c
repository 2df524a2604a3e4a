/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>

#include "gsthelixendpoint.h"

#define OTHERWISE "tcp:198.51.100.7:1"

static GstHelixEndpoint endpoint;
static GstElement *element;

static void
setup (void)
{
  g_unsetenv ("HELIX_ADDRESS");
  element = gst_bin_new ("element");
  memset (&endpoint, 0, sizeof endpoint);
  gst_helix_endpoint_init (&endpoint, OTHERWISE, GST_HELIX_MODE_CONNECT);
}

static void
teardown (void)
{
  g_unsetenv ("HELIX_ADDRESS");
  gst_helix_endpoint_clear (&endpoint);
  fail_unless (endpoint.address == NULL && endpoint.token == NULL
      && endpoint.token_file == NULL);
  gst_object_unref (element);
}

static void
set_string (guint id, const gchar *text)
{
  GValue value = G_VALUE_INIT;

  g_value_init (&value, G_TYPE_STRING);
  g_value_set_string (&value, text);
  fail_unless (gst_helix_endpoint_set (&endpoint, id, &value));
  g_value_unset (&value);
}

static void
check_string (guint id, const gchar *expected)
{
  GValue value = G_VALUE_INIT;

  g_value_init (&value, G_TYPE_STRING);
  fail_unless (gst_helix_endpoint_get (&endpoint, id, &value));
  fail_unless_equals_string (g_value_get_string (&value), expected);
  g_value_unset (&value);
}

static void
set_mode (GstHelixMode mode)
{
  GValue value = G_VALUE_INIT;

  g_value_init (&value, GST_TYPE_HELIX_MODE);
  g_value_set_enum (&value, mode);
  fail_unless (
      gst_helix_endpoint_set (&endpoint, GST_HELIX_ENDPOINT_PROP_MODE, &value));
  g_value_set_enum (&value, !mode);
  fail_unless (
      gst_helix_endpoint_get (&endpoint, GST_HELIX_ENDPOINT_PROP_MODE, &value));
  fail_unless_equals_int (g_value_get_enum (&value), mode);
  g_value_unset (&value);
}

/* The environment is asked when the element is made, and when the property is
 * set to NULL; an empty variable is none. */
GST_START_TEST (test_default_address)
{
  const guint id = GST_HELIX_ENDPOINT_PROP_ADDRESS;

  check_string (id, OTHERWISE);
  set_string (id, "unix:/a");
  check_string (id, "unix:/a");
  g_setenv ("HELIX_ADDRESS", "unix:/b", TRUE);
  check_string (id, "unix:/a");
  set_string (id, NULL);
  check_string (id, "unix:/b");
  g_setenv ("HELIX_ADDRESS", "", TRUE);
  set_string (id, NULL);
  check_string (id, OTHERWISE);
}
GST_END_TEST;

GST_START_TEST (test_own_properties)
{
  GValue value = G_VALUE_INIT;

  for (guint id = GST_HELIX_ENDPOINT_PROP_TOKEN;
       id <= GST_HELIX_ENDPOINT_PROP_TOKEN_FILE; id++) {
    check_string (id, NULL);
    set_string (id, "secret");
    check_string (id, "secret");
    set_string (id, NULL);
    check_string (id, NULL);
  }
  set_mode (GST_HELIX_MODE_LISTEN);
  set_mode (GST_HELIX_MODE_CONNECT);

  g_value_init (&value, G_TYPE_STRING);
  for (guint i = 0; i < 2; i++) {
    guint id = i == 0 ? 0 : GST_HELIX_ENDPOINT_PROP_OWN;

    fail_if (gst_helix_endpoint_set (&endpoint, id, &value));
    fail_if (gst_helix_endpoint_get (&endpoint, id, &value));
  }
  g_value_unset (&value);
}
GST_END_TEST;

GST_START_TEST (test_snapshot)
{
  HelixAddress *address;
  GError *error = NULL;
  gboolean listen = TRUE;
  gchar *token = NULL;

  set_string (GST_HELIX_ENDPOINT_PROP_TOKEN, "secret");
  address =
      gst_helix_endpoint_snapshot (element, &endpoint, &token, &listen, &error);
  fail_unless (address != NULL && error == NULL);
  fail_unless_equals_string (address->text, OTHERWISE);
  fail_unless_equals_string (token, "secret");
  fail_unless (token != endpoint.token && !listen);
  helix_address_free (address);
  g_free (token);

  set_mode (GST_HELIX_MODE_LISTEN);
  set_string (GST_HELIX_ENDPOINT_PROP_TOKEN, NULL);
  set_string (GST_HELIX_ENDPOINT_PROP_ADDRESS, "pigeon:12");
  address =
      gst_helix_endpoint_snapshot (element, &endpoint, &token, &listen, &error);
  fail_unless (address == NULL && error != NULL && token == NULL && listen);
  g_error_free (error);
}
GST_END_TEST;

/* A token that makes no sense is an error, and no connection without one. */
GST_START_TEST (test_bad_token)
{
  static const gchar *const bads[][3] = {
      {"secret", "/tmp", "token is set besides token-file"},
      {"", NULL, "empty"},
      {NULL, "/no/such/file", "no such file"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (bads); i++) {
    g_autoptr (GError) error = NULL;
    gboolean listen;
    gchar *token;

    set_string (GST_HELIX_ENDPOINT_PROP_TOKEN, bads[i][0]);
    set_string (GST_HELIX_ENDPOINT_PROP_TOKEN_FILE, bads[i][1]);
    fail_unless (gst_helix_endpoint_snapshot (
                     element, &endpoint, &token, &listen, &error)
        == NULL);
    fail_unless (token == NULL);
    fail_unless (
        strstr (error->message, bads[i][2]) != NULL, "%s", error->message);
  }
}
GST_END_TEST;

/* An address that makes no sense is an ERROR of the element that says so. */
GST_START_TEST (test_client)
{
  const HelixStreamClientConfig config = {.name = "test"};
  GstBus *bus = gst_bus_new ();
  HelixStreamClient *client;
  GstMessage *message;
  GError *error;

  gst_element_set_bus (element, bus);
  client = gst_helix_endpoint_client (element, &endpoint, config);
  fail_unless (client != NULL);
  helix_stream_client_free (client);
  fail_unless (gst_bus_pop (bus) == NULL);

  set_string (GST_HELIX_ENDPOINT_PROP_ADDRESS, "pigeon:12");
  fail_unless (gst_helix_endpoint_client (element, &endpoint, config) == NULL);
  message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
  fail_unless (
      message != NULL && GST_MESSAGE_SRC (message) == (void *) element);
  gst_message_parse_error (message, &error, NULL);
  fail_unless (
      strstr (error->message, "pigeon:12") != NULL, "%s", error->message);
  g_error_free (error);
  gst_message_unref (message);
  gst_element_set_bus (element, NULL);
  gst_object_unref (bus);
}
GST_END_TEST;

static Suite *
gst_helix_endpoint_suite (void)
{
  Suite *s = suite_create ("gsthelixendpoint");
  TCase *tc = tcase_create ("endpoint");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_default_address);
  tcase_add_test (tc, test_own_properties);
  tcase_add_test (tc, test_snapshot);
  tcase_add_test (tc, test_bad_token);
  tcase_add_test (tc, test_client);
  return s;
}

GST_CHECK_MAIN (gst_helix_endpoint);
