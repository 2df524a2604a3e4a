/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The scenes of helix-shim-sim for those who take frames from a GStreamer
 * pipeline: helix-bench-feed --pattern P --size WxH --rate FPS --table FILE
 * --sink "shmsink ...".
 *
 * What the sim's readback does, one copy of the screen into the transport's
 * memory, is done here too, into whatever buffers the sink proposes: the best
 * that a program can do which hands whole frames on.
 */
#include <signal.h>
#include <stdio.h>

#include <glib-unix.h>
#include <gst/base/gstpushsrc.h>
#include <gst/gst.h>
#include <gst/video/gstvideopool.h>
#include <gst/video/video.h>

#include "helix-bench.h"
#include "helix-sim-screen.h"

static gchar *pattern, *size, *table_path, *sink;
static gdouble rate = 60;

static const GOptionEntry entries[] = {
    {"pattern", 0, 0, G_OPTION_ARG_STRING, &pattern, "As of the sim", "NAME"},
    {"size", 0, 0, G_OPTION_ARG_STRING, &size, "Of the screen", "WxH"},
    {"rate", 0, 0, G_OPTION_ARG_DOUBLE, &rate, "Pictures a second", "FPS"},
    {"table", 0, 0, G_OPTION_ARG_FILENAME, &table_path,
        "Where capture times go", "FILE"},
    {"sink", 0, 0, G_OPTION_ARG_STRING, &sink, "What takes the frames", "TEXT"},
    {NULL, 0, 0, 0, NULL, NULL, NULL},
};

/* ---- the source ---- */

typedef struct {
  GstPushSrc parent;
  struct helix_sim_screen screen;
  HelixBenchTable *table;
  guint64 start_ns, pictures;
  GMutex lock;
  GCond changed;
  gboolean flushing; /* with the lock */
} BenchSrc;
typedef GstPushSrcClass BenchSrcClass;

GType bench_src_get_type (void);
G_DEFINE_TYPE (BenchSrc, bench_src, GST_TYPE_PUSH_SRC)

static GstStaticPadTemplate template = GST_STATIC_PAD_TEMPLATE ("src",
    GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS ("video/x-raw, format=BGRx"));

static gboolean
bench_src_start (GstBaseSrc *base)
{
  BenchSrc *self = (BenchSrc *) base;
  enum helix_sim_pattern scene;
  guint width = 0, height = 0;

  if (sscanf (size, "%ux%u", &width, &height) != 2)
    helix_bench_die ("--size %s is not WIDTHxHEIGHT", size);
  if (!helix_sim_pattern_find (pattern, &scene))
    helix_bench_die ("no pattern %s", pattern);
  helix_sim_screen_init (&self->screen, 0, 1, width, height, scene, 1);
  self->table = helix_bench_table_open (table_path);
  return TRUE;
}

static GstCaps *
bench_src_get_caps (GstBaseSrc *base, GstCaps *filter)
{
  BenchSrc *self = (BenchSrc *) base;

  if (self->screen.width == 0)
    return gst_static_pad_template_get_caps (&template);
  return gst_caps_new_simple ("video/x-raw", "format", G_TYPE_STRING, "BGRx",
      "width", G_TYPE_INT, self->screen.width, "height", G_TYPE_INT,
      self->screen.height, "framerate", GST_TYPE_FRACTION, 60, 1, NULL);
}

/* Buffers are used again: of the sink's allocator, if it has one. */
static gboolean
bench_src_decide_allocation (GstBaseSrc *base, GstQuery *query)
{
  GstBufferPool *pool = NULL;
  GstAllocator *allocator = NULL;
  GstAllocationParams params;
  GstStructure *config;
  guint bytes = 0, min = 0, max = 0;
  gboolean offered = gst_query_get_n_allocation_pools (query) > 0, ok;
  GstCaps *caps;

  gst_query_parse_allocation (query, &caps, NULL);
  gst_allocation_params_init (&params);
  if (gst_query_get_n_allocation_params (query) > 0)
    gst_query_parse_nth_allocation_param (query, 0, &allocator, &params);
  if (offered)
    gst_query_parse_nth_allocation_pool (query, 0, &pool, &bytes, &min, &max);
  bytes = MAX (bytes,
      ((BenchSrc *) base)->screen.stride * ((BenchSrc *) base)->screen.height);
  if (pool == NULL)
    pool = gst_video_buffer_pool_new ();
  config = gst_buffer_pool_get_config (pool);
  gst_buffer_pool_config_set_params (config, caps, bytes, min, max);
  gst_buffer_pool_config_set_allocator (config, allocator, &params);
  ok = gst_buffer_pool_set_config (pool, config);
  if (offered)
    gst_query_set_nth_allocation_pool (query, 0, pool, bytes, min, max);
  else
    gst_query_add_allocation_pool (query, pool, bytes, min, max);
  gst_object_unref (pool);
  gst_clear_object (&allocator);
  return ok
      && GST_BASE_SRC_CLASS (bench_src_parent_class)
             ->decide_allocation (base, query);
}

/* Until the next picture is due; whoever is late goes on from now. FALSE:
 * flushing. */
static gboolean
await_next (BenchSrc *self)
{
  guint64 period = (guint64) (1e9 / rate), now = helix_bench_now (), due;
  gboolean flushing;

  due = self->start_ns + (guint64) ((gdouble) self->pictures * 1e9 / rate);
  if (now > due + period) {
    self->start_ns += now - due;
    due = now;
  }
  g_mutex_lock (&self->lock);
  while (self->screen.pattern == HELIX_SIM_STATIC && !self->flushing)
    g_cond_wait (&self->changed, &self->lock);
  while (!self->flushing
      && g_cond_wait_until (&self->changed, &self->lock, (gint64) due / 1000))
    ;
  flushing = self->flushing;
  g_mutex_unlock (&self->lock);
  return !flushing;
}

static GstFlowReturn
bench_src_fill (GstPushSrc *push, GstBuffer *buffer)
{
  BenchSrc *self = (BenchSrc *) push;
  struct helix_sim_screen *screen = &self->screen;
  const struct helix_rect all = {0, 0, screen->width, screen->height};
  struct helix_rect damage;
  GstMapInfo map;

  if (self->pictures > 0) {
    if (!await_next (self))
      return GST_FLOW_FLUSHING;
    helix_sim_screen_next (screen, &damage);
  } else {
    self->start_ns = helix_bench_now ();
  }
  self->pictures++;
  helix_bench_table_put (self->table, screen->number, helix_bench_now ());
  if (!gst_buffer_map (buffer, &map, GST_MAP_WRITE))
    return GST_FLOW_ERROR;
  helix_sim_screen_read (screen, &all, map.data, screen->stride);
  gst_buffer_unmap (buffer, &map);
  return GST_FLOW_OK;
}

static void
set_flushing (BenchSrc *self, gboolean flushing)
{
  g_mutex_lock (&self->lock);
  self->flushing = flushing;
  g_cond_signal (&self->changed);
  g_mutex_unlock (&self->lock);
}

static gboolean
bench_src_unlock (GstBaseSrc *base)
{
  set_flushing ((BenchSrc *) base, TRUE);
  return TRUE;
}

static gboolean
bench_src_unlock_stop (GstBaseSrc *base)
{
  set_flushing ((BenchSrc *) base, FALSE);
  return TRUE;
}

static void
bench_src_class_init (BenchSrcClass *klass)
{
  GstBaseSrcClass *base = GST_BASE_SRC_CLASS (klass);

  gst_element_class_add_static_pad_template (
      GST_ELEMENT_CLASS (klass), &template);
  gst_element_class_set_static_metadata (GST_ELEMENT_CLASS (klass),
      "Bench source", "Source/Video", "The sim's scenes",
      "The gst-helix developers");
  base->start = bench_src_start;
  base->get_caps = bench_src_get_caps;
  base->decide_allocation = bench_src_decide_allocation;
  base->unlock = bench_src_unlock;
  base->unlock_stop = bench_src_unlock_stop;
  klass->fill = bench_src_fill;
}

static void
bench_src_init (BenchSrc *self)
{
  gst_base_src_set_live (GST_BASE_SRC (self), TRUE);
  gst_base_src_set_format (GST_BASE_SRC (self), GST_FORMAT_TIME);
  gst_base_src_set_do_timestamp (GST_BASE_SRC (self), TRUE);
}

/* ---- the program ---- */

static gboolean
quit (gpointer loop)
{
  g_main_loop_quit (loop);
  return G_SOURCE_REMOVE;
}

static gboolean
on_message (GstBus *bus, GstMessage *message, gpointer loop)
{
  GError *error = NULL;

  if (GST_MESSAGE_TYPE (message) != GST_MESSAGE_ERROR)
    return G_SOURCE_CONTINUE;
  gst_message_parse_error (message, &error, NULL);
  fprintf (stderr, "helix-bench-feed: %s\n", error->message);
  g_error_free (error);
  g_main_loop_quit (loop);
  return G_SOURCE_CONTINUE;
}

int
main (int argc, char **argv)
{
  GOptionContext *context = g_option_context_new (NULL);
  GMainLoop *loop = g_main_loop_new (NULL, FALSE);
  g_autofree gchar *text = NULL;
  GstElement *pipeline;
  GError *error = NULL;
  GstBus *bus;

  g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_add_group (context, gst_init_get_option_group ());
  if (!g_option_context_parse (context, &argc, &argv, &error))
    helix_bench_die ("%s", error->message);
  g_option_context_free (context);
  if (pattern == NULL || size == NULL || table_path == NULL || sink == NULL)
    helix_bench_die ("--pattern, --size, --table and --sink are needed");
  gst_element_register (
      NULL, "helixbenchsrc", GST_RANK_NONE, bench_src_get_type ());
  text = g_strdup_printf ("helixbenchsrc ! %s", sink);
  pipeline = gst_parse_launch (text, &error);
  if (pipeline == NULL || error != NULL)
    helix_bench_die ("%s", error != NULL ? error->message : text);
  bus = gst_element_get_bus (pipeline);
  gst_bus_add_watch (bus, on_message, loop);
  gst_object_unref (bus);
  g_unix_signal_add (SIGTERM, quit, loop);
  g_unix_signal_add (SIGINT, quit, loop);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  printf ("feeding\n");
  fflush (stdout);
  g_main_loop_run (loop);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
  return 0;
}
