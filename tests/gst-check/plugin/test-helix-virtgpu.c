/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <gst/check/gstcheck.h>
#include <string.h>
#include <unistd.h>

#include "fake-virtgpu.h"
#include "helix-virtgpu.h"

static HelixVirtgpu *gpu;
static GError *error;
static gint dmabuf;

static void
setup (void)
{
  fake_virtgpu_install ();
  dmabuf = fake_virtgpu_dmabuf (7);
  gpu = NULL;
}

static void
teardown (void)
{
  g_clear_error (&error);
  g_clear_pointer (&gpu, helix_virtgpu_free);
  close (dmabuf);
  /* Whatever went wrong on the way. */
  fail_unless_equals_int (fake_virtgpu.open_handles, 0);
}

static void
open_gpu (const gchar *device)
{
  gpu = helix_virtgpu_new (device, &error);
  fail_unless (gpu != NULL, "%s", error != NULL ? error->message : "");
}

static void
find (guint buffer, guint64 now)
{
  gint fd = fake_virtgpu_dmabuf (buffer);

  fail_unless_equals_int (
      helix_virtgpu_find (gpu, fd, now, &error), FAKE_RESOURCE (buffer));
  fail_unless (error == NULL);
  close (fd);
}

GST_START_TEST (test_find)
{
  open_gpu (NULL);
  find (7, 5);
  find (8, 5);
  find (7, 6);
}
GST_END_TEST;

/* A frame of a buffer that is known costs no ioctl; but not for ever, since
 * the number of a buffer that is gone may come back for another. */
GST_START_TEST (test_cache)
{
  guint64 now = 1000 * GST_SECOND;
  guint ioctls;

  open_gpu (NULL);
  find (7, now);
  ioctls = fake_virtgpu.ioctls;
  for (guint i = 0; i < 60; i++)
    find (7, now + i * 16 * GST_MSECOND);
  fail_unless_equals_int (fake_virtgpu.ioctls, ioctls);
  fail_unless_equals_uint64 (helix_virtgpu_lookups (gpu), 1);
  find (7, now + GST_SECOND);
  fail_unless_equals_uint64 (helix_virtgpu_lookups (gpu), 2);
  /* More buffers than are kept: dearer, not wrong. */
  for (guint i = 0; i < 200; i++)
    find (1 + i % 100, now + 2 * GST_SECOND + i);
  /* Those that were used last stay. */
  ioctls = fake_virtgpu.ioctls;
  find (100, now + 2 * GST_SECOND + 200);
  fail_unless_equals_int (fake_virtgpu.ioctls, ioctls);
}
GST_END_TEST;

/* ---- each step that can fail ---- */

static const struct {
  FakeStep step;
  gint problem;
  const gchar *says;
} failures[] = {
    {FAKE_STEP_IMPORT, ENODEV, "PRIME_FD_TO_HANDLE: No such device"},
    {FAKE_STEP_IMPORT, EMFILE, "PRIME_FD_TO_HANDLE"},
    {FAKE_STEP_INFO, ENOENT, "VIRTGPU_RESOURCE_INFO"},
    {FAKE_STEP_IDENTIFY, EBADF, "Bad file descriptor"},
};

GST_START_TEST (test_failure)
{
  guint ioctls;

  open_gpu (NULL);
  fake_virtgpu.fails = failures[__i__].step;
  fake_virtgpu.problem = failures[__i__].problem;
  for (guint i = 0; i < 3; i++) {
    fail_unless_equals_int (helix_virtgpu_find (gpu, dmabuf, 9, &error), 0);
    fail_unless (error != NULL && strstr (error->message, failures[__i__].says),
        "%s", error != NULL ? error->message : "");
    g_clear_error (&error);
    /* A refusal is remembered, too. */
    if (i > 0)
      fail_unless_equals_int (fake_virtgpu.ioctls, ioctls);
    ioctls = fake_virtgpu.ioctls;
  }
  fake_virtgpu.fails = FAKE_STEP_NONE;
  fail_unless_equals_int (
      helix_virtgpu_find (gpu, dmabuf, 9 + GST_SECOND, &error),
      FAKE_RESOURCE (7));
}
GST_END_TEST;

GST_START_TEST (test_no_id)
{
  open_gpu (NULL);
  fake_virtgpu.no_id = TRUE;
  fail_unless_equals_int (helix_virtgpu_find (gpu, dmabuf, 9, &error), 0);
  fail_unless (error != NULL);
}
GST_END_TEST;

/* The result counts although the handle could not be closed. */
GST_START_TEST (test_close_fails)
{
  open_gpu (NULL);
  fake_virtgpu.fails = FAKE_STEP_CLOSE;
  fake_virtgpu.problem = EINVAL;
  find (7, 9);
}
GST_END_TEST;

/* ---- nodes ---- */

/* There is no other node than 130. */
GST_START_TEST (test_search)
{
  fake_virtgpu.only_minor = 130;
  open_gpu (NULL);
}
GST_END_TEST;

static const struct {
  const gchar *device;
  FakeStep step;
  gint problem;
  const gchar *driver;
  guint minor;
  GstResourceError code;
  const gchar *says;
} nodes[] = {
    {NULL, FAKE_STEP_NONE, 0, "virtio_gpu", 1, GST_RESOURCE_ERROR_NOT_FOUND,
        "None of /dev/dri/renderD128 to 191"},
    {NULL, FAKE_STEP_NONE, 0, "i915", 128, GST_RESOURCE_ERROR_NOT_FOUND,
        "None of /dev/dri/renderD128 to 191"},
    {NULL, FAKE_STEP_OPEN, EACCES, "virtio_gpu", 129,
        GST_RESOURCE_ERROR_NOT_AUTHORIZED, "/dev/dri/renderD129: Permission"},
    {"/dev/dri/renderD128", FAKE_STEP_NONE, 0, "amdgpu", 128,
        GST_RESOURCE_ERROR_NOT_FOUND,
        "/dev/dri/renderD128 is no render node of virtio-gpu"},
    {"/dev/dri/renderD128", FAKE_STEP_VERSION, ENOTTY, "virtio_gpu", 128,
        GST_RESOURCE_ERROR_NOT_FOUND,
        "/dev/dri/renderD128 is no render node of virtio-gpu"},
    {"/dev/dri/renderD128", FAKE_STEP_VERSION, EIO, "virtio_gpu", 128,
        GST_RESOURCE_ERROR_NOT_FOUND, "/dev/dri/renderD128: Input/output"},
    {"/dev/dri/renderD140", FAKE_STEP_NONE, 0, "virtio_gpu", 128,
        GST_RESOURCE_ERROR_NOT_FOUND, "/dev/dri/renderD140: No such file"},
};

GST_START_TEST (test_no_node)
{
  fake_virtgpu.fails = nodes[__i__].step;
  fake_virtgpu.problem = nodes[__i__].problem;
  fake_virtgpu.only_minor = nodes[__i__].minor;
  g_strlcpy (
      fake_virtgpu.driver, nodes[__i__].driver, sizeof fake_virtgpu.driver);
  fail_unless (helix_virtgpu_new (nodes[__i__].device, &error) == NULL);
  fail_unless (g_error_matches (error, GST_RESOURCE_ERROR, nodes[__i__].code));
  fail_unless (
      strstr (error->message, nodes[__i__].says) != NULL, "%s", error->message);
}
GST_END_TEST;

static Suite *
helix_virtgpu_suite (void)
{
  Suite *s = suite_create ("helix-virtgpu");
  TCase *tc = tcase_create ("virtgpu");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_find);
  tcase_add_test (tc, test_cache);
  tcase_add_loop_test (tc, test_failure, 0, G_N_ELEMENTS (failures));
  tcase_add_test (tc, test_no_id);
  tcase_add_test (tc, test_close_fails);
  tcase_add_test (tc, test_search);
  tcase_add_loop_test (tc, test_no_node, 0, G_N_ELEMENTS (nodes));
  return s;
}

GST_CHECK_MAIN (helix_virtgpu);
