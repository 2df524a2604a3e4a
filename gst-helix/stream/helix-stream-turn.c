/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-stream-turn.h"

#include "helix-protocol.h"

#define MSECOND G_GUINT64_CONSTANT (1000000)

/* A taker that came back within QUICK_NS OFTEN times in a row reads itself, for
 * as long as it goes on so. By so much a unit may be read later than it came,
 * and once by up to PATIENCE_NS: then the reader has the turn again. */
#define QUICK_NS (2 * MSECOND)
#define OFTEN 8

/* For how long the taker may stay away with the turn. Less than a part of
 * max-age: helixguestsink takes what is not read for what is too old. */
#define PATIENCE_NS (50 * MSECOND)
#define PATIENCE_PART 8

void
helix_stream_turn_init (HelixStreamTurn *self, guint64 max_age)
{
  *self =
      (HelixStreamTurn){.patience = MIN (PATIENCE_NS, max_age / PATIENCE_PART)};
}

gboolean
helix_stream_turn_enter (HelixStreamTurn *self, guint64 now)
{
  if (self->left == 0 || now - self->left > QUICK_NS)
    return helix_stream_turn_recall (self);
  if (self->quick < OFTEN)
    self->quick++;
  return FALSE;
}

gboolean
helix_stream_turn_leave (HelixStreamTurn *self, guint64 now)
{
  gboolean wake = self->taker_reads && self->resting;

  self->left = now;
  self->resting = FALSE;
  return wake;
}

gboolean
helix_stream_turn_offer (HelixStreamTurn *self, guint64 now)
{
  self->taker_reads = self->quick == OFTEN;
  self->offered = now;
  return self->taker_reads;
}

guint64
helix_stream_turn_ask (HelixStreamTurn *self, guint64 now)
{
  guint64 until = MAX (self->left, self->offered) + self->patience;

  self->resting = FALSE;
  if (!self->taker_reads)
    return 0;
  if (!self->reading && now >= until) {
    helix_stream_turn_recall (self);
    return 0;
  }
  if (!self->reading)
    return until;
  /* Nothing came since the last look: it may be long until something does. */
  self->resting = self->seen == self->left;
  self->seen = self->left;
  return self->resting ? HELIX_NONE64 : now + self->patience;
}

gboolean
helix_stream_turn_recall (HelixStreamTurn *self)
{
  gboolean had = self->taker_reads;

  self->taker_reads = FALSE;
  self->quick = 0;
  self->resting = FALSE;
  return had;
}
