/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>

#include "stream-pipeline.h"

static void
setup (void)
{
  g_unsetenv ("HELIX_ADDRESS");
}

/* A URI, the element, its socket-path or address, and the result of get_uri ()
 * (NULL = the same). */
typedef struct {
  const gchar *uri, *element, *where, *back;
} Good;

static const Good goods[] = {
    {"helix+unix:/run/helix.sock", "helixqemusrc", "/run/helix.sock", NULL},
    {"helix+unix:///run/helix.sock", "helixqemusrc", "/run/helix.sock",
        "helix+unix:/run/helix.sock"},
    {"helix+unix:helix.sock", "helixqemusrc", "helix.sock", NULL},
    {"helix+unix:", "helixqemusrc", NULL, NULL},
    {"helix+unix:?scanout=2", "helixqemusrc", NULL, NULL},
    {"helix+unix:/a%20b/%3F%23%25%C3%A9", "helixqemusrc", "/a b/?#%\xc3\xa9",
        NULL},
    {"helix+unix:////a", "helixqemusrc", "//a", NULL},
    {"HELIX+UNIX:/a", "helixqemusrc", "/a", "helix+unix:/a"},
    {"helix+unix:/a?max-framerate=30", "helixqemusrc", "/a",
        "helix+unix:/a?max-framerate=30/1"},
    {"helix+unix:/a?scanout=1&max-framerate=30/1&keepalive-time=0",
        "helixqemusrc", "/a", NULL},
    {"helix+unix:/a?&scanout=%31&", "helixqemusrc", "/a",
        "helix+unix:/a?scanout=1"},
    {"helix+unix:/a?auto-reconnect=no&show-cursor=yes", "helixqemusrc", "/a",
        "helix+unix:/a?show-cursor=true&auto-reconnect=false"},
    {"helix+tcp://10.0.2.2:5901", "helixsrc", "tcp:10.0.2.2:5901", NULL},
    {"helix+tcp://host/", "helixsrc", "tcp:host", "helix+tcp://host"},
    {"helix+tcp://[::1]:14359", "helixsrc", "tcp:[::1]:14359", NULL},
    {"helix+tcp://h:1?mode=listen", "helixsrc", "tcp:h:1", NULL},
    {"helix+vsock://2:14359", "helixsrc", "vsock:2:14359", NULL},
    {"helix+serial:/dev/virtio-ports/org.helix.stream", "helixsrc",
        "serial:/dev/virtio-ports/org.helix.stream", NULL},
    {"helix+stream-unix:/run/s?reconnect-timeout=5000", "helixsrc",
        "unix:/run/s", NULL},
};

static gchar *
where (GstElement *element)
{
  gchar *text;

  g_object_get (element,
      g_object_class_find_property (G_OBJECT_GET_CLASS (element), "socket-path")
          ? "socket-path"
          : "address",
      &text, NULL);
  return text;
}

static const gchar *
factory_name (GstElement *element)
{
  return GST_OBJECT_NAME (gst_element_get_factory (element));
}

GST_START_TEST (test_good)
{
  const Good *good = &goods[__i__];
  GError *error = NULL;
  GstElement *element, *again;
  gchar *text;

  element = gst_element_make_from_uri (GST_URI_SRC, good->uri, NULL, &error);
  fail_unless (element != NULL, "%s: %s", good->uri,
      error != NULL ? error->message : "no element");
  fail_unless_equals_string (factory_name (element), good->element);
  text = where (element);
  fail_unless_equals_string (text, good->where);
  g_free (text);

  /* Its own URI makes the same element. */
  text = gst_uri_handler_get_uri (GST_URI_HANDLER (element));
  fail_unless_equals_string (text, good->back ? good->back : good->uri);
  again = gst_element_make_from_uri (GST_URI_SRC, text, NULL, &error);
  fail_unless (again != NULL, "%s", text);
  g_free (text);
  text = where (again);
  fail_unless_equals_string (text, good->where);
  g_free (text);
  gst_object_unref (again);
  gst_object_unref (element);
}
GST_END_TEST;

/* A URI, and a word of the error. */
static const gchar *const bads[][2] = {
    {"helix+unix://host/run/x", "a file has none"},
    {"helix+unix:/a#b", "'#'"},
    {"helix+unix:/a%zz", "'/a%zz' is not percent-encoded"},
    {"helix+unix:/a%00b", "'/a%00b' is not percent-encoded"},
    {"helix+unix:/a?scan%=1", "'scan%' is not percent-encoded"},
    {"helix+unix:/a?scanout=%1", "'%1' is not percent-encoded"},
    {"helix+tcp://h%zz:1", "'h%zz:1' is not percent-encoded"},
    {"helix+unix:/a?scanout", "no '='"},
    {"helix+unix:/a?display=1", "'display' cannot be set by a URI"},
    {"helix+unix:/a?display=1", "max-framerate"},
    {"helix+unix:/a?socket-path=/b", "cannot be set"},
    {"helix+unix:/a?name=x", "cannot be set"},
    {"helix+unix:/a?scanout=1&scanout=2", "twice"},
    {"helix+tcp://h:1?token=%FF&token=%FF", "twice"},
    {"helix+unix:/a?scanout=first", "no value of scanout"},
    {"helix+unix:/a?scanout=", "no value of scanout"},
    {"helix+unix:/a?max-framerate=fast", "no value of max-framerate"},
    {"helix+unix:/a?max-framerate=-1/1", "range"},
    {"helix+unix:/a?keepalive-time=4294967295", "range"},
    {"helix+unix:/a?auto-reconnect=perhaps", "no value of auto-reconnect"},
    {"helix+unix:/a?token=x", "cannot be set"},
    {"helix+tcp:host:14359", "helix+tcp://"},
    {"helix+tcp://", "host is missing"},
    {"helix+tcp://host:99999", "the port"},
    {"helix+tcp://host:1/path", "leads nowhere"},
    {"helix+tcp://host?address=unix:/x", "cannot be set"},
    {"helix+tcp://host?mode=sideways", "no value of mode"},
    {"helix+vsock://2", "PORT"},
    {"helix+serial:", "the path is missing"},
    {"helix+stream-unix://h/x", "a file has none"},
};

GST_START_TEST (test_bad)
{
  const gchar *uri = bads[__i__][0], *word = bads[__i__][1];
  GstElement *element = gst_element_factory_make (
      g_str_has_prefix (uri, "helix+unix") ? "helixqemusrc" : "helixsrc", NULL);
  gchar *before, *after;
  GError *error = NULL;

  before = gst_uri_handler_get_uri (GST_URI_HANDLER (element));
  fail_if (gst_uri_handler_set_uri (GST_URI_HANDLER (element), uri, &error),
      "%s was taken", uri);
  fail_unless (g_error_matches (error, GST_URI_ERROR, GST_URI_ERROR_BAD_URI));
  fail_unless (strstr (error->message, word) != NULL, "%s: no '%s' in: %s", uri,
      word, error->message);
  g_clear_error (&error);
  /* Nothing was changed on the way. */
  after = gst_uri_handler_get_uri (GST_URI_HANDLER (element));
  fail_unless_equals_string (after, before);
  g_free (after);
  g_free (before);
  gst_object_unref (element);
}
GST_END_TEST;

static const gchar *const elements[][3] = {
    {"helixqemusrc", "helix+unix:/no/such/socket", "helix+unix:/b"},
    {"helixsrc", "helix+stream-unix:/no/such/socket", "helix+tcp://h:1"},
};

GST_START_TEST (test_states)
{
  GstElement *element = gst_element_factory_make (elements[__i__][0], NULL);
  GstURIHandler *handler = GST_URI_HANDLER (element);
  GError *error = NULL;

  fail_unless (gst_uri_handler_set_uri (handler, elements[__i__][1], &error));
  gst_element_set_state (element, GST_STATE_READY);
  fail_unless (gst_uri_handler_set_uri (handler, elements[__i__][1], &error));
  gst_element_set_state (element, GST_STATE_PAUSED);
  fail_if (gst_uri_handler_set_uri (handler, elements[__i__][2], &error));
  fail_unless (g_error_matches (error, GST_URI_ERROR, GST_URI_ERROR_BAD_STATE));
  fail_unless (strstr (error->message, "PAUSED") != NULL, "%s", error->message);
  g_clear_error (&error);
  gst_element_set_state (element, GST_STATE_READY);
  fail_unless (gst_uri_handler_set_uri (handler, elements[__i__][2], &error));
  gst_element_set_state (element, GST_STATE_NULL);
  gst_object_unref (element);
}
GST_END_TEST;

/* An element, a property, a value that makes the start fail, one that does
 * not, and a URI (NULL = the element takes none). */
static const gchar *const failures[][5] = {
    {"helixguestsink", "address", "nonsense", "tcp:127.0.0.1:0", NULL},
    {"helixresourcesink", "address", "nonsense", "unix:/no/such/socket", NULL},
    {"helixsrc", "address", "nonsense", "unix:/no/such/socket",
        "helix+stream-unix:/b"},
    {"helixqemusrc", "server-user", "no such user", "root", "helix+unix:/b"},
};

/* After a start that failed the element is in READY: what was wrong can be set
 * right, and the next start succeeds. */
GST_START_TEST (test_failed_start)
{
  const gchar *const *row = failures[__i__];
  GstElement *element = gst_element_factory_make (row[0], NULL);

  /* Not every build has it. */
  if (element == NULL && g_str_equal (row[0], "helixresourcesink"))
    return;
  g_object_set (element, row[1], row[2], NULL);
  fail_unless_equals_int (gst_element_set_state (element, GST_STATE_PAUSED),
      GST_STATE_CHANGE_FAILURE);
  if (row[4] != NULL)
    fail_unless (
        gst_uri_handler_set_uri (GST_URI_HANDLER (element), row[4], NULL));
  g_object_set (element, row[1], row[3], NULL);
  element_expect_text (element, row[1], row[3]);
  fail_unless (gst_element_set_state (element, GST_STATE_PAUSED)
      != GST_STATE_CHANGE_FAILURE);
  /* From now on it is fixed. */
  g_object_set (element, row[1], row[2], NULL);
  element_expect_text (element, row[1], row[3]);
  gst_element_set_state (element, GST_STATE_NULL);
  gst_object_unref (element);
}
GST_END_TEST;

/* The token may be set beside a URI, by either of its properties, and is not
 * told. A URI cannot make the element read a file. */
GST_START_TEST (test_token)
{
  GstElement *source = gst_element_factory_make ("helixsrc", NULL);
  GstURIHandler *handler = GST_URI_HANDLER (source);
  GError *error = NULL;
  gchar *token, *file;

  fail_if (gst_uri_handler_set_uri (
      handler, "helix+tcp://h:1?token-file=/a", &error));
  fail_unless (strstr (error->message, "token-file") != NULL);
  g_clear_error (&error);

  g_object_set (source, "token-file", "/a b", NULL);
  fail_unless (gst_uri_handler_set_uri (handler, "helix+tcp://h:1", NULL));
  g_object_get (source, "token-file", &file, NULL);
  fail_unless_equals_string (file, "/a b");
  g_free (file);
  fail_unless (
      gst_uri_handler_set_uri (handler, "helix+tcp://h:1?token=t", NULL));
  g_object_get (source, "token", &token, "token-file", &file, NULL);
  fail_unless_equals_string (token, "t");
  fail_unless (file == NULL);
  g_free (token);

  /* A token is bytes, not text. */
  fail_unless (
      gst_uri_handler_set_uri (handler, "helix+tcp://h:1?token=ab%FFcd", NULL));
  g_object_get (source, "token", &token, NULL);
  fail_unless_equals_string (token, "ab\377cd");
  g_free (token);
  gst_object_unref (source);
}
GST_END_TEST;

/* A URI sets all properties that it could name, those that it does not name to
 * their defaults, except the token. */
GST_START_TEST (test_whole)
{
  GstElement *source = gst_element_factory_make ("helixsrc", NULL);
  GstElement *screen = gst_element_factory_make ("helixqemusrc", NULL);
  GstURIHandler *handler = GST_URI_HANDLER (source);
  guint timeout, scanout;
  gchar *text;

  fail_unless (gst_uri_handler_set_uri (
      handler, "helix+tcp://h:1?token=a%26b&reconnect-timeout=7", NULL));
  g_object_get (source, "token", &text, "reconnect-timeout", &timeout, NULL);
  fail_unless_equals_string (text, "a&b");
  fail_unless_equals_int (timeout, 7);
  g_free (text);
  text = gst_uri_handler_get_uri (handler);
  fail_unless_equals_string (text, "helix+tcp://h:1?reconnect-timeout=7");
  g_free (text);
  fail_unless (gst_uri_handler_set_uri (handler, "helix+tcp://h:1", NULL));
  g_object_get (source, "token", &text, "reconnect-timeout", &timeout, NULL);
  fail_unless_equals_string (text, "a&b");
  fail_unless_equals_int (timeout, 0);
  g_free (text);

  g_object_set (screen, "scanout", 3, NULL);
  fail_unless (gst_uri_handler_set_uri (
      GST_URI_HANDLER (screen), "helix+unix:/a", NULL));
  g_object_get (screen, "scanout", &scanout, NULL);
  fail_unless_equals_int (scanout, 0);
  gst_object_unref (source);
  gst_object_unref (screen);
}
GST_END_TEST;

static Suite *
gsthelixuri_suite (void)
{
  Suite *s = suite_create ("gsthelixuri");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, NULL);
  tcase_add_loop_test (tc, test_good, 0, G_N_ELEMENTS (goods));
  tcase_add_loop_test (tc, test_bad, 0, G_N_ELEMENTS (bads));
  tcase_add_loop_test (tc, test_states, 0, G_N_ELEMENTS (elements));
  tcase_add_loop_test (tc, test_failed_start, 0, G_N_ELEMENTS (failures));
  tcase_add_test (tc, test_token);
  tcase_add_test (tc, test_whole);
  return s;
}

GST_CHECK_MAIN (gsthelixuri);
