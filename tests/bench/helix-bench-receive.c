/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a receiving pipeline that ends in a fakesink called `out` and tells, as
 * one JSON object, what it took to bring pictures there: how old each was,
 * what this process and others used, what the shim read.
 *
 * After the first buffer and --warmup seconds everything is sampled, and once
 * more --seconds later; only what lies between counts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <gst/gst.h>
#include <gst/video/video.h>

#include "helix-bench.h"
#include "helix-marker.h"
#include "helix-sim-screen.h"
#include "helix-turns.h"

#define MAX_OTHERS 4
#define FIRST_BUFFER_NS 20000000000u
#define MAX_SAMPLES (1u << 20)

static gchar *pipeline_text, *scene, *table_path, *record_path, *alloc_path;
static gchar *shim_command;
static gchar **other_texts, **labels;
static gint keyframe_ms;
static gdouble warmup = 1, seconds = 3;
static gboolean may_be_silent, whole;

static const GOptionEntry entries[] = {
    {"pipeline", 0, 0, G_OPTION_ARG_STRING, &pipeline_text,
        "What to run; a fakesink in it is called out", "TEXT"},
    {"scene", 0, 0, G_OPTION_ARG_STRING, &scene,
        "Pattern of the sim: where to look for the number; or turns-full, "
        "turns-box: pictures of helix-bench-turns",
        "NAME"},
    {"whole", 0, 0, G_OPTION_ARG_NONE, &whole,
        "Compare all of each picture with what was drawn (turns, BGRx)", NULL},
    {"table", 0, 0, G_OPTION_ARG_FILENAME, &table_path,
        "Look capture times up by number, for want of a meta", "FILE"},
    {"record", 0, 0, G_OPTION_ARG_FILENAME, &record_path,
        "Write the capture times of metas there, for others", "FILE"},
    {"alloc", 0, 0, G_OPTION_ARG_FILENAME, &alloc_path,
        "What helix-bench-alloc counts for this process", "FILE"},
    {"other", 0, 0, G_OPTION_ARG_STRING_ARRAY, &other_texts,
        "Another process to measure, repeatable", "NAME:PID[:ALLOC-FILE]"},
    {"shim", 0, 0, G_OPTION_ARG_STRING, &shim_command,
        "Prints the shim's counters as a JSON object", "COMMAND"},
    {"warmup", 0, 0, G_OPTION_ARG_DOUBLE, &warmup, "(default 1)", "SECONDS"},
    {"seconds", 0, 0, G_OPTION_ARG_DOUBLE, &seconds, "(default 3)", "SECONDS"},
    {"may-be-silent", 0, 0, G_OPTION_ARG_NONE, &may_be_silent,
        "No buffer at all is fine", NULL},
    {"keyframe-every", 0, 0, G_OPTION_ARG_INT, &keyframe_ms,
        "Ask for a keyframe and take the time until it comes", "MS"},
    {"label", 0, 0, G_OPTION_ARG_STRING_ARRAY, &labels,
        "To be in the JSON, repeatable", "KEY=VALUE"},
    {NULL, 0, 0, 0, NULL, NULL, NULL},
};

/* ---- what a process has used so far ---- */

/* As the kernel counts it: all its threads, those that ended too (but for
 * switches, which only living threads have). */
typedef struct {
  guint64 cpu_ns;                     /* user and system */
  guint64 minor_faults, major_faults; /* pages */
  guint64 sleeps;                     /* voluntary switches: wake-ups */
  guint64 preemptions;                /* involuntary ones */
  guint64 large_allocs, large_bytes;  /* helix-bench-alloc's, or 0 */
} Usage;

/* The clock of a process counts nanoseconds, /proc only ticks of 10 ms. */
static gboolean
get_cpu (Usage *usage, gint pid)
{
  struct timespec used;
  clockid_t clock;

  if (clock_getcpuclockid (pid, &clock) != 0
      || clock_gettime (clock, &used) != 0)
    return FALSE;
  usage->cpu_ns = (guint64) used.tv_sec * 1000000000u + (guint64) used.tv_nsec;
  return TRUE;
}

/* Fields 10 and 12 of /proc/PID/stat; the name before may hold anything. */
static gboolean
get_faults (Usage *usage, gint pid)
{
  g_autofree gchar *path = g_strdup_printf ("/proc/%d/stat", pid);
  g_autofree gchar *text = NULL;
  const gchar *after;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return FALSE;
  after = strrchr (text, ')');
  return after != NULL
      && sscanf (after + 1,
             " %*c %*d %*d %*d %*d %*d %*u %" G_GUINT64_FORMAT
             " %*u %" G_GUINT64_FORMAT,
             &usage->minor_faults, &usage->major_faults)
      == 2;
}

static guint64
find_counter (const gchar *text, const gchar *key)
{
  const gchar *at = strstr (text, key);

  return at != NULL ? g_ascii_strtoull (at + strlen (key), NULL, 10) : 0;
}

static gboolean
get_switches (Usage *usage, gint pid)
{
  g_autofree gchar *folder = g_strdup_printf ("/proc/%d/task", pid);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const gchar *thread;

  if (dir == NULL)
    return FALSE;
  while ((thread = g_dir_read_name (dir)) != NULL) {
    g_autofree gchar *path = g_build_filename (folder, thread, "status", NULL);
    g_autofree gchar *text = NULL;

    /* A thread may end between the two. */
    if (!g_file_get_contents (path, &text, NULL, NULL))
      continue;
    usage->sleeps += find_counter (text, "\nvoluntary_ctxt_switches:");
    usage->preemptions += find_counter (text, "\nnonvoluntary_ctxt_switches:");
  }
  return TRUE;
}

/* `alloc_path`: file of helix-bench-alloc that the process counts in, or NULL.
 * FALSE when there is no such process (any more). */
static gboolean
get_usage (Usage *usage, gint pid, const gchar *alloc_path)
{
  g_autofree gchar *counts = NULL;
  gsize size = 0;

  memset (usage, 0, sizeof *usage);
  if (alloc_path != NULL
      && g_file_get_contents (alloc_path, &counts, &size, NULL)
      && size >= 2 * sizeof (guint64)) {
    memcpy (&usage->large_allocs, counts, sizeof (guint64));
    memcpy (&usage->large_bytes, counts + sizeof (guint64), sizeof (guint64));
  }
  return get_cpu (usage, pid) && get_faults (usage, pid)
      && get_switches (usage, pid);
}

/* "NAME_cpu_ns": ..., what was used from one to the other. */
static void
print_usage (
    GString *json, const gchar *name, const Usage *from, const Usage *to)
{
#define MEMBER(field) \
  g_string_append_printf (json, ", \"%s_" #field "\": %" G_GINT64_FORMAT, \
      name, (gint64) (to->field - from->field))
  MEMBER (cpu_ns);
  MEMBER (minor_faults);
  MEMBER (major_faults);
  MEMBER (sleeps);
  MEMBER (preemptions);
  MEMBER (large_allocs);
  MEMBER (large_bytes);
#undef MEMBER
}
/* ---- which picture of a scene a buffer holds ---- */

/* Pictures that may have been skipped, or drawn before the first was seen. */
#define SEARCH 20000u

typedef struct {
  const guint8 *plane;
  guint32 stride, step;
} Grey;

static gboolean
find_badge (
    const Grey *grey, const GstVideoInfo *info, guint32 last, guint32 *number)
{
  guint32 width = (guint32) GST_VIDEO_INFO_WIDTH (info);
  guint32 height = (guint32) GST_VIDEO_INFO_HEIGHT (info);

  for (guint32 n = MAX (last, 1); n < last + SEARCH; n++) {
    struct helix_rect box = helix_sim_box_place (width, height, n);

    if (helix_badge_read (
            grey->plane + (gsize) box.y * grey->stride + box.x * grey->step,
            grey->stride, grey->step, number)
        && *number == n)
      return TRUE;
  }
  return FALSE;
}

typedef enum {
  SCENE_MARKER, /* it has one */
  SCENE_BOX,    /* the sim's, whose badge moves with the number */
  SCENE_TURNS,  /* helix-turns.h */
} Scene;

/* `last` is the picture before, from which the search begins (0: from the
 * start). FALSE: there is none to be read, or not in this format. *wrong: with
 * `whole`, the picture is another than its number says. */
static gboolean
find_number (GstBuffer *buffer, const GstVideoInfo *info, Scene kind,
    const struct helix_turns *turns, guint32 last, guint32 *number,
    gboolean *wrong)
{
  GstVideoFrame frame;
  gboolean found;
  Grey grey;

  *wrong = FALSE;
  if (!gst_video_frame_map (&frame, info, buffer, GST_MAP_READ))
    return FALSE;
  grey.plane = GST_VIDEO_FRAME_PLANE_DATA (&frame, 0);
  grey.stride = (guint32) GST_VIDEO_FRAME_PLANE_STRIDE (&frame, 0);
  grey.step = (guint32) GST_VIDEO_FRAME_COMP_PSTRIDE (&frame, 0);
  if (GST_VIDEO_INFO_IS_RGB (info))
    grey.plane += GST_VIDEO_FRAME_COMP_POFFSET (&frame, 1); /* green */
  if (kind == SCENE_BOX)
    found = find_badge (&grey, info, last, number);
  else if (kind == SCENE_TURNS)
    found =
        helix_turns_number (turns, grey.plane, grey.stride, grey.step, number);
  else
    found = helix_marker_read (grey.plane, grey.stride, grey.step, number);
  if (whole)
    *wrong = !found
        || !helix_turns_is (turns, *number,
            GST_VIDEO_FRAME_PLANE_DATA (&frame, 0), grey.stride);
  gst_video_frame_unmap (&frame);
  return found;
}
/* ---- the pipeline ---- */

typedef struct {
  const gchar *name, *alloc;
  gint pid;
  Usage begin, end;
} Other;

typedef struct {
  GstElement *pipeline, *source; /* source: called `src`, may be NULL */
  GstPad *pad;
  GstCaps *monotonic;
  HelixBenchTable *table, *record;

  GMutex lock;
  GCond changed;
  gboolean failed;
  /* streaming thread, with the lock */
  GstVideoInfo info;
  gboolean raw, counting;
  Scene scene;
  enum helix_turns_scene which_turns;
  struct helix_turns turns; /* of the size of info; with SCENE_TURNS */
  guint64 buffers;          /* ever */
  guint32 last;             /* number, of all */
  /* while counting */
  guint64 frames, keys, bytes, unnumbered, unknown_age, missed, backwards;
  guint64 wrong; /* ever: a picture before the window may not be wrong either */
  guint64 key_asked_ns; /* 0 = none is awaited */
  GArray *ages, *key_waits;
} Receiver;

/* ---- per buffer ---- */

static void
note_number (Receiver *r, GstBuffer *buffer, guint32 *number)
{
  gboolean found, wrong;

  *number = 0;
  if (!r->raw || scene == NULL)
    return;
  found = find_number (
      buffer, &r->info, r->scene, &r->turns, r->last, number, &wrong);
  r->wrong += wrong;
  if (!found) {
    r->unnumbered += r->counting;
    *number = 0;
    return;
  }
  if (r->counting && r->last != 0) {
    r->backwards += *number < r->last;
    if (*number > r->last + 1)
      r->missed += *number - r->last - 1;
  }
  r->last = *number;
}

static void
note_age (Receiver *r, GstBuffer *buffer, guint32 number, guint64 now)
{
  GstReferenceTimestampMeta *meta =
      gst_buffer_get_reference_timestamp_meta (buffer, r->monotonic);
  guint64 captured = 0, age;

  if (meta != NULL)
    captured = meta->timestamp;
  else if (r->table != NULL && number != 0)
    captured = helix_bench_table_get (r->table, number);
  if (r->record != NULL && number != 0 && captured != 0)
    helix_bench_table_put (r->record, number, captured);
  if (!r->counting)
    return;
  age = now > captured ? now - captured : 0;
  if (captured == 0)
    r->unknown_age++;
  else if (r->ages->len < MAX_SAMPLES)
    g_array_append_val (r->ages, age);
}

static void
note_key (Receiver *r, GstBuffer *buffer, guint64 now)
{
  guint64 took = now - r->key_asked_ns;

  if (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT))
    return;
  r->keys += r->counting;
  if (r->counting && r->key_asked_ns != 0)
    g_array_append_val (r->key_waits, took);
  r->key_asked_ns = 0;
}

static GstPadProbeReturn
on_buffer (GstPad *pad, GstPadProbeInfo *probe, gpointer data)
{
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (probe);
  guint64 now = helix_bench_now ();
  Receiver *r = data;
  guint32 number;

  g_mutex_lock (&r->lock);
  if (r->counting) {
    r->frames++;
    r->bytes += gst_buffer_get_size (buffer);
  }
  note_number (r, buffer, &number);
  note_age (r, buffer, number, now);
  note_key (r, buffer, now);
  if (r->buffers++ == 0)
    g_cond_signal (&r->changed);
  g_mutex_unlock (&r->lock);
  return GST_PAD_PROBE_OK;
}

/* Draws them anew for the size that comes from here on. */
static void
prepare_turns (Receiver *r)
{
  guint32 width = (guint32) GST_VIDEO_INFO_WIDTH (&r->info);
  guint32 height = (guint32) GST_VIDEO_INFO_HEIGHT (&r->info);

  if (!r->raw || r->scene != SCENE_TURNS
      || (r->turns.width == width && r->turns.height == height))
    return;
  if (whole && GST_VIDEO_INFO_FORMAT (&r->info) != GST_VIDEO_FORMAT_BGRx)
    helix_bench_die ("--whole needs BGRx");
  helix_turns_clear (&r->turns);
  helix_turns_init (&r->turns, r->which_turns, width, height);
}

static GstPadProbeReturn
on_event (GstPad *pad, GstPadProbeInfo *probe, gpointer data)
{
  GstEvent *event = GST_PAD_PROBE_INFO_EVENT (probe);
  Receiver *r = data;
  GstCaps *caps;

  if (GST_EVENT_TYPE (event) == GST_EVENT_CAPS) {
    gst_event_parse_caps (event, &caps);
    g_mutex_lock (&r->lock);
    r->raw =
        gst_structure_has_name (gst_caps_get_structure (caps, 0), "video/x-raw")
        && gst_video_info_from_caps (&r->info, caps);
    prepare_turns (r);
    g_mutex_unlock (&r->lock);
  }
  return GST_PAD_PROBE_OK;
}

static GstBusSyncReply
on_message (GstBus *bus, GstMessage *message, gpointer data)
{
  Receiver *r = data;
  GError *error = NULL;
  gchar *debug = NULL;

  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
    gst_message_parse_error (message, &error, &debug);
    fprintf (stderr, "helix-bench-receive: %s (%s)\n", error->message,
        debug != NULL ? debug : "no details");
    g_error_free (error);
    g_free (debug);
    g_mutex_lock (&r->lock);
    r->failed = TRUE;
    g_cond_signal (&r->changed);
    g_mutex_unlock (&r->lock);
  }
  gst_message_unref (message);
  return GST_BUS_DROP;
}

/* ---- the window ---- */

static void
build (Receiver *r)
{
  GError *error = NULL;
  GstElement *out;
  GstBus *bus;

  if (pipeline_text == NULL)
    helix_bench_die ("--pipeline is missing");
  r->pipeline = gst_parse_launch (pipeline_text, &error);
  if (r->pipeline == NULL || error != NULL)
    helix_bench_die ("%s", error != NULL ? error->message : pipeline_text);
  out = gst_bin_get_by_name (GST_BIN (r->pipeline), "out");
  if (out == NULL)
    helix_bench_die ("no element called out in %s", pipeline_text);
  r->source = gst_bin_get_by_name (GST_BIN (r->pipeline), "src");
  r->pad = gst_element_get_static_pad (out, "sink");
  gst_object_unref (out);
  gst_pad_add_probe (r->pad, GST_PAD_PROBE_TYPE_BUFFER, on_buffer, r, NULL);
  gst_pad_add_probe (
      r->pad, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, on_event, r, NULL);
  bus = gst_element_get_bus (r->pipeline);
  gst_bus_set_sync_handler (bus, on_message, r, NULL);
  gst_object_unref (bus);
}

static void
await_first (Receiver *r)
{
  gint64 limit = g_get_monotonic_time () + FIRST_BUFFER_NS / 1000;
  gboolean came;

  if (may_be_silent)
    limit = g_get_monotonic_time () + G_TIME_SPAN_SECOND;
  g_mutex_lock (&r->lock);
  while (r->buffers == 0 && !r->failed)
    if (!g_cond_wait_until (&r->changed, &r->lock, limit))
      break;
  came = r->buffers > 0 || may_be_silent;
  g_mutex_unlock (&r->lock);
  if (!came)
    helix_bench_die ("no buffer came out of: %s", pipeline_text);
}

static void
rest (gdouble time)
{
  /* This is the length of the measurement itself. */
  g_usleep ((gulong) (time * G_USEC_PER_SEC));
}

static void
ask_keyframe (Receiver *r)
{
  g_mutex_lock (&r->lock);
  r->key_asked_ns = helix_bench_now ();
  g_mutex_unlock (&r->lock);
  gst_pad_push_event (r->pad,
      gst_video_event_new_upstream_force_key_unit (
          GST_CLOCK_TIME_NONE, TRUE, 0));
}

static void
measure (Receiver *r)
{
  gint rounds;

  g_mutex_lock (&r->lock);
  r->counting = TRUE;
  g_mutex_unlock (&r->lock);
  if (keyframe_ms > 0) {
    rounds = (gint) (seconds * 1000 / keyframe_ms);
    for (gint i = 0; i < rounds; i++) {
      ask_keyframe (r);
      rest (keyframe_ms / 1000.0);
    }
  } else {
    rest (seconds);
  }
  g_mutex_lock (&r->lock);
  r->counting = FALSE;
  g_mutex_unlock (&r->lock);
}

static GstStructure *
source_stats (Receiver *r)
{
  GstStructure *stats = NULL;

  if (r->source != NULL
      && g_object_class_find_property (G_OBJECT_GET_CLASS (r->source), "stats"))
    g_object_get (r->source, "stats", &stats, NULL);
  return stats;
}

/* With popen, which copies no page tables: after a fork each page that is
 * written to would count as a fault. */
static gchar *
shim_stats (void)
{
  gchar line[16384] = "";
  FILE *answer;

  if (shim_command == NULL)
    return NULL;
  answer = popen (shim_command, "re");
  if (answer == NULL || fgets (line, sizeof line, answer) == NULL
      || pclose (answer) != 0)
    helix_bench_die ("no counters from: %s", shim_command);
  return g_strdup (g_strchomp (line));
}

/* ---- what came of it ---- */

static void
print_source (GString *json, const GstStructure *from, const GstStructure *to)
{
  for (gint i = 0;
       from != NULL && to != NULL && i < gst_structure_n_fields (to); i++) {
    const gchar *name = gst_structure_nth_field_name (to, i);
    guint64 before, after;

    if (gst_structure_get_uint64 (from, name, &before)
        && gst_structure_get_uint64 (to, name, &after)) {
      g_autofree gchar *key = g_strdelimit (g_strdup (name), "-", '_');

      g_string_append_printf (json, ", \"src_%s\": %" G_GINT64_FORMAT, key,
          (gint64) (after - before));
    }
  }
}

static void
print_labels (GString *json)
{
  for (guint i = 0; labels != NULL && labels[i] != NULL; i++) {
    gchar *value = strchr (labels[i], '=');

    if (value == NULL)
      helix_bench_die ("--label %s is not KEY=VALUE", labels[i]);
    *value++ = '\0';
    g_string_append_printf (
        json, "%s\"%s\": \"%s\"", i ? ", " : "", labels[i], value);
  }
}

static void
print_counts (GString *json, const Receiver *r)
{
#define MEMBER(name) \
  g_string_append_printf (json, ", \"" #name "\": %" G_GUINT64_FORMAT, r->name)
  MEMBER (frames);
  MEMBER (bytes);
  MEMBER (keys);
  MEMBER (missed);
  MEMBER (backwards);
  MEMBER (unnumbered);
  MEMBER (unknown_age);
  MEMBER (wrong);
#undef MEMBER
}

static guint
parse_others (Other *others)
{
  guint n = 0;

  for (; other_texts != NULL && other_texts[n] != NULL; n++) {
    g_auto (GStrv) parts = g_strsplit (other_texts[n], ":", 3);

    if (n == MAX_OTHERS || g_strv_length (parts) < 2)
      helix_bench_die ("--other %s is not NAME:PID", other_texts[n]);
    others[n].name = g_strdup (parts[0]);
    others[n].pid = atoi (parts[1]);
    others[n].alloc = g_strdup (parts[2]);
  }
  return n;
}

static void
run (Receiver *r, GString *json)
{
  Other others[MAX_OTHERS + 1] = {{.name = NULL}};
  guint n = parse_others (others);
  Other *own = &others[n++];
  guint64 begin, end;
  g_autofree gchar *shim_begin = NULL, *shim_end = NULL;
  g_autoptr (GstStructure) from = NULL, to = NULL;

  *own = (Other){.name = "receiver", .pid = getpid (), .alloc = alloc_path};
  await_first (r);
  rest (warmup);
  shim_begin = shim_stats ();
  from = source_stats (r);
  for (guint i = 0; i < n; i++)
    if (!get_usage (&others[i].begin, others[i].pid, others[i].alloc))
      helix_bench_die ("%s is gone", others[i].name);
  begin = helix_bench_now ();
  measure (r);
  end = helix_bench_now ();
  for (guint i = 0; i < n; i++)
    if (!get_usage (&others[i].end, others[i].pid, others[i].alloc))
      helix_bench_die ("%s ended meanwhile", others[i].name);
  to = source_stats (r);
  shim_end = shim_stats ();
  if (r->failed)
    helix_bench_die ("the pipeline failed");

  g_string_append_printf (
      json, ", \"seconds\": %.6f", (gdouble) (end - begin) / 1e9);
  print_counts (json, r);
  helix_bench_times_print (json, "age_", r->ages);
  helix_bench_times_print (json, "key_wait_", r->key_waits);
  for (guint i = 0; i < n; i++)
    print_usage (json, others[i].name, &others[i].begin, &others[i].end);
  print_source (json, from, to);
  if (shim_begin != NULL && shim_end != NULL)
    g_string_append_printf (
        json, ", \"shim_begin\": %s, \"shim_end\": %s", shim_begin, shim_end);
}

static void
choose_scene (Receiver *r)
{
  if (scene != NULL && g_str_has_prefix (scene, "turns-")) {
    if (!helix_turns_find (scene + strlen ("turns-"), &r->which_turns))
      helix_bench_die ("no scene %s", scene);
    r->scene = SCENE_TURNS;
  } else if (scene != NULL && strcmp (scene, "box") == 0) {
    r->scene = SCENE_BOX;
  }
  if (whole && r->scene != SCENE_TURNS)
    helix_bench_die ("--whole needs --scene turns-full or turns-box");
}

int
main (int argc, char **argv)
{
  GOptionContext *context = g_option_context_new (NULL);
  GString *json = g_string_new ("{");
  GError *error = NULL;
  Receiver r = {0};

  g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_add_group (context, gst_init_get_option_group ());
  if (!g_option_context_parse (context, &argc, &argv, &error))
    helix_bench_die ("%s", error->message);
  g_option_context_free (context);
  print_labels (json);
  choose_scene (&r);
  r.monotonic = gst_caps_new_empty_simple ("timestamp/x-system-monotonic");
  r.ages = helix_bench_times_new (MAX_SAMPLES);
  r.key_waits = helix_bench_times_new (4096);
  if (table_path != NULL)
    r.table = helix_bench_table_open (table_path);
  if (record_path != NULL)
    r.record = helix_bench_table_open (record_path);
  build (&r);
  gst_element_set_state (r.pipeline, GST_STATE_PLAYING);
  run (&r, json);
  printf ("%s}\n", json->str);
  fflush (stdout);
  gst_element_set_state (r.pipeline, GST_STATE_NULL);
  return EXIT_SUCCESS;
}
