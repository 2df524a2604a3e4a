/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helix scanout: plugs a monitor in, or out, and waits for what the guest
 * makes of it.
 */
#include <stdio.h>
#include <string.h>

#include "helix-platform.h"
#include "helix-report.h"
#include "helix-tool.h"
#include "helix-vms.h"

#define NS_PER_S G_GUINT64_CONSTANT (1000000000)
#define ANSWER_NS (2 * NS_PER_S)
#define MAX_HZ 1000

/* After a first change, for the guest's last word: compositors set another
 * mode first, or none for a moment. Also for a refusal, where nothing has to
 * change. */
#define SETTLE_NS (NS_PER_S / 2)

typedef struct {
  gchar *socket;
  gint timeout, refresh;
  gboolean json;
  struct helix_set_scanout set;
} Options;

static gboolean
parse_words (Options *options, gint argc, gchar **argv)
{
  guint64 index;
  guint width, height;
  gchar rest;

  if (argc != 3) {
    helix_tool_complain ("scanout",
        "say which scanout, and a size or off: helix scanout 1 1920x1080");
    return FALSE;
  }
  if (!g_ascii_string_to_unsigned (
          argv[1], 10, 0, HELIX_MAX_SCANOUTS - 1, &index, NULL)) {
    helix_tool_complain (
        "scanout", "'%s' is no scanout; they go from 0 to 15", argv[1]);
    return FALSE;
  }
  options->set.scanout = (guint32) index;
  options->set.refresh = (guint32) options->refresh * 1000;
  if (strcmp (argv[2], "off") == 0)
    return TRUE;
  if (sscanf (argv[2], "%5ux%5u%c", &width, &height, &rest) != 2 || width < 1
      || height < 1 || width > HELIX_MAX_DIMENSION
      || height > HELIX_MAX_DIMENSION) {
    helix_tool_complain ("scanout",
        "'%s' is no size; WIDTHxHEIGHT, each from 1 to 16384, or off", argv[2]);
    return FALSE;
  }
  options->set.width = width;
  options->set.height = height;
  return TRUE;
}

static gboolean
is_as_wanted (const HelixProbe *probe, const struct helix_set_scanout *set)
{
  const struct helix_scanout *now = &probe->scanouts[set->scanout];

  if (set->width == 0)
    return !helix_probe_scanout_on (probe, set->scanout);
  return helix_probe_scanout_on (probe, set->scanout)
      && now->width == set->width && now->height == set->height;
}

/* Asks, and waits until it is as wanted, the guest has settled otherwise, or
 * the time is over. FALSE with an error: refused, or lost. */
static gboolean
ask (HelixProbe *probe, const Options *options, GError **error)
{
  const HelixConnection *shim = probe->connection;
  const struct helix_set_scanout *set = &options->set;
  /* What it shows says nothing about the monitor: one that nobody reacted to
   * is to be plugged out all the same. */
  gboolean already = is_as_wanted (probe, set);
  guint64 end = helix_now_ns ()
      + (already ? SETTLE_NS : (guint64) options->timeout * NS_PER_S);
  struct helix_scanout before = probe->scanouts[set->scanout];
  guint8 message[HELIX_MAX_MESSAGE];

  helix_probe_send (probe, message, helix_pack_set_scanout (message, set));
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

/* What has come of it. */
static gint
report (const HelixProbe *probe, const Options *options)
{
  const struct helix_set_scanout *set = &options->set;
  const struct helix_scanout *now = &probe->scanouts[set->scanout];
  gboolean on = helix_probe_scanout_on (probe, set->scanout);
  gboolean done = is_as_wanted (probe, set);

  if (options->json) {
    g_autoptr (JsonBuilder) json = json_builder_new ();

    helix_json_object (json, NULL);
    helix_json_uint (json, "scanout", set->scanout);
    helix_json_bool (json, "done", done);
    helix_json_bool (json, "on", on);
    helix_json_uint (json, "width", now->width);
    helix_json_uint (json, "height", now->height);
    json_builder_end_object (json);
    helix_json_print (json);
  } else if (done && on) {
    printf ("scanout %u is on, %ux%u\n", set->scanout, now->width, now->height);
  } else if (done) {
    printf ("scanout %u is off\n", set->scanout);
  } else if (!on) {
    helix_tool_complain ("scanout",
        "scanout %u was asked for, but the guest has not switched it on: it "
        "may have nobody who reacts to a new monitor (a console does not)",
        set->scanout);
  } else if (set->width == 0) {
    helix_tool_complain ("scanout",
        "scanout %u is still on, %ux%u: the guest has not reacted",
        set->scanout, now->width, now->height);
  } else {
    helix_tool_complain ("scanout",
        "scanout %u is on, but %ux%u: the guest keeps to another size",
        set->scanout, now->width, now->height);
  }
  return done ? HELIX_EXIT_GOOD : HELIX_EXIT_FAILED;
}

static gint
run (const Options *options)
{
  guint64 deadline = helix_now_ns () + ANSWER_NS;
  g_autoptr (GError) error = NULL;
  g_autofree gchar *path = NULL;
  g_autoptr (HelixProbe) probe =
      helix_vms_greet_only (options->socket, deadline, &path, &error);
  guint all;

  if (probe == NULL) {
    helix_tool_complain ("scanout", "%s", error->message);
    return HELIX_EXIT_FAILED;
  }
  all = probe->connection->welcome.scanouts;
  if (options->set.scanout >= all) {
    helix_tool_complain ("scanout",
        "the VM at %s has %u scanouts, 0 to %u. Give it more with "
        "max_outputs=N of its virtio-gpu device",
        path, all, all - 1);
    return HELIX_EXIT_FAILED;
  }
  if (!helix_probe_list (probe, NULL, deadline, &error)
      || !ask (probe, options, &error)) {
    helix_tool_complain ("scanout", "%s: %s", path, error->message);
    return HELIX_EXIT_FAILED;
  }
  return report (probe, options);
}

gint
helix_scanout_main (gint argc, gchar **argv)
{
  Options options = {.timeout = 5};
  const GOptionEntry entries[] = {
      {"socket", 's', 0, G_OPTION_ARG_FILENAME, &options.socket,
          "Socket of the VM's shim (default: the one VM that runs)", "PATH"},
      HELIX_VMS_SERVER_USER,
      {"refresh", 'r', 0, G_OPTION_ARG_INT, &options.refresh,
          "Refresh rate of the monitor in Hz (default: the device's)", "HZ"},
      {"timeout", 0, 0, G_OPTION_ARG_INT, &options.timeout,
          "How long to wait for the guest (default 5)", "SECONDS"},
      {"json", 'j', 0, G_OPTION_ARG_NONE, &options.json,
          "One JSON object in place of the line", NULL},
      {NULL, 0, 0, 0, NULL, NULL, NULL},
  };
  gint status = HELIX_EXIT_USAGE;

  if (helix_tool_options ("scanout", "N WIDTHxHEIGHT|off",
          "Asks the guest to switch a scanout on at a size, or off, as a "
          "monitor that is\nplugged in or out, and waits for what it makes of "
          "that.",
          entries, 2, &argc, &argv)) {
    if (options.timeout < 1 || options.timeout > 600)
      helix_tool_complain ("scanout", "--timeout goes from 1 to 600");
    else if (options.refresh < 0 || options.refresh > MAX_HZ)
      helix_tool_complain ("scanout", "--refresh goes from 1 to 1000");
    else if (parse_words (&options, argc, argv))
      status = run (&options);
  }
  g_free (options.socket);
  return status;
}
