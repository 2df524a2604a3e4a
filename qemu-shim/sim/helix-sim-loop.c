/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-sim-loop.h"

#include <glib-unix.h>

/* ---- timers ---- */

struct timer {
  GSource source;
  void (*run) (void *opaque);
  void *opaque;
};

static gboolean
dispatch (GSource *source, GSourceFunc none, gpointer nothing)
{
  struct timer *timer = (struct timer *) source;

  g_source_set_ready_time (source, -1);
  timer->run (timer->opaque);
  return G_SOURCE_CONTINUE;
}

GSource *
helix_sim_loop_timer (
    struct helix_sim_loop *loop, void (*run) (void *opaque), void *opaque)
{
  static GSourceFuncs funcs = {.dispatch = dispatch};
  GSource *source = g_source_new (&funcs, sizeof (struct timer));
  struct timer *timer = (struct timer *) source;

  timer->run = run;
  timer->opaque = opaque;
  g_source_attach (source, loop->context);
  g_source_unref (source); /* loop->context has a reference */
  /* cppcheck-suppress deallocret */
  return source;
}

/* helix_now_ns () is GLib's monotonic clock, in ns. Rounded up: a round too
 * early would only spin. */
void
helix_sim_timer_set (GSource *timer, uint64_t deadline_ns)
{
  g_source_set_ready_time (timer,
      deadline_ns == HELIX_NONE64 ? -1 : (gint64) ((deadline_ns + 999) / 1000));
}

/* ---- descriptors ---- */

struct watch {
  void (*readable) (void *opaque);
  void (*writable) (void *opaque);
  void *opaque;
};

static gboolean
on_descriptor (gint fd, GIOCondition condition, gpointer data)
{
  struct watch *watch = data; /* GLib keeps it until this returns */

  if (watch->readable && condition & ~G_IO_OUT)
    watch->readable (watch->opaque);
  /* That may have forgotten or replaced this watch. */
  if (watch->writable && condition & ~G_IO_IN
      && !g_source_is_destroyed (g_main_current_source ()))
    watch->writable (watch->opaque);
  return G_SOURCE_CONTINUE;
}

void
helix_sim_loop_watch (struct helix_sim_loop *loop, int fd,
    void (*readable) (void *opaque), void (*writable) (void *opaque),
    void *opaque)
{
  struct watch *watch;
  GSource *source;

  g_hash_table_remove (loop->watches, GINT_TO_POINTER (fd));
  if (!readable && !writable)
    return;
  watch = g_new (struct watch, 1);
  *watch = (struct watch){readable, writable, opaque};
  source = g_unix_fd_source_new (
      fd, (readable ? G_IO_IN : 0) | (writable ? G_IO_OUT : 0));
  g_source_set_callback (source, G_SOURCE_FUNC (on_descriptor), watch, g_free);
  /* Nothing here runs the loop anew. Where that is not said, GLib takes the
   * descriptor off the poll for each call and wakes itself up for it, twice. */
  g_source_set_can_recurse (source, TRUE);
  g_source_attach (source, loop->context);
  g_source_unref (source);
  g_hash_table_insert (loop->watches, GINT_TO_POINTER (fd), source);
}

/* ---- the loops ---- */

static void
run_io (void *loops)
{
  helix_shim_io_run (((struct helix_sim_loops *) loops)->shim);
}

static void
run_display (void *loops)
{
  helix_shim_display_run (((struct helix_sim_loops *) loops)->shim);
}

static void
loop_init (struct helix_sim_loop *loop, GMainContext *context,
    void (*run) (void *opaque), void *opaque)
{
  loop->context = context;
  loop->wake = helix_sim_loop_timer (loop, run, opaque);
  loop->timer = helix_sim_loop_timer (loop, run, opaque);
  loop->watches = g_hash_table_new_full (
      NULL, NULL, NULL, (GDestroyNotify) g_source_destroy);
}

void
helix_sim_loops_init (struct helix_sim_loops *loops, GMainContext *io)
{
  loop_init (&loops->io, io ? g_main_context_ref (io) : g_main_context_new (),
      run_io, loops);
  loop_init (&loops->display, g_main_context_new (), run_display, loops);
}

static void
loop_clear (struct helix_sim_loop *loop)
{
  g_hash_table_unref (loop->watches);
  g_main_context_unref (loop->context);
}

void
helix_sim_loops_clear (struct helix_sim_loops *loops)
{
  loop_clear (&loops->io);
  loop_clear (&loops->display);
}

void
helix_sim_loop_run (struct helix_sim_loop *loop)
{
  while (!g_atomic_int_get (&loop->quit))
    g_main_context_iteration (loop->context, TRUE);
}

void
helix_sim_loop_quit (struct helix_sim_loop *loop)
{
  g_atomic_int_set (&loop->quit, TRUE);
  g_main_context_wakeup (loop->context);
}

/* ---- helix_loop_ops ---- */

static void
watch_io (void *loops, int fd, void (*readable) (void *opaque),
    void (*writable) (void *opaque), void *opaque)
{
  struct helix_sim_loops *self = loops;

  helix_sim_loop_watch (&self->io, fd, readable, writable, opaque);
}

static void
set_io_timer (void *loops, uint64_t deadline_ns)
{
  helix_sim_timer_set (
      ((struct helix_sim_loops *) loops)->io.timer, deadline_ns);
}

static void
set_display_timer (void *loops, uint64_t deadline_ns)
{
  helix_sim_timer_set (
      ((struct helix_sim_loops *) loops)->display.timer, deadline_ns);
}

static void
wake_io (void *loops)
{
  helix_sim_timer_set (((struct helix_sim_loops *) loops)->io.wake, 0);
}

static void
wake_display (void *loops)
{
  helix_sim_timer_set (((struct helix_sim_loops *) loops)->display.wake, 0);
}

const struct helix_loop_ops helix_sim_loop_ops = {
    watch_io, set_io_timer, wake_io, wake_display, set_display_timer};
