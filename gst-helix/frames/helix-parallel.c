/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-parallel.h"

#include <pthread.h> /* ThreadSanitizer knows no GMutex */

struct _HelixParallel {
  guint threads; /* the caller's among them */
  guint started; /* of the others */
  pthread_t thread[HELIX_PARALLEL_MOST - 1];

  pthread_mutex_t lock; /* of what follows */
  pthread_cond_t begun; /* there are parts, or it is to stop */
  pthread_cond_t done;  /* the last part is */
  gboolean stop;
  void (*work) (gpointer data, guint part);
  gpointer data;
  guint parts, next; /* the next one to be taken */
  guint under_way;
};

HelixParallel *
helix_parallel_new (guint threads)
{
  HelixParallel *self = g_new0 (HelixParallel, 1);

  if (threads == 0)
    threads = g_get_num_processors ();
  self->threads = CLAMP (threads, 1, HELIX_PARALLEL_MOST);
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

/* Lock: held, but not while a part is worked on. */
static void
take_parts (HelixParallel *self)
{
  while (self->next < self->parts) {
    guint part = self->next++;

    self->under_way++;
    pthread_mutex_unlock (&self->lock);
    self->work (self->data, part);
    pthread_mutex_lock (&self->lock);
    if (--self->under_way == 0 && self->next == self->parts)
      pthread_cond_signal (&self->done);
  }
}

static void *
run_thread (void *data)
{
  HelixParallel *self = data;

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
    if (pthread_create (&self->thread[self->started], NULL, run_thread, self)
        == 0)
      self->started++;
    else
      self->threads = self->started + 1;
  }
}

void
helix_parallel_run (HelixParallel *self, guint parts,
    void (*work) (gpointer data, guint part), gpointer data)
{
  start_threads (self);
  pthread_mutex_lock (&self->lock);
  self->work = work;
  self->data = data;
  self->parts = parts;
  self->next = 0;
  pthread_mutex_unlock (&self->lock);
  /* Without the lock, for which they would only wait. */
  if (self->started > 0)
    pthread_cond_broadcast (&self->begun);
  pthread_mutex_lock (&self->lock);
  take_parts (self);
  while (self->under_way > 0)
    pthread_cond_wait (&self->done, &self->lock);
  pthread_mutex_unlock (&self->lock);
}
