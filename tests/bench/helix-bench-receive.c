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
#include <unistd.h>

#include <gst/gst.h>
#include <gst/video/video.h>

#include "helix-bench-picture.h"
#include "helix-bench-shim.h"
#include "helix-bench-table.h"
#include "helix-bench-usage.h"

#define MAX_OTHERS 4
#define FIRST_BUFFER_NS 20000000000u
#define MAX_SAMPLES (1u << 20)

static gchar *pipeline_text, *scene, *table_path, *record_path, *alloc_path;
static gchar *sim_stats_path, *qmp_path;
static gchar **other_texts, **labels;
static gint sim_pid, keyframe_ms;
static gdouble warmup = 1, seconds = 3;
static gboolean may_be_silent;

static const GOptionEntry entries[] = {
    {"pipeline", 0, 0, G_OPTION_ARG_STRING, &pipeline_text,
        "What to run; a fakesink in it is called out", "TEXT"},
    {"scene", 0, 0, G_OPTION_ARG_STRING, &scene,
        "Pattern of the sim: where to look for the number", "NAME"},
    {"table", 0, 0, G_OPTION_ARG_FILENAME, &table_path,
        "Look capture times up by number, for want of a meta", "FILE"},
    {"record", 0, 0, G_OPTION_ARG_FILENAME, &record_path,
        "Write the capture times of metas there, for others", "FILE"},
    {"alloc", 0, 0, G_OPTION_ARG_FILENAME, &alloc_path,
        "What helix-bench-alloc counts for this process", "FILE"},
    {"other", 0, 0, G_OPTION_ARG_STRING_ARRAY, &other_texts,
        "Another process to measure, repeatable", "NAME:PID[:ALLOC-FILE]"},
    {"sim", 0, 0, G_OPTION_ARG_INT, &sim_pid, "Ask this sim for its counters",
        "PID"},
    {"sim-stats", 0, 0, G_OPTION_ARG_FILENAME, &sim_stats_path,
        "where it writes them", "FILE"},
    {"qmp", 0, 0, G_OPTION_ARG_FILENAME, &qmp_path,
        "Ask this QEMU for the shim's counters", "SOCKET"},
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

typedef struct {
  const gchar *name, *alloc;
  gint pid;
  HelixBenchUsage begin, end;
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
  gboolean raw, counting, box;
  guint64 buffers; /* ever */
  guint32 last;    /* number, of all */
  /* while counting */
  guint64 frames, keys, bytes, unnumbered, unknown_age, missed, backwards;
  guint64 key_asked_ns; /* 0 = none is awaited */
  GArray *ages, *key_waits;
} Receiver;

/* ---- per buffer ---- */

static void
note_number (Receiver *r, GstBuffer *buffer, guint32 *number)
{
  *number = 0;
  if (!r->raw || scene == NULL)
    return;
  if (!helix_bench_picture_number (buffer, &r->info, r->box, r->last, number)) {
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

static gchar *
shim_stats (void)
{
  if (qmp_path != NULL)
    return helix_bench_qemu_stats (qmp_path);
  if (sim_stats_path != NULL)
    return helix_bench_sim_stats (sim_pid, sim_stats_path);
  return NULL;
}

/* ---- what came of it ---- */

static gint
compare (gconstpointer a, gconstpointer b)
{
  guint64 left = *(const guint64 *) a, right = *(const guint64 *) b;

  return left < right ? -1 : left > right;
}

static void
print_times (GString *json, const gchar *name, GArray *times)
{
  static const guint percents[] = {50, 95, 99};

  g_string_append_printf (json, ", \"%s_samples\": %u", name, times->len);
  if (times->len == 0)
    return;
  g_array_sort (times, compare);
  for (guint i = 0; i < G_N_ELEMENTS (percents); i++) {
    guint at = (guint) ((guint64) (times->len - 1) * percents[i] / 100);

    g_string_append_printf (json, ", \"%s_p%u_ns\": %" G_GUINT64_FORMAT, name,
        percents[i], g_array_index (times, guint64, at));
  }
  g_string_append_printf (json, ", \"%s_max_ns\": %" G_GUINT64_FORMAT, name,
      g_array_index (times, guint64, times->len - 1));
}

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
    if (!helix_bench_usage_get (
            &others[i].begin, others[i].pid, others[i].alloc))
      helix_bench_die ("%s is gone", others[i].name);
  begin = helix_bench_now ();
  measure (r);
  end = helix_bench_now ();
  for (guint i = 0; i < n; i++)
    if (!helix_bench_usage_get (&others[i].end, others[i].pid, others[i].alloc))
      helix_bench_die ("%s ended meanwhile", others[i].name);
  to = source_stats (r);
  shim_end = shim_stats ();
  if (r->failed)
    helix_bench_die ("the pipeline failed");

  g_string_append_printf (
      json, ", \"seconds\": %.6f", (gdouble) (end - begin) / 1e9);
  print_counts (json, r);
  print_times (json, "age", r->ages);
  print_times (json, "key_wait", r->key_waits);
  for (guint i = 0; i < n; i++)
    helix_bench_usage_print (
        json, others[i].name, &others[i].begin, &others[i].end);
  print_source (json, from, to);
  if (shim_begin != NULL && shim_end != NULL)
    g_string_append_printf (
        json, ", \"shim_begin\": %s, \"shim_end\": %s", shim_begin, shim_end);
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
  r.box = scene != NULL && strcmp (scene, "box") == 0;
  r.monotonic = gst_caps_new_empty_simple ("timestamp/x-system-monotonic");
  /* All at once: what the receiver allocates must not be its measuring. */
  r.ages = g_array_sized_new (FALSE, FALSE, sizeof (guint64), MAX_SAMPLES);
  r.key_waits = g_array_sized_new (FALSE, FALSE, sizeof (guint64), 4096);
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
