/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>

#include "helix-protocol.h"
#include "helix-stream-turn.h"

#define MS GST_MSECOND
#define MAX_AGE (400 * MS)
#define PATIENCE (50 * MS)

static HelixStreamTurn turn;
static guint64 now;

static void
setup (void)
{
  helix_stream_turn_init (&turn, MAX_AGE);
  now = GST_SECOND;
}

/* next () returns, and is called again `away` ns later. */
static void
take (guint64 away)
{
  fail_if (helix_stream_turn_leave (&turn, now));
  now += away;
  fail_if (helix_stream_turn_enter (&turn, now));
}

static void
take_quickly (void)
{
  for (guint i = 0; i < 8; i++)
    take (MS);
}

/* The taker has the turn, and waits for the socket. */
static void
give (void)
{
  take_quickly ();
  fail_unless (helix_stream_turn_offer (&turn, now));
  turn.reading = TRUE;
}

/* Once is not enough, and a slow one among them is too much. */
GST_START_TEST (test_quick_takers_only)
{
  fail_unless_equals_uint64 (helix_stream_turn_ask (&turn, now), 0);
  fail_if (helix_stream_turn_offer (&turn, now));
  helix_stream_turn_enter (&turn, now); /* the first call: from nowhere */
  for (guint i = 0; i < 7; i++)
    take (2 * MS);
  fail_if (helix_stream_turn_offer (&turn, now));
  take (2 * MS + 1);
  for (guint i = 0; i < 7; i++)
    take (0);
  fail_if (helix_stream_turn_offer (&turn, now));
  fail_unless_equals_uint64 (helix_stream_turn_ask (&turn, now), 0);
  take (0);
  fail_unless (helix_stream_turn_offer (&turn, now));
  fail_unless (helix_stream_turn_ask (&turn, now) != 0);
}

GST_END_TEST;

/* While units come, the reader looks once in a while and is not woken. */
GST_START_TEST (test_looks_while_units_come)
{
  give ();
  for (guint i = 0; i < 10; i++) {
    fail_unless_equals_uint64 (
        helix_stream_turn_ask (&turn, now), now + PATIENCE);
    now += 16 * MS;
    turn.reading = FALSE;
    take (MS);
    turn.reading = TRUE;
  }
}

GST_END_TEST;

/* When nothing comes it sleeps, until the taker leaves. */
GST_START_TEST (test_rests_while_nothing_comes)
{
  give ();
  fail_unless_equals_uint64 (
      helix_stream_turn_ask (&turn, now), now + PATIENCE);
  now += PATIENCE;
  fail_unless_equals_uint64 (helix_stream_turn_ask (&turn, now), HELIX_NONE64);
  now += GST_SECOND;
  turn.reading = FALSE;
  fail_unless (helix_stream_turn_leave (&turn, now));
  fail_if (helix_stream_turn_leave (&turn, now)); /* it was woken already */
  fail_unless_equals_uint64 (
      helix_stream_turn_ask (&turn, now), now + PATIENCE);
}

GST_END_TEST;

/* The reader takes the turn from a taker that stays away, and gives it again
 * only to one that was quick as often as before. */
GST_START_TEST (test_stays_away)
{
  guint64 left;

  give ();
  turn.reading = FALSE;
  left = now;
  fail_if (helix_stream_turn_leave (&turn, now));
  now += PATIENCE - 1;
  fail_unless_equals_uint64 (
      helix_stream_turn_ask (&turn, now), left + PATIENCE);
  fail_unless (turn.taker_reads);
  now++;
  fail_unless_equals_uint64 (helix_stream_turn_ask (&turn, now), 0);
  fail_if (turn.taker_reads);
  fail_if (helix_stream_turn_offer (&turn, now));
  helix_stream_turn_enter (&turn, now);
  take_quickly ();
  fail_unless (helix_stream_turn_offer (&turn, now));
}

GST_END_TEST;

/* One that has become slow, but never stays away for so long, reads for no
 * longer than until it is back. */
GST_START_TEST (test_becomes_slow)
{
  give ();
  turn.reading = FALSE;
  fail_if (helix_stream_turn_leave (&turn, now));
  now += 10 * MS;
  fail_unless (helix_stream_turn_enter (&turn, now)); /* wakes the reader */
  fail_unless_equals_uint64 (helix_stream_turn_ask (&turn, now), 0);
  for (guint i = 0; i < 20; i++) {
    take (10 * MS);
    fail_if (helix_stream_turn_offer (&turn, now));
  }
  take_quickly ();
  fail_unless (helix_stream_turn_offer (&turn, now));
}

GST_END_TEST;

/* A long time between two units is not the taker's: it has PATIENCE from when
 * it is given the turn, and keeps that if it then takes the unit. */
GST_START_TEST (test_units_are_rare)
{
  take_quickly ();
  now += GST_SECOND;
  fail_unless (helix_stream_turn_offer (&turn, now));
  fail_unless_equals_uint64 (
      helix_stream_turn_ask (&turn, now), now + PATIENCE);
  take (MS);
  turn.reading = TRUE;
  helix_stream_turn_ask (&turn, now);
  fail_unless (turn.taker_reads);
}

GST_END_TEST;

/* A taker that waits for the socket does not stay away. */
GST_START_TEST (test_waits_long)
{
  give ();
  now += GST_SECOND;
  helix_stream_turn_ask (&turn, now);
  fail_unless (turn.taker_reads);
}

GST_END_TEST;

GST_START_TEST (test_recall)
{
  fail_if (helix_stream_turn_recall (&turn)); /* nothing to take back */
  give ();
  helix_stream_turn_ask (&turn, now);
  fail_unless (helix_stream_turn_recall (&turn));
  fail_if (helix_stream_turn_recall (&turn));
  fail_unless_equals_uint64 (helix_stream_turn_ask (&turn, now), 0);
  fail_if (helix_stream_turn_leave (&turn, now));
}

GST_END_TEST;

/* helixguestsink calls what is not read within max-age too old. */
GST_START_TEST (test_short_max_age)
{
  helix_stream_turn_init (&turn, 80 * MS);
  give ();
  fail_unless_equals_uint64 (helix_stream_turn_ask (&turn, now), now + 10 * MS);
}

GST_END_TEST;

static Suite *
stream_turn_suite (void)
{
  Suite *suite = suite_create ("helix-stream-turn");
  TCase *tc = tcase_create ("turn");

  tcase_add_checked_fixture (tc, setup, NULL);
  tcase_add_test (tc, test_quick_takers_only);
  tcase_add_test (tc, test_looks_while_units_come);
  tcase_add_test (tc, test_rests_while_nothing_comes);
  tcase_add_test (tc, test_stays_away);
  tcase_add_test (tc, test_becomes_slow);
  tcase_add_test (tc, test_units_are_rare);
  tcase_add_test (tc, test_waits_long);
  tcase_add_test (tc, test_recall);
  tcase_add_test (tc, test_short_max_age);
  suite_add_tcase (suite, tc);
  return suite;
}

GST_CHECK_MAIN (stream_turn);
