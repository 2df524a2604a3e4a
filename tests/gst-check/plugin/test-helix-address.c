/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>

#include "helix-address.h"

GST_START_TEST (test_paths)
{
  g_autoptr (HelixAddress) unix_address =
      helix_address_parse ("unix:dir/a:b.sock", NULL);
  g_autoptr (HelixAddress) serial =
      helix_address_parse ("serial:/dev/virtio-ports/org.helix.video", NULL);

  fail_unless_equals_int (unix_address->kind, HELIX_ADDRESS_UNIX);
  fail_unless_equals_string (unix_address->path, "dir/a:b.sock");
  fail_unless_equals_string (unix_address->text, "unix:dir/a:b.sock");
  fail_unless_equals_int (serial->kind, HELIX_ADDRESS_SERIAL);
  fail_unless_equals_string (serial->path, "/dev/virtio-ports/org.helix.video");
}
GST_END_TEST;

static const struct {
  const gchar *text, *host;
  guint port;
} tcp[] = {
    {"tcp:10.0.2.2:14359", "10.0.2.2", 14359},
    {"tcp:localhost", "localhost", 14359},
    {"tcp:example.org:1", "example.org", 1},
    {"tcp:127.0.0.1:0", "127.0.0.1", 0},
    {"tcp:127.0.0.1:65535", "127.0.0.1", 65535},
    {"tcp:[::1]:7000", "::1", 7000},
    {"tcp:[fe80::1%eth0]", "fe80::1%eth0", 14359},
};

GST_START_TEST (test_tcp)
{
  g_autoptr (HelixAddress) address =
      helix_address_parse (tcp[__i__].text, NULL);

  fail_unless_equals_int (address->kind, HELIX_ADDRESS_TCP);
  fail_unless_equals_string (address->host, tcp[__i__].host);
  fail_unless_equals_int (address->port, tcp[__i__].port);
}
GST_END_TEST;

GST_START_TEST (test_vsock)
{
  g_autoptr (HelixAddress) host = helix_address_parse ("vsock:2:14359", NULL);
  g_autoptr (HelixAddress) any =
      helix_address_parse ("vsock:any:4294967295", NULL);

  fail_unless_equals_int (host->kind, HELIX_ADDRESS_VSOCK);
  fail_unless_equals_int (host->cid, 2);
  fail_unless_equals_int (host->port, 14359);
  fail_unless (any->cid == HELIX_ADDRESS_CID_ANY);
  fail_unless (any->port == G_MAXUINT32);
}
GST_END_TEST;

static const gchar *const bad[] = {
    NULL,
    "",
    "14359",
    "/run/helix.sock",
    "udp:127.0.0.1:14359",
    "TCP:127.0.0.1:14359",
    "unix:",
    "serial:",
    "tcp:",
    "tcp::14359",
    "tcp:host:",
    "tcp:host:65536",
    "tcp:host:-1",
    "tcp:host: 80",
    "tcp:host:80x",
    "tcp:::1:14359",
    "tcp:[::1",
    "tcp:[::1]14359",
    "tcp:[]:1",
    "vsock:2",
    "vsock::1",
    "vsock:two:1",
    "vsock:2:",
    "vsock:2:4294967296",
    "vsock:4294967296:1",
};

/* Each error names the address and the right forms. */
GST_START_TEST (test_bad)
{
  g_autoptr (GError) error = NULL;

  fail_unless (helix_address_parse (bad[__i__], &error) == NULL);
  fail_unless (
      g_error_matches (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS));
  fail_unless (bad[__i__] == NULL || strstr (error->message, bad[__i__]));
  fail_unless (strstr (error->message, HELIX_ADDRESS_FORMS) != NULL);
}
GST_END_TEST;

static Suite *
helix_address_suite (void)
{
  Suite *s = suite_create ("helix-address");
  TCase *tc = tcase_create ("parse");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_paths);
  tcase_add_loop_test (tc, test_tcp, 0, G_N_ELEMENTS (tcp));
  tcase_add_test (tc, test_vsock);
  tcase_add_loop_test (tc, test_bad, 0, G_N_ELEMENTS (bad));
  return s;
}

GST_CHECK_MAIN (helix_address);
