/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helix scanout: plugs a monitor in, or out, and waits for what the guest
 * makes of it.
 */
#include <gst/gst.h>
#include <stdio.h>
#include <string.h>

#include "helix-platform.h"
#include "helix-tool.h"
#include "helix-vms.h"

#define ANSWER_NS (2 * GST_SECOND)
#define MAX_HZ 1000

/* After a first change, for the guest's last word: compositors set another
 * mode first, or none for a moment. Also for a refusal, where nothing has to
 * change. */
#define SETTLE_NS (GST_SECOND / 2)

static gint timeout = 5, refresh;

static const GOptionEntry entries[] = {
    {"refresh", 'r', 0, G_OPTION_ARG_INT, &refresh,
        "Refresh rate of the monitor in Hz (default: the device's)", "HZ"},
    {"timeout", 0, 0, G_OPTION_ARG_INT, &timeout,
        "How long to wait for the guest (default 5)", "SECONDS"},
    {NULL, 0, 0, 0, NULL, NULL, NULL},
};

/* Returns an exit status. */
static gint
parse_words (struct helix_set_scanout *set, gint n, gchar **words)
{
  guint64 index;
  gchar rest;

  if (n != 2)
    return helix_tool_fail (HELIX_EXIT_USAGE,
        "say which scanout, and a size or off: helix scanout 1 1920x1080");
  if (!g_ascii_string_to_unsigned (
          words[0], 10, 0, HELIX_MAX_SCANOUTS - 1, &index, NULL))
    return helix_tool_fail (
        HELIX_EXIT_USAGE, "'%s' is no scanout; they go from 0 to 15", words[0]);
  set->scanout = (guint32) index;
  set->refresh = (guint32) refresh * 1000;
  if (strcmp (words[1], "off") == 0)
    return HELIX_EXIT_GOOD;
  if (sscanf (words[1], "%5ux%5u%c", &set->width, &set->height, &rest) != 2
      || set->width < 1 || set->height < 1 || set->width > HELIX_MAX_DIMENSION
      || set->height > HELIX_MAX_DIMENSION)
    return helix_tool_fail (HELIX_EXIT_USAGE,
        "'%s' is no size; WIDTHxHEIGHT, each from 1 to 16384, or off",
        words[1]);
  return HELIX_EXIT_GOOD;
}

static gboolean
is_as_wanted (const HelixProbe *probe, const struct helix_set_scanout *set)
{
  const struct helix_scanout *now = &probe->scanouts[set->scanout];
  gboolean on = helix_probe_scanout_on (probe, set->scanout);

  return set->width == 0
      ? !on
      : on && now->width == set->width && now->height == set->height;
}

/* Asks, and waits until it is as wanted, the guest has settled otherwise, or
 * the time is over. FALSE with an error: refused, or lost. */
static gboolean
ask (HelixProbe *probe, const struct helix_set_scanout *set, GError **error)
{
  const HelixConnection *shim = probe->connection;
  /* The scanout's state does not tell whether a monitor is plugged in: one
   * that the guest ignores has to be plugged out all the same. */
  gboolean already = is_as_wanted (probe, set);
  guint64 end =
      helix_now_ns () + (already ? SETTLE_NS : (guint64) timeout * GST_SECOND);
  struct helix_scanout before = probe->scanouts[set->scanout];
  guint8 message[HELIX_MAX_MESSAGE];

  helix_connection_send (
      probe->connection, message, helix_pack_set_scanout (message, set));
  while ((already || !is_as_wanted (probe, set)) && helix_now_ns () < end) {
    gint type = helix_probe_next (probe, end, error);

    if (type < 0)
      return FALSE;
    if (type == HELIX_ERROR && shim->error.refers == HELIX_SET_SCANOUT) {
      g_set_error (error, HELIX_PROBE_ERROR, HELIX_LOSS_REFUSED,
          "refused (%s): %s", helix_error_name (shim->error.code), shim->text);
      return FALSE;
    }
    if (memcmp (&before, &probe->scanouts[set->scanout], sizeof before) != 0) {
      before = probe->scanouts[set->scanout];
      end = MIN (end, helix_now_ns () + SETTLE_NS);
    }
  }
  return TRUE;
}

/* What has come of it. Returns the exit status. */
static gint
report (const HelixProbe *probe, const struct helix_set_scanout *set,
    gboolean as_json)
{
  const struct helix_scanout *now = &probe->scanouts[set->scanout];
  gboolean on = helix_probe_scanout_on (probe, set->scanout);
  gboolean done = is_as_wanted (probe, set);

  if (as_json) {
    g_autoptr (JsonBuilder) json = json_builder_new ();

    helix_json_object (json, NULL);
    helix_json_add (json, JSON_UINT ("scanout", set->scanout),
        JSON_BOOL ("done", done), JSON_BOOL ("on", on),
        JSON_UINT ("width", now->width), JSON_UINT ("height", now->height));
    json_builder_end_object (json);
    helix_json_print (json);
  } else if (done && on) {
    printf ("scanout %u is on, %ux%u\n", set->scanout, now->width, now->height);
  } else if (done) {
    printf ("scanout %u is off\n", set->scanout);
  } else if (!on) {
    helix_tool_fail (HELIX_EXIT_FAILED,
        "scanout %u was asked for, but the guest has not switched it on: it "
        "may run nothing that reacts to a new monitor (a console does not)",
        set->scanout);
  } else {
    helix_tool_fail (HELIX_EXIT_FAILED, "scanout %u is %s, %ux%u: the guest %s",
        set->scanout, set->width == 0 ? "still on" : "on, but", now->width,
        now->height,
        set->width == 0 ? "has not reacted" : "keeps to another size");
  }
  return done ? HELIX_EXIT_GOOD : HELIX_EXIT_FAILED;
}

static gint
run (const HelixOptions *options, gint n, gchar **words)
{
  guint64 deadline = helix_now_ns () + ANSWER_NS;
  struct helix_set_scanout set = {0};
  g_autoptr (GError) error = NULL;
  g_autofree gchar *path = NULL;
  g_autoptr (HelixProbe) probe = NULL;
  guint all;

  if (timeout < 1 || timeout > 600)
    return helix_tool_fail (HELIX_EXIT_USAGE, "--timeout goes from 1 to 600");
  if (refresh < 0 || refresh > MAX_HZ)
    return helix_tool_fail (HELIX_EXIT_USAGE, "--refresh goes from 1 to 1000");
  if (parse_words (&set, n, words) != HELIX_EXIT_GOOD)
    return HELIX_EXIT_USAGE;
  probe = helix_vms_reach_only (options->socket, deadline, &path, &error);
  if (probe == NULL)
    return helix_tool_fail (HELIX_EXIT_FAILED, "%s", error->message);
  all = probe->connection->welcome.scanouts;
  if (set.scanout >= all)
    return helix_tool_fail (HELIX_EXIT_FAILED,
        "the VM at %s has %u scanouts, 0 to %u. Give it more with "
        "max_outputs=N of its virtio-gpu device",
        path, all, all - 1);
  if (!helix_probe_list (probe, deadline, &error) || !ask (probe, &set, &error))
    return helix_tool_fail (HELIX_EXIT_FAILED, "%s: %s", path, error->message);
  return report (probe, &set, options->json);
}

const HelixCommand helix_scanout = {
    .name = "scanout",
    .what = "switch a scanout on at a size, or off",
    .words = "N WIDTHxHEIGHT|off",
    .most = 2,
    .summary =
        "Asks the guest to switch a scanout on at a size, or off, as a monitor "
        "that is\nplugged in or out, and waits for what it makes of that.",
    .common = HELIX_OPTION_SOCKET | HELIX_OPTION_JSON,
    .entries = entries,
    .run = run,
};
