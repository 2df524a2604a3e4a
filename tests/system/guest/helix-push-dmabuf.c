/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Draws the test picture with the GPU into buffers that no screen shows, and
 * hands them to helixresourcesink as DMA-BUFs: what a compositor's screen cast
 * does. It draws on the render node: no privilege, no mode setting.
 */
#include <fcntl.h>
#include <gst/allocators/gstdmabuf.h>
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <GLES2/gl2.h>

#include "helix-gl.h"
#include "helix-kms.h"

/* A buffer is not drawn into again before the host has had time to read it,
 * which nobody tells: so there are many, as a compositor has them. GBM gives
 * a surface four at most. */
#define SURFACES 4
#define IN_FLIGHT 2 /* of each surface, behind the one that is drawn */

#define RENDER_NODE "/dev/dri/renderD128"

static gchar *address, *mode;
static gint first = 1, frames = 300;
static gdouble rate = 30;
static gboolean hold, copy;

static const GOptionEntry entries[] = {
    {"address", 0, 0, G_OPTION_ARG_STRING, &address,
        "helixresourcesink's address", "ADDRESS"},
    {"mode", 0, 0, G_OPTION_ARG_STRING, &mode,
        "Size of the picture (default 800x600)", "WxH"},
    {"first", 0, 0, G_OPTION_ARG_INT, &first, "Number of the first frame", "N"},
    {"frames", 0, 0, G_OPTION_ARG_INT, &frames, "How many", "N"},
    {"rate", 0, 0, G_OPTION_ARG_DOUBLE, &rate, "Frames a second", "FPS"},
    {"hold", 0, 0, G_OPTION_ARG_NONE, &hold,
        "Keep the last picture until SIGTERM", NULL},
    {"copy", 0, 0, G_OPTION_ARG_NONE, &copy,
        "Push ordinary memory instead, as Mutter does", NULL},
    {NULL, 0, 0, 0, NULL, NULL, NULL},
};

static GstElement *
make_pipeline (uint32_t width, uint32_t height)
{
  g_autofree gchar *line = g_strdup_printf (
      "appsrc name=in format=time is-live=true do-timestamp=true "
      "caps=\"video/x-raw%s,format=BGRx,width=%u,height=%u,framerate=30/1\" ! "
      "helixresourcesink name=out",
      copy ? "" : "(memory:DMABuf)", width, height);
  GError *error = NULL;
  GstElement *pipeline = gst_parse_launch (line, &error);
  GstElement *out;

  if (pipeline == NULL || error != NULL)
    helix_die ("%s", error != NULL ? error->message : "no pipeline");
  out = gst_bin_get_by_name (GST_BIN (pipeline), "out");
  if (address != NULL)
    g_object_set (out, "address", address, NULL);
  gst_object_unref (out);
  return pipeline;
}

static GstMemory *
wrap (GstAllocator *allocator, struct gbm_bo *bo)
{
  gsize size = (gsize) gbm_bo_get_stride (bo) * gbm_bo_get_height (bo);
  int fd = gbm_bo_get_fd (bo);

  if (copy) {
    close (fd);
    return gst_allocator_alloc (NULL, size, NULL);
  }
  if (fd < 0)
    helix_die ("a GBM buffer cannot be exported as a DMA-BUF");
  return gst_dmabuf_allocator_alloc (allocator, fd, size);
}

static void
push (GstElement *in, GstAllocator *allocator, struct helix_gl *gl, guint frame)
{
  static struct gbm_bo *flying[SURFACES * IN_FLIGHT];
  struct gbm_bo **oldest = &flying[frame % (SURFACES * IN_FLIGHT)];
  struct gbm_bo *bo = helix_gl_swap (gl);
  GstBuffer *buffer = gst_buffer_new ();

  gst_buffer_append_memory (buffer, wrap (allocator, bo));
  if (gst_app_src_push_buffer (GST_APP_SRC (in), buffer) != GST_FLOW_OK)
    helix_die ("helixresourcesink takes no more buffers");
  if (*oldest != NULL)
    gbm_surface_release_buffer (gl->surface, *oldest);
  *oldest = bo;
}

/* What the bus says goes to the log; each warning is an event, too. */
static GstBusSyncReply
told (GstBus *bus, GstMessage *message, gpointer data)
{
  GError *error = NULL;

  switch (GST_MESSAGE_TYPE (message)) {
    case GST_MESSAGE_WARNING:
      gst_message_parse_warning (message, &error, NULL);
      helix_event ("warning %s", error->message);
      break;
    case GST_MESSAGE_ERROR:
      gst_message_parse_error (message, &error, NULL);
      helix_event ("error %s", error->message);
      break;
    default:
      break;
  }
  if (error != NULL)
    fprintf (stderr, "helix-push-dmabuf: %s\n", error->message);
  g_clear_error (&error);
  gst_message_unref (message);
  return GST_BUS_DROP;
}

static void
report (GstElement *pipeline)
{
  GstElement *out = gst_bin_get_by_name (GST_BIN (pipeline), "out");
  g_autofree gchar *text = NULL;
  GstStructure *stats;

  g_object_get (out, "stats", &stats, NULL);
  text = gst_structure_to_string (stats);
  helix_event ("stats %s", text);
  gst_structure_free (stats);
  gst_object_unref (out);
}

int
main (int argc, char **argv)
{
  GOptionContext *context = g_option_context_new (NULL);
  GstAllocator *allocator;
  GstElement *pipeline, *in;
  struct helix_gl gl[SURFACES];
  uint32_t width, height;
  uint64_t start = 0;
  sigset_t ends;
  GstBus *bus;
  int fd;

  /* For helix_hold (), before there are other threads. */
  sigemptyset (&ends);
  sigaddset (&ends, SIGTERM);
  sigaddset (&ends, SIGINT);
  sigprocmask (SIG_BLOCK, &ends, NULL);
  g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_add_group (context, gst_init_get_option_group ());
  if (!g_option_context_parse (context, &argc, &argv, NULL)
      || !helix_parse_size (mode != NULL ? mode : "800x600", &width, &height))
    helix_die ("see --help");
  g_option_context_free (context);

  fd = open (RENDER_NODE, O_RDWR | O_CLOEXEC);
  if (fd < 0)
    helix_die ("cannot open " RENDER_NODE);
  for (guint i = 0; i < SURFACES; i++)
    helix_gl_open (&gl[i], fd, width, height, 0);
  allocator = gst_dmabuf_allocator_new ();
  pipeline = make_pipeline (width, height);
  bus = gst_element_get_bus (pipeline);
  gst_bus_set_sync_handler (bus, told, NULL, NULL);
  in = gst_bin_get_by_name (GST_BIN (pipeline), "in");
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  for (gint i = 0; i < frames; i++) {
    if (i > 0)
      helix_pace (&start, (uint64_t) i, rate);
    helix_gl_draw (&gl[i % SURFACES], (uint32_t) (first + i));
    glFinish (); /* nobody waits for the GPU on the other side */
    push (in, allocator, &gl[i % SURFACES], (guint) i);
  }
  helix_event ("drawn %d", first + frames - 1);
  if (hold)
    helix_hold ();
  report (pipeline);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (bus);
  gst_object_unref (in);
  gst_object_unref (pipeline);
  gst_object_unref (allocator);
  return 0;
}
