/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which of two threads of helixsrc reads the socket. No lock, no clock of its
 * own: `now` is helix_now_ns ().
 *
 * The taker, which calls next (), reads itself while it waits: what comes then
 * costs one wake-up, not two. That is worth it only while the taker comes back
 * soon after each unit. So the reader, a thread of its own, has the turn at
 * first. It gives the turn to a taker that was quick several times in a row. It
 * has the turn again when the taker was slow once, or stays away: the other end
 * waits for answers, and units that become too old must be left out.
 *
 * While units flow the reader looks now and then whether the taker stays away,
 * so that the taker need not wake it each time that next () returns.
 */
#ifndef HELIX_STREAM_TURN_H
#define HELIX_STREAM_TURN_H

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  /* to be read */
  gboolean taker_reads; /* the taker has the turn */
  gboolean reading;     /* and it reads, or waits for the socket, right now */

  /* private, ns */
  guint64 patience;
  guint64 left;     /* when next () returned last */
  guint64 offered;  /* when the reader gave the turn last, or wanted to */
  guint64 seen;     /* `left` when the reader looked last */
  guint quick;      /* times in a row that the taker came back soon */
  gboolean resting; /* the reader sleeps until it is woken */
} HelixStreamTurn;

/* `max_age`: of units, in ns. */
void helix_stream_turn_init (HelixStreamTurn *self, guint64 max_age);

/* next () was called; next () returns. Both return whether the reader has to be
 * woken: it has the turn again, or is to look after the taker from now on. */
gboolean helix_stream_turn_enter (HelixStreamTurn *self, guint64 now);
gboolean helix_stream_turn_leave (HelixStreamTurn *self, guint64 now);

/* The reader has read all that had come: it gives the turn to the taker if that
 * is quick. Returns whether it did. */
gboolean helix_stream_turn_offer (HelixStreamTurn *self, guint64 now);
/* The reader wants to go on. Returns 0 if it has the turn, else until when it
 * may sleep: HELIX_NONE64: until it is woken. */
guint64 helix_stream_turn_ask (HelixStreamTurn *self, guint64 now);
/* The reader has the turn again. Returns whether it has to be woken. */
gboolean helix_stream_turn_recall (HelixStreamTurn *self);

G_END_DECLS

#endif /* HELIX_STREAM_TURN_H */
