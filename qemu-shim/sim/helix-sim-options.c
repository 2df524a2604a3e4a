/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-sim-options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "helix-settings.h"

struct text_options {
  char *size, *rate, *pattern, *resize, *burst, *cursor_rate;
  char *max_size, *group, *mode, *allow;
  gint64 frames;
  gint scanouts, scanouts_on, resources, slots, max_clients;
  gboolean cursor, exit, quiet, version;
};

static bool
wrong (const char *option, const char *value, const char *want)
{
  fprintf (stderr, "helix-shim-sim: error: --%s %s: %s\n", option, value, want);
  return false;
}

static bool
parse_size (
    const char *option, const char *text, uint32_t *width, uint32_t *height)
{
  unsigned w = 0, h = 0;
  char rest;

  if (sscanf (text, "%ux%u%c", &w, &h, &rest) != 2)
    return wrong (option, text, "a size is WIDTHxHEIGHT, e.g. 1920x1080");
  if (w < HELIX_SIM_MIN_WIDTH || h < HELIX_SIM_MIN_HEIGHT
      || w > HELIX_MAX_DIMENSION || h > HELIX_MAX_DIMENSION
      || (uint64_t) w * h * 4 > HELIX_MAX_FRAME_BYTES)
    return wrong (option, text,
        "sizes go from 640x96 (the marker) to 16384 pixels either way and "
        "256 MiB in all");
  *width = w;
  *height = h;
  return true;
}

static bool
parse_rate (const char *option, const char *text, double *rate)
{
  double num = 0, den = 1;
  char rest;

  if (sscanf (text, "%lf/%lf%c", &num, &den, &rest) != 2
      && sscanf (text, "%lf%c", &num, &rest) != 1)
    return wrong (option, text, "a rate is N or N/D a second");
  *rate = num / den;
  if (!(*rate >= 0.001 && *rate <= 10000))
    return wrong (option, text, "rates go from 0.001 to 10000 a second");
  return true;
}

/* The cursor may stand still. */
static bool
parse_cursor_rate (const char *text, double *rate)
{
  if (strcmp (text, "0") == 0) {
    *rate = 0;
    return true;
  }
  return parse_rate ("cursor-rate", text, rate);
}

static bool
parse_pattern (const char *text, enum helix_sim_pattern *pattern)
{
  static const char *const names[] = {
      "marker", "static", "noise", "box", "full", "typing", "scroll"};

  for (unsigned i = 0; i < G_N_ELEMENTS (names); i++)
    if (strcmp (text, names[i]) == 0) {
      *pattern = (enum helix_sim_pattern) i;
      return true;
    }
  return wrong ("pattern", text,
      "there are marker, static, noise, box, full, typing and scroll");
}

static bool
parse_resize (const char *text, struct helix_sim_options *options)
{
  const char *colon = strchr (text, ':');
  unsigned long long every = 0;
  char rest;

  if (!colon || sscanf (text, "%llu%c", &every, &rest) != 2 || rest != ':'
      || every == 0)
    return wrong ("resize-every", text,
        "give pictures and the other size, e.g. 100:1280x720");
  options->resize_every = every;
  return parse_size ("resize-every", colon + 1, &options->resize_width,
      &options->resize_height);
}

static bool
parse_burst (const char *text, struct helix_sim_options *options)
{
  unsigned long long burst = 0;
  double period = 0;
  char rest;

  if (sscanf (text, "%llu@%lf%c", &burst, &period, &rest) != 2 || burst == 0
      || !(period > 0 && period < 86400))
    return wrong (
        "burst", text, "give pictures and the period in seconds, e.g. 10@0.5");
  options->burst = burst;
  options->burst_period = period;
  return true;
}

/* What QEMU's -device helix-export takes as well. */
static bool
parse_shared (struct helix_sim_options *options, struct text_options *text)
{
  char *error = NULL;

  if ((!text->max_size
          || helix_settings_size (text->max_size, &options->max_width,
              &options->max_height, &error))
      && helix_settings_access (
          &options->access, text->group, text->mode, text->allow, &error))
    return true;
  fprintf (stderr, "helix-shim-sim: error: --%s\n", error);
  free (error);
  return false;
}

static bool
check_range (
    const char *option, gint64 value, gint64 low, gint64 high, const char *want)
{
  char text[32];

  if (value >= low && value <= high)
    return true;
  snprintf (text, sizeof text, "%" G_GINT64_FORMAT, value);
  return wrong (option, text, want);
}

static bool
take (struct helix_sim_options *options, struct text_options *text)
{
  options->frames = (uint64_t) text->frames;
  options->scanouts = (uint32_t) text->scanouts;
  options->scanouts_on = text->scanouts_on < 0 ? (uint32_t) text->scanouts
                                               : (uint32_t) text->scanouts_on;
  options->resources = (uint32_t) text->resources;
  options->cursor = text->cursor;
  options->slots = (uint32_t) text->slots;
  options->max_clients = (uint32_t) text->max_clients;
  options->exit = text->exit;
  options->quiet = text->quiet;
  if (!options->socket) {
    fprintf (stderr,
        "helix-shim-sim: error: no --socket given. Name the UNIX socket to "
        "serve, e.g. --socket helix.sock (--help tells the rest)\n");
    return false;
  }
  return check_range ("frames", text->frames, 0, G_MAXINT64,
             "it is a number of pictures")
      && check_range ("scanouts", text->scanouts, 1, HELIX_MAX_SCANOUTS,
          "a VM has 1 to 16 scanouts")
      && check_range ("scanouts-on", text->scanouts_on, -1, text->scanouts,
          "no more can be on than there are (--scanouts)")
      && check_range ("resources", text->resources, 0, HELIX_SIM_MAX_RESOURCES,
          "0 to 16 pictures may be kept off the screen")
      && check_range (
          "slots", text->slots, 2, HELIX_MAX_SLOTS, "a pool has 2 to 8 slots")
      && check_range ("max-clients", text->max_clients, 1, 1024,
          "1 to 1024 clients may be allowed")
      && parse_size ("size", text->size ? text->size : "1920x1080",
          &options->width, &options->height)
      && parse_rate ("rate", text->rate ? text->rate : "60", &options->rate)
      && parse_cursor_rate (
          text->cursor_rate ? text->cursor_rate : "60", &options->cursor_rate)
      && parse_pattern (
          text->pattern ? text->pattern : "marker", &options->pattern)
      && parse_shared (options, text)
      && (!text->resize || parse_resize (text->resize, options))
      && (!text->burst || parse_burst (text->burst, options));
}

static bool
parse (struct helix_sim_options *options, struct text_options *text, int *argc,
    char ***argv)
{
  const GOptionEntry entries[] = {
      {"socket", 's', 0, G_OPTION_ARG_FILENAME, &options->socket,
          "UNIX socket to serve; relative paths are fine (needed)", "PATH"},
      {"size", 0, 0, G_OPTION_ARG_STRING, &text->size,
          "Pixels of each scanout, at least 640x96 (default 1920x1080)", "WxH"},
      {"scanouts", 0, 0, G_OPTION_ARG_INT, &text->scanouts,
          "Scanouts, 1 to 16 (default 1)", "N"},
      {"scanouts-on", 0, 0, G_OPTION_ARG_INT, &text->scanouts_on,
          "How many of them are on from the start, the first ones; clients "
          "may switch each on and off (default: all)",
          "N"},
      {"resources", 0, 0, G_OPTION_ARG_INT, &text->resources,
          "Pictures that no scanout shows and no flush announces, resources "
          "1001 to 1000+N; resource 1000+I counts from I million (default 0)",
          "N"},
      {"cursor", 0, 0, G_OPTION_ARG_NONE, &text->cursor,
          "Give each scanout a cursor of 32x32 pixels that moves", NULL},
      {"cursor-rate", 0, 0, G_OPTION_ARG_STRING, &text->cursor_rate,
          "Moves of the cursor a second, N or N/D; 0: it stands still (default "
          "60)",
          "FPS"},
      {"rate", 0, 0, G_OPTION_ARG_STRING, &text->rate,
          "Pictures a second, N or N/D (default 60)", "FPS"},
      {"pattern", 0, 0, G_OPTION_ARG_STRING, &text->pattern,
          "marker: numbered, colour bars, moving box; static: the same, still; "
          "noise, full: every pixel changes, at random or smoothly; box: 64x64 "
          "pixels; typing: a few rows of glyphs; scroll: half of the screen "
          "(default marker)",
          "NAME"},
      {"frames", 0, 0, G_OPTION_ARG_INT64, &text->frames,
          "Pictures to draw before the screen stands still; serving goes on "
          "(default 0: never ends)",
          "N"},
      {"exit", 0, 0, G_OPTION_ARG_NONE, &text->exit,
          "Exit after the last of --frames pictures", NULL},
      {"resize-every", 0, 0, G_OPTION_ARG_STRING, &text->resize,
          "Alternate between --size and this size, each N pictures (default: "
          "never)",
          "N:WxH"},
      {"burst", 0, 0, G_OPTION_ARG_STRING, &text->burst,
          "Draw N pictures at --rate, then rest until the next multiple of "
          "SECONDS (default: no rest)",
          "N@SECONDS"},
      {"slots", 0, 0, G_OPTION_ARG_INT, &text->slots,
          "Slots of a subscription that wants no number, 2 to 8 (default 3)",
          "N"},
      {"max-clients", 0, 0, G_OPTION_ARG_INT, &text->max_clients,
          "Connections at a time, 1 to 1024 (default 16)", "N"},
      {"max-size", 0, 0, G_OPTION_ARG_STRING, &text->max_size,
          "Export no picture of more pixels than this one (default 8192x4320)",
          "WxH"},
      {"mode", 0, 0, G_OPTION_ARG_STRING, &text->mode,
          "Mode of the socket, in octal digits (default 0600, with --group "
          "0660)",
          "MODE"},
      {"group", 0, 0, G_OPTION_ARG_STRING, &text->group,
          "Group of the socket, by name or number (default: as it is)",
          "GROUP"},
      {"allow", 0, 0, G_OPTION_ARG_STRING, &text->allow,
          "Users who may watch besides this one and root, by name or number",
          "USER:USER"},
      {"json-stats", 0, 0, G_OPTION_ARG_FILENAME, &options->stats_path,
          "Write counters as JSON at exit and on SIGUSR1; - is standard output",
          "FILE"},
      {"quiet", 'q', 0, G_OPTION_ARG_NONE, &text->quiet,
          "Tell only warnings and errors", NULL},
      {"version", 0, 0, G_OPTION_ARG_NONE, &text->version,
          "Tell the version and exit", NULL},
      {NULL, 0, 0, 0, NULL, NULL, NULL},
  };
  GOptionContext *context = g_option_context_new (NULL);
  GError *error = NULL;
  bool good;

  g_option_context_set_summary (context,
      "Serves a synthetic screen over the helix frame protocol, as a VM with "
      "the helix shim\nserves its own. Runs until SIGINT or SIGTERM; prints "
      "\"listening on PATH\" when ready.");
  g_option_context_add_main_entries (context, entries, NULL);
  good = g_option_context_parse (context, argc, argv, &error);
  g_option_context_free (context);
  if (!good) {
    fprintf (stderr, "helix-shim-sim: error: %s (--help tells more)\n",
        error->message);
    g_error_free (error);
    return false;
  }
  if (*argc > 1) {
    fprintf (stderr,
        "helix-shim-sim: error: \"%s\" is no option (--help tells more)\n",
        (*argv)[1]);
    return false;
  }
  if (text->version) {
    printf ("helix-shim-sim " HELIX_PACKAGE_VERSION "\n");
    exit (EXIT_SUCCESS);
  }
  return take (options, text);
}

bool
helix_sim_options_parse (
    struct helix_sim_options *options, int *argc, char ***argv)
{
  struct text_options text = {
      .scanouts = 1, .scanouts_on = -1, .slots = 3, .max_clients = 16};
  bool good;

  memset (options, 0, sizeof *options);
  good = parse (options, &text, argc, argv);
  g_free (text.size);
  g_free (text.rate);
  g_free (text.pattern);
  g_free (text.resize);
  g_free (text.burst);
  g_free (text.cursor_rate);
  g_free (text.max_size);
  g_free (text.group);
  g_free (text.mode);
  g_free (text.allow);
  if (!good)
    helix_sim_options_clear (options);
  return good;
}

void
helix_sim_options_clear (struct helix_sim_options *options)
{
  g_free (options->socket);
  g_free (options->stats_path);
  options->socket = options->stats_path = NULL;
}
