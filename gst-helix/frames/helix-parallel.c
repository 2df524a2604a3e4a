/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-parallel.h"

#include <gst/gst.h>
#include <pthread.h> /* ThreadSanitizer knows no GMutex */

#include "helix-platform.h"

/* ns that the caller spins for the last parts before it sleeps, at least; and
 * for SPIN_PARTS times as long as the longest of its own parts took. A thread
 * that is not ready by then has lost its processor to other work, and it may be
 * ms until it gets one again. */
#define SPIN_NS 150000
#define SPIN_PARTS 2
/* So many runs the caller works alone after that, twice as many each time: the
 * least, and the most. At 60 a second: some 0.3 s, 17 s. */
#define ALONE_LEAST 16
#define ALONE_MOST 1024

struct _HelixParallel {
  guint threads; /* the caller's among them */
  guint started; /* of the others */
  guint alone;   /* so many runs from here on are the caller's alone */
  guint penalty; /* ... after the next time that a thread is late */
  pthread_t thread[HELIX_PARALLEL_MOST - 1];

  pthread_mutex_t lock; /* of what follows */
  pthread_cond_t begun; /* there are parts, or it is to stop */
  pthread_cond_t done;  /* the last part is */
  gboolean stop;
  void (*work) (gpointer data, guint part);
  gpointer data;
  guint parts, next; /* the next one to be taken */
  guint under_way;   /* written with the lock, atomically */
};

HelixParallel *
helix_parallel_new (guint threads)
{
  HelixParallel *self = g_new0 (HelixParallel, 1);

  if (threads == 0)
    threads = g_get_num_processors ();
  self->threads = CLAMP (threads, 1, HELIX_PARALLEL_MOST);
  self->penalty = ALONE_LEAST;
  pthread_mutex_init (&self->lock, NULL);
  pthread_cond_init (&self->begun, NULL);
  pthread_cond_init (&self->done, NULL);
  return self;
}

void
helix_parallel_free (HelixParallel *self)
{
  pthread_mutex_lock (&self->lock);
  self->stop = TRUE;
  pthread_cond_broadcast (&self->begun);
  pthread_mutex_unlock (&self->lock);
  for (guint i = 0; i < self->started; i++)
    pthread_join (self->thread[i], NULL);
  pthread_cond_destroy (&self->done);
  pthread_cond_destroy (&self->begun);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

guint
helix_parallel_get_threads (const HelixParallel *self)
{
  return self->threads;
}

/* Returns: what the longest took, ns.
 * Lock: held, but not while a part is worked on. */
static guint64
take_parts (HelixParallel *self)
{
  guint64 longest = 0;

  while (self->next < self->parts) {
    guint part = self->next++;
    guint64 begun, took;

    __atomic_add_fetch (&self->under_way, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock (&self->lock);
    begun = helix_now_ns ();
    self->work (self->data, part);
    took = helix_now_ns () - begun;
    longest = MAX (longest, took);
    pthread_mutex_lock (&self->lock);
    if (__atomic_sub_fetch (&self->under_way, 1, __ATOMIC_RELEASE) == 0
        && self->next == self->parts)
      pthread_cond_signal (&self->done);
  }
  return longest;
}

static void *
run_thread (void *data)
{
  HelixParallel *self = data;

  helix_thread_name ("helix-convert");
  pthread_mutex_lock (&self->lock);
  while (!self->stop) {
    take_parts (self);
    if (!self->stop)
      pthread_cond_wait (&self->begun, &self->lock);
  }
  pthread_mutex_unlock (&self->lock);
  return NULL;
}

/* What cannot be started (the limit of the user's processes) is done by those
 * that are there. */
static void
start_threads (HelixParallel *self)
{
  while (self->started < self->threads - 1) {
    int failed =
        pthread_create (&self->thread[self->started], NULL, run_thread, self);

    if (failed == 0) {
      self->started++;
    } else {
      GST_WARNING ("cannot start a thread: %s. %u of %u convert",
          g_strerror (failed), self->started + 1, self->threads);
      self->threads = self->started + 1;
    }
  }
}

/* Returns: the last parts were done in time.
 * Lock: not held. */
static gboolean
spin (HelixParallel *self, guint64 ns)
{
  guint64 end = helix_now_ns () + ns;

  while (__atomic_load_n (&self->under_way, __ATOMIC_ACQUIRE) > 0)
    if (helix_now_ns () >= end)
      return FALSE;
  return TRUE;
}

static void
share (HelixParallel *self, guint parts,
    void (*work) (gpointer data, guint part), gpointer data)
{
  guint64 longest;

  start_threads (self);
  pthread_mutex_lock (&self->lock);
  self->work = work;
  self->data = data;
  self->parts = parts;
  self->next = 0;
  pthread_mutex_unlock (&self->lock);
  /* Without the lock, for which they would only wait. */
  pthread_cond_broadcast (&self->begun);
  pthread_mutex_lock (&self->lock);
  longest = take_parts (self);
  pthread_mutex_unlock (&self->lock);
  if (spin (self, MAX (SPIN_NS, SPIN_PARTS * longest))) {
    self->penalty = MAX (self->penalty / 2, ALONE_LEAST);
    return;
  }
  self->alone = self->penalty;
  self->penalty = MIN (self->penalty * 2, ALONE_MOST);
  pthread_mutex_lock (&self->lock);
  while (self->under_way > 0)
    pthread_cond_wait (&self->done, &self->lock);
  pthread_mutex_unlock (&self->lock);
}

void
helix_parallel_run (HelixParallel *self, guint parts,
    void (*work) (gpointer data, guint part), gpointer data)
{
  if (self->alone == 0) {
    share (self, parts, work, data);
    return;
  }
  self->alone--;
  for (guint part = 0; part < parts; part++)
    work (data, part);
}
