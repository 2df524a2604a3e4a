/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Display thread, but where the comment says otherwise. */
#include "helix-sim-later.h"

#include <pthread.h>
#include <string.h>

#include "helix-platform.h"

#define NOT_YET 0xa5 /* each byte of the boxes before the end */

enum order {
  WAIT,
  WRITE, /* the pixels, and tell */
  END,   /* without */
};

/* A pthread mutex: ThreadSanitizer does not know GLib's. */
struct helix_sim_read {
  struct helix_sim_later *later;
  struct helix_readback *readback;
  uint8_t *pixels; /* of one box after the other */
  uint64_t due_ns;
  pthread_t thread;
  bool ordered;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  /* lock */
  enum order order;
  bool written;
};

/* ---- the thread ---- */

/* Thread: the read's own. `pixels` NULL: NOT_YET. */
static void
write_boxes (const struct helix_readback *readback, const uint8_t *pixels)
{
  for (uint32_t i = 0; i < readback->boxes; i++) {
    uint8_t *row = helix_readback_dst (readback, i);
    size_t size = (size_t) readback->box[i].width * 4;

    for (uint32_t y = 0; y < readback->box[i].height; y++) {
      if (pixels)
        memcpy (row, pixels, size);
      else
        memset (row, NOT_YET, size);
      row += readback->stride;
      pixels = pixels ? pixels + size : NULL;
    }
  }
}

static void *
read_main (void *opaque)
{
  struct helix_sim_read *read = opaque;
  enum order order;

  write_boxes (read->readback, NULL);
  pthread_mutex_lock (&read->lock);
  while (read->order == WAIT)
    pthread_cond_wait (&read->changed, &read->lock);
  order = read->order;
  pthread_mutex_unlock (&read->lock);
  if (order != WRITE)
    return NULL;
  write_boxes (read->readback, read->pixels);
  pthread_mutex_lock (&read->lock);
  read->written = true;
  pthread_mutex_unlock (&read->lock);
  helix_sim_timer_set (read->later->written_timer, 0);
  return NULL;
}

/* ---- a read ---- */

static uint8_t *
take_pixels (const struct helix_readback *readback,
    void (*copy) (
        void *opaque, const struct helix_rect *box, void *dst, uint32_t stride),
    void *opaque)
{
  size_t size = 0, at = 0;
  uint8_t *pixels;

  for (uint32_t i = 0; i < readback->boxes; i++)
    size += (size_t) readback->box[i].width * 4 * readback->box[i].height;
  pixels = g_malloc (size);
  for (uint32_t i = 0; i < readback->boxes; i++) {
    const struct helix_rect *box = &readback->box[i];

    copy (opaque, box, pixels + at, box->width * 4);
    at += (size_t) box->width * 4 * box->height;
  }
  return pixels;
}

static void
give_order (struct helix_sim_read *read, enum order order)
{
  pthread_mutex_lock (&read->lock);
  if (read->order == WAIT)
    read->order = order;
  pthread_cond_signal (&read->changed);
  pthread_mutex_unlock (&read->lock);
  read->ordered = true;
}

static bool
is_written (struct helix_sim_read *read)
{
  bool written;

  pthread_mutex_lock (&read->lock);
  written = read->written;
  pthread_mutex_unlock (&read->lock);
  return written;
}

/* Waits for its thread. */
static void
end_read (struct helix_sim_read *read, const char *why)
{
  struct helix_sim_later *self = read->later;
  struct helix_readback *readback = read->readback;

  give_order (read, why ? END : WRITE);
  pthread_join (read->thread, NULL);
  g_queue_remove (&self->reads, read);
  pthread_cond_destroy (&read->changed);
  pthread_mutex_destroy (&read->lock);
  g_free (read->pixels);
  g_free (read);
  helix_shim_display_read_done (self->loops->shim, readback, why);
}

/* ---- all of them ---- */

/* The first one that has not been told to write sets the timer. */
static void
plan (struct helix_sim_later *self)
{
  uint64_t due_ns = HELIX_NONE64;

  for (GList *l = self->reads.head; l && due_ns == HELIX_NONE64; l = l->next) {
    struct helix_sim_read *read = l->data;

    if (!read->ordered)
      due_ns = read->due_ns;
  }
  helix_sim_timer_set (self->due_timer, due_ns);
}

static void
on_due (void *opaque)
{
  struct helix_sim_later *self = opaque;
  uint64_t now = helix_now_ns ();

  for (GList *l = self->reads.head; l; l = l->next) {
    struct helix_sim_read *read = l->data;

    if (!read->ordered && read->due_ns <= now)
      give_order (read, WRITE);
  }
  plan (self);
}

/* In order, as a GPU completes what it is told. */
static void
on_written (void *opaque)
{
  struct helix_sim_later *self = opaque;
  struct helix_sim_read *read;

  while ((read = g_queue_peek_head (&self->reads)) && is_written (read))
    end_read (read, NULL);
}

void
helix_sim_later_init (struct helix_sim_later *self,
    struct helix_sim_loops *loops, uint64_t delay_ns)
{
  memset (self, 0, sizeof *self);
  self->loops = loops;
  self->delay_ns = delay_ns;
  g_queue_init (&self->reads);
  self->due_timer = helix_sim_loop_timer (&loops->display, on_due, self);
  self->written_timer =
      helix_sim_loop_timer (&loops->display, on_written, self);
}

void
helix_sim_later_clear (struct helix_sim_later *self)
{
  while (helix_sim_later_end (self, "the screen is gone"))
    ;
}

void
helix_sim_later_read (struct helix_sim_later *self,
    struct helix_readback *readback,
    void (*copy) (
        void *opaque, const struct helix_rect *box, void *dst, uint32_t stride),
    void *opaque)
{
  struct helix_sim_read *read = g_new0 (struct helix_sim_read, 1);
  int error;

  read->later = self;
  read->readback = readback;
  read->pixels = take_pixels (readback, copy, opaque);
  read->due_ns = self->delay_ns == HELIX_NONE64
      ? HELIX_NONE64
      : helix_now_ns () + self->delay_ns;
  pthread_mutex_init (&read->lock, NULL);
  pthread_cond_init (&read->changed, NULL);
  error = pthread_create (&read->thread, NULL, read_main, read);
  if (error)
    g_error ("cannot start a thread: %s", g_strerror (error));
  g_queue_push_tail (&self->reads, read);
  plan (self);
}

bool
helix_sim_later_end (struct helix_sim_later *self, const char *why)
{
  struct helix_sim_read *read = g_queue_peek_head (&self->reads);

  if (read)
    end_read (read, why);
  return read != NULL;
}
