/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-stream-turn.h"

#include "helix-protocol.h"

#define MSECOND G_GUINT64_CONSTANT (1000000)

/* A taker that comes back within QUICK_NS, OFTEN times in a row, reads itself.
 * By so much a unit may be read later than it came. */
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

void
helix_stream_turn_enter (HelixStreamTurn *self, guint64 now)
{
  if (self->left == 0 || now - self->left > QUICK_NS)
    self->quick = 0;
  else if (self->quick < OFTEN)
    self->quick++;
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
helix_stream_turn_offer (HelixStreamTurn *self)
{
  self->taker_reads = self->quick == OFTEN;
  return self->taker_reads;
}

guint64
helix_stream_turn_ask (HelixStreamTurn *self, guint64 now)
{
  self->resting = FALSE;
  if (!self->taker_reads)
    return 0;
  if (!self->reading && now >= self->left + self->patience) {
    helix_stream_turn_recall (self);
    return 0;
  }
  if (!self->reading)
    return self->left + self->patience;
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
