/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the fake shim's ears (fake-shim.c) and mouth (-send.c) share. */
#ifndef FAKE_SHIM_PRIVATE_H
#define FAKE_SHIM_PRIVATE_H

#include <pthread.h>

#include "fake-shim.h"
#include "helix-reader.h"

#define WAIT_S 15

struct _FakeShim {
  FakeConfig config;
  int listener;
  int wakeup[2];
  GThread *thread;

  pthread_mutex_t lock; /* of what follows; a GMutex blinds ThreadSanitizer */
  pthread_cond_t cond;
  gboolean stop, subscribed;
  guint accepted;
  struct helix_subscribe subscribe;
  gboolean wanted; /* a frame: */
  guint32 number;
  struct helix_rect rects[HELIX_MAX_RECTS];
  guint n_rects;
  guint free_slots; /* bit i */
  gboolean blink_wanted, vanish_wanted;
  gboolean cursor_wanted;
  struct helix_cursor cursor;
  guint8 *shape; /* its pixels, or NULL */
  guint subscribes, shows, pings, byes, errors;
  struct helix_show show; /* the last */

  /* the thread's */
  int fd; /* of the client, or -1 */
  struct helix_reader reader;
  guint16 channel;
  guint32 pool_id, generation;
  gboolean stale_pool; /* to be announced anew */
  guint64 slot_size;
  void *map; /* of the pool */
  gsize map_size;
  int cut_fd; /* of the memory that FAKE_POOL_CUT_OFF cuts off, or -1 */
  guint64 sequence;
};

/* The shim's thread. FALSE: the client is to be got rid of. */
gboolean fake_send_all (
    FakeShim *shim, const void *bytes, gsize size, int pass);
gboolean fake_send_pool (FakeShim *shim);
gboolean fake_send_frame (FakeShim *shim, guint slot);
gboolean fake_send_cursor (FakeShim *shim);
gboolean fake_send_blink (FakeShim *shim);
void fake_forget_pool (FakeShim *shim);

/* ---- fake-pool.c ---- */

/* A descriptor that is not what POOL says of it; -1 = there is nothing wrong
 * with it. */
int fake_pool_descriptor (FakeShim *shim, gsize size);
/* Takes the pages of FAKE_POOL_CUT_OFF away. */
void fake_pool_cut_off (FakeShim *shim);

#endif /* FAKE_SHIM_PRIVATE_H */
