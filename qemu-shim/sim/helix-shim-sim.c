/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helix-shim-sim: the shim's core behind a synthetic screen. What QEMU is to
 * the core, this is in small: the main thread owns the sockets, a second one
 * draws, flushes and is read back.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glib-unix.h>

#include "helix-platform.h"
#include "helix-shim-settings.h"
#include "helix-shim.h"
#include "helix-sim-later.h"
#include "helix-sim-loop.h"
#include "helix-sim-screen.h"

#define NS_PER_S 1000000000.0
#define NS_PER_MS 1000000.0
#define MAX_DELAY_MS 10000.0

#define MAX_RESOURCES 16u /* off the screen */
/* Their ids, and what the number of their pictures begins with, so that no
 * picture looks like another one's. */
#define FIRST_RESOURCE 1001u
#define RESOURCE_NUMBERS 1000000u

/* The command line. GOption sets numbers as gint; check_ranges () sees to it
 * that none is negative, but for scanouts_on. */
static struct {
  uint32_t width, height; /* pixels */
  gint scanouts_on;       /* on from the start; -1 = all */
  uint32_t resources;     /* that no scanout shows */
  gboolean cursor;
  double cursor_rate;   /* moves a second, 0 = it stands still */
  double rate;          /* pictures a second */
  uint64_t readback_ns; /* until one is complete, HELIX_NONE64 = at once */
  enum helix_sim_pattern pattern;
  gint64 frames;         /* pictures, 0 = for ever */
  gboolean exit;         /* after the last picture */
  uint64_t resize_every; /* pictures, 0 = never */
  uint32_t resize_width, resize_height;
  char *mode, *allow; /* helix-shim-settings.h */
  struct helix_shim_config config;
  char *stats_path; /* NULL = none, "-" = stdout */
  gboolean quiet;
} options = {.width = 1920,
    .height = 1080,
    .scanouts_on = -1,
    .rate = 60,
    .cursor_rate = 60,
    .readback_ns = HELIX_NONE64,
    .config = {.name = "helix-shim-sim " HELIX_PACKAGE_VERSION,
        .scanouts = 1,
        .scanout_mask = 0xffff,
        .slots = 3,
        .max_clients = 16,
        .max_width = HELIX_MAX_DIMENSION,
        .max_height = HELIX_MAX_FRAME_BYTES / 4 / HELIX_MAX_DIMENSION}};

/* ---- the command line ---- */

static gboolean
wrong (GError **error, const char *option, const char *text, const char *want)
{
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "%s %s: %s",
      option, text, want);
  return FALSE;
}

static gboolean
parse_size (const char *option, const char *text, uint32_t *width,
    uint32_t *height, GError **error)
{
  unsigned w = 0, h = 0;
  char rest;

  if (sscanf (text, "%ux%u%c", &w, &h, &rest) != 2)
    return wrong (
        error, option, text, "a size is WIDTHxHEIGHT, e.g. 1920x1080");
  if (w < HELIX_SIM_MIN_WIDTH || h < HELIX_SIM_MIN_HEIGHT
      || w > HELIX_MAX_DIMENSION || h > HELIX_MAX_DIMENSION
      || (uint64_t) w * h * 4 > HELIX_MAX_FRAME_BYTES)
    return wrong (error, option, text,
        "sizes go from 640x96 (the marker) to 16384 pixels either way and "
        "256 MiB in all");
  *width = w;
  *height = h;
  return TRUE;
}

static gboolean
take_size (
    const char *option, const char *text, gpointer opaque, GError **error)
{
  return parse_size (option, text, &options.width, &options.height, error);
}

/* --rate and --cursor-rate; the cursor may stand still. */
static gboolean
take_rate (
    const char *option, const char *text, gpointer opaque, GError **error)
{
  gboolean cursor = strcmp (option, "--cursor-rate") == 0;
  double *rate = cursor ? &options.cursor_rate : &options.rate;
  double num = 0, den = 1;
  char rest;

  if (sscanf (text, "%lf/%lf%c", &num, &den, &rest) != 2
      && sscanf (text, "%lf%c", &num, &rest) != 1)
    return wrong (error, option, text, "a rate is N or N/D a second");
  *rate = num / den;
  if (!(*rate >= 0.001 && *rate <= 10000)
      && !(cursor && strcmp (text, "0") == 0))
    return wrong (error, option, text, "rates go from 0.001 to 10000 a second");
  return TRUE;
}

static gboolean
take_delay (
    const char *option, const char *text, gpointer opaque, GError **error)
{
  double ms = -1;
  char rest;

  if (sscanf (text, "%lf%c", &ms, &rest) != 1
      || !(ms >= 0 && ms <= MAX_DELAY_MS))
    return wrong (error, option, text, "delays go from 0 to 10000 ms");
  options.readback_ns = (uint64_t) (ms * NS_PER_MS);
  return TRUE;
}

static gboolean
take_pattern (
    const char *option, const char *text, gpointer opaque, GError **error)
{
  return helix_sim_pattern_find (text, &options.pattern)
      || wrong (error, option, text,
          "there are marker, static, noise, box, full, typing and scroll");
}

static gboolean
take_resize (
    const char *option, const char *text, gpointer opaque, GError **error)
{
  const char *colon = strchr (text, ':');
  unsigned long long every = 0;
  char rest;

  if (!colon || sscanf (text, "%llu%c", &every, &rest) != 2 || rest != ':'
      || every == 0)
    return wrong (error, option, text,
        "give pictures and the other size, e.g. 100:1280x720");
  options.resize_every = every;
  return parse_size (
      option, colon + 1, &options.resize_width, &options.resize_height, error);
}

static gboolean
print_version (
    const char *option, const char *text, gpointer opaque, GError **error)
{
  printf ("helix-shim-sim " HELIX_PACKAGE_VERSION "\n");
  exit (EXIT_SUCCESS);
}

static gboolean
check_ranges (GError **error)
{
  const gint scanouts = (gint) options.config.scanouts;
  const struct {
    const char *option;
    gint64 value, low, high;
    const char *want;
  } ranges[] = {
      {"--frames", options.frames, 0, G_MAXINT64, "it is a number of pictures"},
      {"--scanouts", scanouts, 1, HELIX_MAX_SCANOUTS,
          "a VM has 1 to 16 scanouts"},
      {"--scanouts-on", options.scanouts_on, -1, scanouts,
          "no more can be on than there are (--scanouts)"},
      {"--resources", (gint) options.resources, 0, MAX_RESOURCES,
          "0 to 16 pictures may be kept off the screen"},
      {"--max-clients", (gint) options.config.max_clients, 1, 1024,
          "1 to 1024 clients may be allowed"},
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (ranges); i++)
    if (ranges[i].value < ranges[i].low || ranges[i].value > ranges[i].high) {
      g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
          "%s %" G_GINT64_FORMAT ": %s", ranges[i].option, ranges[i].value,
          ranges[i].want);
      return FALSE;
    }
  return TRUE;
}

static gboolean
check (int argc, char **argv, GError **error)
{
  char *why = NULL;

  if (argc > 1) {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
        "\"%s\" is no option", argv[1]);
    return FALSE;
  }
  if (!options.config.path) {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
        "no --socket given. Name the UNIX socket to serve, e.g. --socket "
        "helix.sock");
    return FALSE;
  }
  if (!check_ranges (error))
    return FALSE;
  if (options.scanouts_on < 0)
    options.scanouts_on = (gint) options.config.scanouts;
  /* What QEMU's -device helix-export takes as well. */
  if (helix_shim_settings_access (
          &options.config.access, NULL, options.mode, options.allow, &why))
    return TRUE;
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "--%s", why);
  free (why);
  return FALSE;
}

/* false: told on stderr what is wrong. --help and --version do not return. */
static gboolean
parse_options (int argc, char **argv)
{
  const GOptionEntry entries[] = {
      {"socket", 's', 0, G_OPTION_ARG_FILENAME, &options.config.path,
          "UNIX socket to serve; relative paths are fine (needed)", "PATH"},
      {"size", 0, 0, G_OPTION_ARG_CALLBACK, take_size,
          "Pixels of each scanout, at least 640x96 (default 1920x1080)", "WxH"},
      {"scanouts", 0, 0, G_OPTION_ARG_INT, &options.config.scanouts,
          "Scanouts, 1 to 16 (default 1)", "N"},
      {"scanouts-on", 0, 0, G_OPTION_ARG_INT, &options.scanouts_on,
          "How many of them are on from the start, the first ones; clients "
          "may switch each on and off (default: all)",
          "N"},
      {"resources", 0, 0, G_OPTION_ARG_INT, &options.resources,
          "Pictures that no scanout shows and no flush announces, resources "
          "1001 to 1000+N; resource 1000+I counts from I million (default 0)",
          "N"},
      {"cursor", 0, 0, G_OPTION_ARG_NONE, &options.cursor,
          "Give each scanout a cursor of 32x32 pixels that moves", NULL},
      {"cursor-rate", 0, 0, G_OPTION_ARG_CALLBACK, take_rate,
          "Moves of the cursor a second, N or N/D; 0: it stands still (default "
          "60)",
          "FPS"},
      {"rate", 0, 0, G_OPTION_ARG_CALLBACK, take_rate,
          "Pictures a second, N or N/D (default 60)", "FPS"},
      {"readback-delay", 0, 0, G_OPTION_ARG_CALLBACK, take_delay,
          "Complete each readback so much later, as a GPU does, and write its "
          "pixels on another thread (default: at once, in the flush)",
          "MS"},
      {"pattern", 0, 0, G_OPTION_ARG_CALLBACK, take_pattern,
          "marker: numbered, colour bars, moving box; static: the same, still; "
          "noise, full: every pixel changes, at random or smoothly; box: 64x64 "
          "pixels; typing: a few rows of glyphs; scroll: half of the screen "
          "(default marker)",
          "NAME"},
      {"frames", 0, 0, G_OPTION_ARG_INT64, &options.frames,
          "Pictures to draw before the screen stands still; serving goes on "
          "(default 0: never ends)",
          "N"},
      {"exit", 0, 0, G_OPTION_ARG_NONE, &options.exit,
          "Exit after the last of --frames pictures", NULL},
      {"resize-every", 0, 0, G_OPTION_ARG_CALLBACK, take_resize,
          "Alternate between --size and this size, each N pictures (default: "
          "never)",
          "N:WxH"},
      {"max-clients", 0, 0, G_OPTION_ARG_INT, &options.config.max_clients,
          "Connections at a time, 1 to 1024 (default 16)", "N"},
      {"mode", 0, 0, G_OPTION_ARG_STRING, &options.mode,
          "Mode of the socket, in octal digits (default 0600)", "MODE"},
      {"allow", 0, 0, G_OPTION_ARG_STRING, &options.allow,
          "Users who may watch besides this one and root, by name or number",
          "USER:USER"},
      {"json-stats", 0, 0, G_OPTION_ARG_FILENAME, &options.stats_path,
          "Write counters as JSON at exit and on SIGUSR1; - is standard output",
          "FILE"},
      {"quiet", 'q', 0, G_OPTION_ARG_NONE, &options.quiet,
          "Tell only warnings and errors", NULL},
      {"version", 0, G_OPTION_FLAG_NO_ARG, G_OPTION_ARG_CALLBACK, print_version,
          "Tell the version and exit", NULL},
      {NULL, 0, 0, 0, NULL, NULL, NULL},
  };
  GOptionContext *context = g_option_context_new (NULL);
  GError *error = NULL;
  gboolean good;

  g_option_context_set_summary (context,
      "Serves a synthetic screen over the helix frame protocol, as a VM with "
      "the helix shim\nserves its own. Runs until SIGINT or SIGTERM; prints "
      "\"listening on PATH\" when ready.");
  g_option_context_add_main_entries (context, entries, NULL);
  good = g_option_context_parse (context, &argc, &argv, &error)
      && check (argc, argv, &error);
  g_option_context_free (context);
  if (!good) {
    fprintf (stderr, "helix-shim-sim: error: %s (--help tells more)\n",
        error->message);
    g_error_free (error);
  }
  return good;
}

static struct {
  struct helix_sim_loops loops; /* and the shim */
  pthread_t display_thread;
  /* display thread */
  /* Of the scanouts, then what none of them shows. resource_id 0 = off. */
  struct helix_sim_screen screen[HELIX_MAX_SCANOUTS + MAX_RESOURCES];
  struct helix_sim_later later; /* readbacks, with --readback-delay */
  uint32_t next_resource;
  GSource *picture_timer, *cursor_timer;
  uint64_t start_ns; /* when picture 1 was there, less what was too slow */
  uint64_t pictures; /* drawn since the first; atomic */
  uint64_t cursor_ns, cursor_moves; /* cursor_ns: of the next */
} sim;

/* ---- helix_display_ops ---- */

static struct helix_sim_screen *
find_screen (uint32_t resource_id)
{
  for (guint i = 0; i < G_N_ELEMENTS (sim.screen); i++)
    if (resource_id && sim.screen[i].resource_id == resource_id)
      return &sim.screen[i];
  return NULL;
}

static void
copy_box (
    void *screen, const struct helix_rect *box, void *dst, uint32_t stride)
{
  helix_sim_screen_read (screen, box, dst, stride);
}

static enum helix_read
read_screen (void *opaque, struct helix_readback *readback, const char **why)
{
  struct helix_sim_screen *screen = find_screen (readback->surface.resource_id);

  if (!screen) {
    *why = "the resource is gone";
    return HELIX_READ_FAILED;
  }
  if (options.readback_ns != HELIX_NONE64) {
    helix_sim_later_read (&sim.later, readback, copy_box, screen);
    return HELIX_READ_PENDING;
  }
  for (uint32_t i = 0; i < readback->boxes; i++)
    copy_box (screen, &readback->box[i], helix_readback_dst (readback, i),
        readback->stride);
  return HELIX_READ_DONE;
}

static void
describe (const struct helix_sim_screen *screen, struct helix_surface *surface)
{
  memset (surface, 0, sizeof *surface);
  surface->resource_id = screen->resource_id;
  surface->rect.width = screen->width;
  surface->rect.height = screen->height;
  surface->fourcc = HELIX_FOURCC_BGRX;
}

static bool
get_resource (void *opaque, uint32_t resource_id, struct helix_surface *surface)
{
  struct helix_sim_screen *screen = find_screen (resource_id);

  if (screen)
    describe (screen, surface);
  return screen != NULL;
}

static void
write_log (void *opaque, enum helix_log_level level, const char *line)
{
  static const char *const names[] = {
      [HELIX_LOG_ERROR] = "error",
      [HELIX_LOG_WARN] = "warning",
      [HELIX_LOG_NOTICE] = "notice",
      [HELIX_LOG_INFO] = "info",
  };

  if (level == HELIX_LOG_INFO && options.quiet)
    return;
  fprintf (stderr, "helix-shim-sim: %s: %s\n", names[level], line);
}

/* ---- the display thread ---- */

/* The cursor's place on every scanout; the shape only at first. */
static void
place_cursor (void)
{
  static uint8_t pixels[HELIX_SIM_CURSOR_SIZE * HELIX_SIM_CURSOR_SIZE * 4];
  const struct helix_cursor_shape shape = {HELIX_SIM_CURSOR_SIZE,
      HELIX_SIM_CURSOR_SIZE, HELIX_SIM_CURSOR_HOT_X, HELIX_SIM_CURSOR_HOT_Y,
      pixels};

  if (!options.cursor)
    return;
  if (sim.cursor_moves == 0)
    helix_sim_cursor_draw (pixels);
  for (uint32_t i = 0; i < options.config.scanouts; i++) {
    const struct helix_sim_screen *screen = &sim.screen[i];
    int32_t x, y;

    helix_sim_cursor_place (screen->resource_id ? screen->width : options.width,
        screen->resource_id ? screen->height : options.height, sim.cursor_moves,
        &x, &y);
    helix_shim_display_cursor (sim.loops.shim, i, screen->resource_id != 0, x,
        y, sim.cursor_moves == 0 ? &shape : NULL);
  }
}

static void
show_screen (uint32_t index, uint32_t width, uint32_t height, uint32_t number)
{
  struct helix_sim_screen *screen = &sim.screen[index];
  uint32_t old = screen->resource_id;
  struct helix_surface surface;
  struct helix_rect all = {0, 0, width, height};

  helix_sim_screen_clear (screen);
  helix_sim_screen_init (screen, index, ++sim.next_resource, width, height,
      options.pattern, number);
  describe (screen, &surface);
  helix_shim_display_scanout (sim.loops.shim, index, &surface);
  helix_shim_display_flush (sim.loops.shim, screen->resource_id, &all);
  if (old)
    helix_shim_display_unref (sim.loops.shim, old);
  place_cursor ();
}

static void
hide_screen (uint32_t index)
{
  uint32_t old = sim.screen[index].resource_id;

  if (!old)
    return;
  helix_shim_display_scanout (sim.loops.shim, index, NULL);
  helix_shim_display_unref (sim.loops.shim, old);
  helix_sim_screen_clear (&sim.screen[index]);
  place_cursor ();
}

static bool
set_scanout (
    void *opaque, const struct helix_set_scanout *set, const char **why)
{
  if (set->width == 0) {
    hide_screen (set->scanout);
    return true;
  }
  if (set->width < HELIX_SIM_MIN_WIDTH || set->height < HELIX_SIM_MIN_HEIGHT
      || (uint64_t) set->width * set->height * 4 > HELIX_MAX_FRAME_BYTES) {
    *why = "a synthetic screen has 640x96 pixels at least (the marker) and "
           "256 MiB at most";
    return false;
  }
  show_screen (
      set->scanout, set->width, set->height, (uint32_t) sim.pictures + 1);
  return true;
}

static void
make_resources (void)
{
  for (uint32_t i = 0; i < options.resources; i++)
    helix_sim_screen_init (&sim.screen[HELIX_MAX_SCANOUTS + i], i + 1,
        FIRST_RESOURCE + i, options.width, options.height, options.pattern,
        (i + 1) * RESOURCE_NUMBERS + 1);
}

static void
plan_cursor (void)
{
  if (!options.cursor || options.cursor_rate <= 0)
    return;
  sim.cursor_ns =
      MAX (sim.cursor_ns + (uint64_t) (NS_PER_S / options.cursor_rate),
          helix_now_ns ());
  helix_sim_timer_set (sim.cursor_timer, sim.cursor_ns);
}

static void
on_cursor (void *opaque)
{
  sim.cursor_moves++;
  place_cursor ();
  plan_cursor ();
}

/* With --resize-every N:WxH the size alternates each N pictures. */
static bool
resize_due (uint32_t *width, uint32_t *height)
{
  bool other;

  if (!options.resize_every || sim.pictures % options.resize_every)
    return false;
  other = sim.pictures / options.resize_every % 2;
  *width = other ? options.resize_width : options.width;
  *height = other ? options.resize_height : options.height;
  return true;
}

static void
draw_next (void)
{
  uint32_t width = 0, height = 0;
  bool resize;

  __atomic_fetch_add (&sim.pictures, 1, __ATOMIC_RELAXED);
  resize = resize_due (&width, &height);
  for (uint32_t i = 0; i < G_N_ELEMENTS (sim.screen); i++) {
    struct helix_sim_screen *screen = &sim.screen[i];
    bool shown = i < HELIX_MAX_SCANOUTS;
    struct helix_rect damage;

    if (!screen->resource_id)
      continue;
    if (resize && shown)
      show_screen (i, width, height, screen->number + 1);
    else if (helix_sim_screen_next (screen, &damage) && shown)
      helix_shim_display_flush (sim.loops.shim, screen->resource_id, &damage);
  }
}

/* When picture number `index` (from 1) is due after the start. */
static uint64_t
due_of (uint64_t index)
{
  return sim.start_ns + (uint64_t) ((double) index / options.rate * NS_PER_S);
}

/* --frames counts picture 1, which is there from the start. */
static void
plan_picture (void)
{
  uint64_t now = helix_now_ns (), next;

  if ((options.frames && sim.pictures + 1 >= (uint64_t) options.frames)
      || options.pattern == HELIX_SIM_STATIC) {
    if (options.exit)
      helix_sim_loop_quit (&sim.loops.io);
    return;
  }
  next = due_of (sim.pictures + 1);
  /* Too slow, or stopped for a while: goes on from here, without a rush. */
  if (next + (uint64_t) (NS_PER_S / options.rate) < now) {
    sim.start_ns += now - next;
    next = now;
  }
  helix_sim_timer_set (sim.picture_timer, next);
}

static void
on_picture (void *opaque)
{
  draw_next ();
  plan_picture ();
}

static void *
display_main (void *opaque)
{
  struct helix_sim_loop *display = &sim.loops.display;

  helix_thread_name ("helix-display");
  for (uint32_t i = 0; i < (uint32_t) options.scanouts_on; i++)
    show_screen (i, options.width, options.height, 1);
  make_resources ();
  place_cursor ();
  sim.start_ns = sim.cursor_ns = helix_now_ns ();
  sim.cursor_timer = helix_sim_loop_timer (display, on_cursor, NULL);
  sim.picture_timer = helix_sim_loop_timer (display, on_picture, NULL);
  plan_cursor ();
  plan_picture ();
  helix_sim_loop_run (display);
  return NULL;
}

/* ---- the main thread ---- */

static bool
write_stats (void)
{
  const char *path = options.stats_path;
  char *stats = helix_shim_stats_text (sim.loops.shim, true);
  uint64_t pictures = __atomic_load_n (&sim.pictures, __ATOMIC_RELAXED) + 1;
  char *text = g_strdup_printf (
      "{\"pictures\": %" G_GUINT64_FORMAT ", %s}\n", pictures, stats);
  GError *error = NULL;
  bool written = true;

  if (path && strcmp (path, "-") == 0) {
    fputs (text, stdout);
    written = fflush (stdout) == 0;
  } else if (path && !g_file_set_contents (path, text, -1, &error)) {
    /* It replaces the file: a script may wait for it to be there. */
    written = false;
    fprintf (stderr,
        "helix-shim-sim: cannot write statistics: %s. Choose another file with "
        "--json-stats\n",
        error->message);
  }
  g_free (stats);
  g_free (text);
  g_clear_error (&error);
  return written;
}

static gboolean
on_stats_wanted (gpointer opaque)
{
  write_stats ();
  return G_SOURCE_CONTINUE;
}

static gboolean
on_end (gpointer opaque)
{
  helix_sim_loop_quit (&sim.loops.io);
  return G_SOURCE_CONTINUE;
}

static bool
make_shim (void)
{
  static const struct helix_display_ops display_ops = {.read = read_screen,
      .resource = get_resource,
      .set_scanout = set_scanout,
      .log = write_log};
  char *error = NULL;

  helix_sim_loops_init (&sim.loops, g_main_context_default ());
  helix_sim_later_init (&sim.later, &sim.loops, options.readback_ns);
  sim.loops.shim = helix_shim_new (
      &options.config, &display_ops, NULL, &helix_sim_loop_ops, &sim.loops);
  if (helix_shim_listen (sim.loops.shim, &error))
    return true;
  fprintf (stderr, "helix-shim-sim: error: %s\n", error);
  free (error);
  return false;
}

static int
serve (void)
{
  int err;

  if (!make_shim ())
    return EXIT_FAILURE;
  /* In the default context, which is the io thread's. */
  g_unix_signal_add (SIGINT, on_end, NULL);
  g_unix_signal_add (SIGTERM, on_end, NULL);
  g_unix_signal_add (SIGUSR1, on_stats_wanted, NULL);
  err = pthread_create (&sim.display_thread, NULL, display_main, NULL);
  if (err) {
    fprintf (stderr, "helix-shim-sim: error: cannot start a thread: %s\n",
        g_strerror (err));
    return EXIT_FAILURE;
  }
  printf ("listening on %s\n", options.config.path);
  fflush (stdout);
  helix_sim_loop_run (&sim.loops.io);

  helix_sim_loop_quit (&sim.loops.display);
  pthread_join (sim.display_thread, NULL);
  helix_shim_io_stop (sim.loops.shim);
  helix_sim_later_clear (&sim.later);
  return write_stats () ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
main (int argc, char **argv)
{
  int status;

  if (!parse_options (argc, argv))
    return 2;
  status = serve ();
  helix_shim_free (sim.loops.shim);
  return status;
}
