/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plugging monitors (qemu-shim/qemu): whatever the order in which the guest
 * asks and takes its event back, it learns of every change.
 */
#include <gst/check/gstcheck.h>

#include "fake-qemu.h"
#include "helix-glue.h"

#define OUTPUTS 4u
#define LIMIT_MS 120000 /* when looking must have ended */

struct QemuConsole {
  uint32_t index;
  QemuUIInfo info;
};

static struct {
  HelixExport export;
  VirtIOGPU gpu;
  struct QemuConsole console[OUTPUTS];
  gint64 now, deadline; /* ms; 0 = no timer */
  void (*timer) (void *opaque);
  guint events; /* that the guest was sent */
  bool deaf, refuse;
} t;

/* ---- QEMU ---- */

QEMUTimer *
timer_new_ms (QEMUClockType clock, void (*run) (void *opaque), void *opaque)
{
  /* A VM that stands still does not ask. */
  fail_unless_equals_int (clock, QEMU_CLOCK_VIRTUAL);
  fail_unless (opaque == &t.export);
  t.timer = run;
  return (QEMUTimer *) &t.timer;
}

void
timer_mod (QEMUTimer *timer, int64_t deadline)
{
  t.deadline = deadline;
}

int64_t
qemu_clock_get_ms (QEMUClockType clock)
{
  return t.now;
}

bool
dpy_ui_info_supported (const QemuConsole *console)
{
  return !t.deaf;
}

const QemuUIInfo *
dpy_get_ui_info (const QemuConsole *console)
{
  return &console->info;
}

void
virtio_notify_config (VirtIODevice *device)
{
  t.events++;
}

/* As QEMU's console and virtio_gpu_ui_info () do. */
int
dpy_set_ui_info (QemuConsole *console, QemuUIInfo *info, bool delay)
{
  VirtIOGPUBase *base = &t.gpu.parent_obj;
  int bit = 1 << console->index;

  fail_if (delay);
  if (t.refuse)
    return -1;
  if (memcmp (&console->info, info, sizeof *info) == 0)
    return 0;
  console->info = *info;
  base->req_state[console->index].width = info->width;
  base->req_state[console->index].height = info->height;
  base->req_state[console->index].refresh_rate = info->refresh_rate;
  base->enabled_output_bitmask &= ~bit;
  base->enabled_output_bitmask |= info->width ? bit : 0;
  base->virtio_config.events_read |= VIRTIO_GPU_EVENT_DISPLAY;
  t.events++;
  return 0;
}

/* ---- the guest ---- */

static void
ask_edids (void)
{
  for (uint32_t i = 0; i < OUTPUTS; i++)
    helix_monitor_asked_edid (&t.export, i);
}

static void
take_back (void)
{
  t.gpu.parent_obj.virtio_config.events_read = 0;
}

static void
ask_all (void)
{
  ask_edids ();
  helix_monitor_asked (&t.export);
  take_back ();
}

/* ---- */

static void
plug (uint32_t output, uint32_t width, uint32_t height)
{
  const struct helix_set_scanout set = {output, width, height, 0};
  const char *why = NULL;

  fail_unless (helix_monitor_set (&t.export, &set, &why), "%s", why);
}

/* Lets time pass until nothing is due, or the event is sent once more. Returns
 * whether it was. */
static bool
told_again (void)
{
  guint before = t.events;

  while (t.deadline != 0 && t.events == before) {
    fail_unless (t.deadline > t.now && t.deadline < LIMIT_MS);
    t.now = t.deadline;
    t.deadline = 0;
    t.timer (&t.export);
  }
  return t.events > before;
}

static void
set_up (void)
{
  VirtIOGPUBase *base = &t.gpu.parent_obj;
  void (*timer) (void *opaque) = t.timer; /* one for all, as in QEMU */

  memset (&t, 0, sizeof t);
  t.timer = timer;
  t.now = 1;
  t.export.gpu = &t.gpu;
  base->conf.max_outputs = OUTPUTS;
  for (uint32_t i = 0; i < OUTPUTS; i++) {
    t.console[i].index = i;
    base->scanout[i].con = &t.console[i];
  }
  base->enabled_output_bitmask = 1; /* since boot */
  helix_monitor_reset ();
}

GST_START_TEST (test_good_guest)
{
  /* No driver yet: it will ask when it starts. */
  plug (1, 640, 480);
  fail_if (told_again ());
  ask_all ();
  plug (1, 800, 600);
  plug (2, 640, 480);
  fail_unless_equals_int (t.events, 3);
  ask_all ();
  fail_if (told_again ());
  fail_unless_equals_int (t.deadline, 0);
}

GST_END_TEST;

/* Where among the guest's three steps the change comes. */
GST_START_TEST (test_change_between)
{
  ask_all ();
  plug (2, 640, 480);
  if (__i__ == 0)
    plug (1, 640, 480);
  ask_edids ();
  if (__i__ == 1)
    plug (1, 640, 480);
  helix_monitor_asked (&t.export);
  if (__i__ == 2)
    plug (1, 640, 480);
  take_back ();
  if (__i__ == 3) {
    plug (1, 640, 480);
    ask_all ();
  }
  if (__i__ == 0 || __i__ == 3) {
    fail_if (told_again ());
    return;
  }
  fail_unless (told_again ());
  fail_unless (
      t.gpu.parent_obj.virtio_config.events_read == VIRTIO_GPU_EVENT_DISPLAY);
  ask_all ();
  fail_if (told_again ());
}

GST_END_TEST;

/* A guest without EDID asks for none. */
GST_START_TEST (test_without_edid)
{
  helix_monitor_asked (&t.export);
  plug (1, 640, 480);
  helix_monitor_asked (&t.export);
  take_back ();
  fail_if (told_again ());
  plug (1, 800, 600);
  take_back ();
  fail_unless (told_again ());
}

GST_END_TEST;

/* The event waits for a guest that is busy: another is not sent, and the looks
 * end some day. A reset ends them too. */
GST_START_TEST (test_busy_guest)
{
  ask_all ();
  plug (1, 640, 480);
  fail_if (told_again ());
  fail_unless (t.now > 10000);
  plug (1, 800, 600);
  helix_monitor_reset ();
  take_back ();
  fail_if (told_again ());
}

GST_END_TEST;

/* The output that is on since boot can be switched off, though the console was
 * never told of it. */
GST_START_TEST (test_off)
{
  ask_all ();
  plug (0, 0, 0);
  fail_unless_equals_int (t.gpu.parent_obj.enabled_output_bitmask, 0);
  plug (3, 0, 0);
  fail_unless_equals_int (t.events, 1);
}

GST_END_TEST;

GST_START_TEST (test_cannot)
{
  const struct helix_set_scanout none = {OUTPUTS, 640, 480, 0};
  const struct helix_set_scanout set = {1, 640, 480, 0};
  const char *why = NULL;

  fail_if (helix_monitor_set (&t.export, &none, &why));
  fail_unless (strstr (why, "max_outputs"), "%s", why);
  t.refuse = true;
  fail_if (helix_monitor_set (&t.export, &set, &why));
  fail_unless (strstr (why, "refused"), "%s", why);
  t.deaf = true;
  fail_if (helix_monitor_set (&t.export, &set, &why));
  fail_unless (strstr (why, "cannot plug"), "%s", why);
  fail_unless_equals_int (t.events, 0);
  /* The guest's own number. */
  helix_monitor_asked_edid (&t.export, OUTPUTS);
  helix_monitor_asked_edid (&t.export, UINT32_MAX);
}

GST_END_TEST;

static Suite *
helix_monitor_suite (void)
{
  Suite *suite = suite_create ("helix-monitor");
  TCase *tc = tcase_create ("monitor");

  tcase_add_checked_fixture (tc, set_up, NULL);
  tcase_add_test (tc, test_good_guest);
  tcase_add_loop_test (tc, test_change_between, 0, 4);
  tcase_add_test (tc, test_without_edid);
  tcase_add_test (tc, test_busy_guest);
  tcase_add_test (tc, test_off);
  tcase_add_test (tc, test_cannot);
  suite_add_tcase (suite, tc);
  return suite;
}

GST_CHECK_MAIN (helix_monitor);
