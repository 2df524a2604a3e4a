/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inbox between a host and a viewer that are made up, in a time that is
 * made up: so the figures are the same on any machine.
 */
#include <gst/check/gstcheck.h>

#include "helix-stream-inbox.h"

#define MS G_GUINT64_CONSTANT (1000000)
#define MAX_AGE (400 * MS)
#define NEVER G_MAXUINT64

static HelixStreamInbox inbox;

static void
setup (void)
{
  helix_stream_inbox_init (&inbox, MAX_AGE);
  helix_stream_inbox_live (&inbox, TRUE);
}

static void
teardown (void)
{
  helix_stream_inbox_clear (&inbox);
}

static void
arrive_sized (
    guint64 sequence, gboolean key, guint64 sent, guint64 received, gsize size)
{
  HelixStreamItem item = {.kind = HELIX_STREAM_UNIT, .received_ns = received};

  item.buffer = gst_buffer_new_allocate (NULL, size, NULL);
  item.unit.sequence = sequence;
  item.unit.sent_ns = sent;
  item.unit.flags = key ? HELIX_UNIT_KEY : 0;
  helix_stream_inbox_add (&inbox, &item);
}

static void
arrive (guint64 sequence, gboolean key, guint64 sent, guint64 received)
{
  arrive_sized (sequence, key, sent, received, 1);
}

/* The sequence of the next unit, or NEVER. */
static guint64
take (gboolean *discont)
{
  HelixStreamItem item;

  if (!helix_stream_inbox_take (&inbox, &item))
    return NEVER;
  fail_unless_equals_int (item.kind, HELIX_STREAM_UNIT);
  gst_buffer_unref (item.buffer);
  if (discont != NULL)
    *discont = item.discont;
  return item.unit.sequence;
}

/* ---- a host and a viewer ---- */

typedef struct {
  guint64 period; /* of units */
  guint gop;      /* a keyframe each so many units; 0: only when asked for */
  guint64 answer; /* from a request to the keyframe's capture */
  guint64 work;   /* what a unit costs the viewer */
  guint64 stall_at, stall; /* once it takes nothing for so long */
  guint64 travel;          /* from the host to here */
  gint64 clock;            /* the host's - ours */
  guint64 latency; /* announced: units are held back until they are so old */
  guint64 length;  /* of it all */
} Play;

typedef struct {
  guint64 oldest, oldest_later; /* ages when taken; later: from 2 s on */
  guint64 longest_gap;          /* between two units taken */
  guint taken, asked;
} Seen;

#define START (1000 * GST_SECOND)

static guint64 captured[4096];

static void
play (const Play *play, Seen *seen)
{
  guint64 next_unit = START, viewer_at = START, last_taken = START;
  guint64 key_due = START, unused = NEVER;
  guint sequence = 0;

  memset (seen, 0, sizeof *seen);
  inbox.latency = play->latency;
  for (guint64 now = START; now < START + play->length; now += MS) {
    if (now >= next_unit) {
      gboolean key =
          now >= key_due || (play->gop > 0 && sequence % play->gop == 0);

      if (key)
        key_due = NEVER;
      captured[sequence] = now - play->travel;
      arrive (sequence++, key, now - play->travel + (guint64) play->clock, now);
      next_unit += play->period;
    }
    if (play->stall > 0 && now == START + play->stall_at)
      viewer_at = now + play->stall;
    if (now >= viewer_at) {
      guint64 number = take (NULL), age, due;

      if (number != NEVER) {
        age = now - captured[number];
        seen->oldest = MAX (seen->oldest, age);
        if (now >= START + 2 * GST_SECOND)
          seen->oldest_later = MAX (seen->oldest_later, age);
        seen->longest_gap = MAX (seen->longest_gap, now - last_taken);
        seen->taken++;
        last_taken = now;
        due = captured[number] + play->latency;
        viewer_at = MAX (now, due) + play->work;
      }
    }
    if (helix_stream_inbox_tick (&inbox, now, &unused)) {
      seen->asked++;
      key_due = now + play->answer;
    }
  }
}

/* 20 % too slow: never older than 600 ms, with any host; and nobody asks
 * for a keyframe more than once a second. */
static const Play slow[] = {
    {33 * MS, 0, 40 * MS, 40 * MS, 0, 0, 5 * MS, 0, 0, 20 * GST_SECOND},
    {33 * MS, 30, 40 * MS, 40 * MS, 0, 0, 5 * MS, 0, 0, 20 * GST_SECOND},
    /* an encoder that looks ahead answers late, or not at all */
    {33 * MS, 0, 800 * MS, 40 * MS, 0, 0, 5 * MS, 0, 0, 20 * GST_SECOND},
    {33 * MS, 250, 60 * GST_SECOND, 40 * MS, 0, 0, 5 * MS, 0, 0,
        20 * GST_SECOND},
    /* far too slow */
    {33 * MS, 0, 40 * MS, 100 * MS, 0, 0, 5 * MS, 0, 0, 20 * GST_SECOND},
    /* each a keyframe */
    {33 * MS, 1, 0, 40 * MS, 0, 0, 5 * MS, 0, 0, 20 * GST_SECOND},
    /* another clock; a long way */
    {16 * MS, 0, 40 * MS, 20 * MS, 0, 0, 5 * MS, -(gint64) GST_SECOND * 5000, 0,
        20 * GST_SECOND},
    {33 * MS, 0, 100 * MS, 40 * MS, 0, 0, 100 * MS, (gint64) GST_SECOND, 0,
        20 * GST_SECOND},
};

GST_START_TEST (test_slow)
{
  Seen seen;

  play (&slow[__i__], &seen);
  fail_unless (seen.oldest <= 600 * MS, "%u ms", (guint) (seen.oldest / MS));
  fail_unless (
      seen.asked <= slow[__i__].length / GST_SECOND + 1, "%u", seen.asked);
  fail_unless (seen.taken > 60);
  fail_unless (inbox.slow && inbox.skips > 1 && inbox.left_out > 0);
}
GST_END_TEST;

/* A stutter, and a viewer that is in time: nothing is left out, nothing asked
 * for. A wait on purpose, however long, is none. */
static const Play good[] = {
    {33 * MS, 0, 40 * MS, 30 * MS, 0, 0, 5 * MS, 0, 0, 30 * GST_SECOND},
    {33 * MS, 0, 40 * MS, 10 * MS, GST_SECOND, 150 * MS, 5 * MS, 0, 0,
        30 * GST_SECOND},
    {33 * MS, 0, 40 * MS, 10 * MS, 0, 0, 5 * MS, 0, 2 * GST_SECOND,
        30 * GST_SECOND},
};

GST_START_TEST (test_good)
{
  Seen seen;

  play (&good[__i__], &seen);
  fail_unless_equals_uint64 (inbox.left_out, 0);
  fail_unless_equals_int (seen.asked, 0);
  fail_if (inbox.slow);
}
GST_END_TEST;

/* One stall: one keyframe, and it is over when that has come. */
GST_START_TEST (test_stall)
{
  const Play stall = {33 * MS, 0, 40 * MS, 10 * MS, GST_SECOND, 800 * MS,
      5 * MS, 0, 0, 30 * GST_SECOND};
  Seen seen;

  play (&stall, &seen);
  fail_unless_equals_int (seen.asked, 1);
  fail_unless_equals_uint64 (inbox.skips, 1);
  fail_if (inbox.slow);
  fail_unless (seen.oldest_later < 20 * MS);
  fail_unless (seen.longest_gap < 1000 * MS);
}
GST_END_TEST;

/* ---- what is left out ---- */

/* From the newest keyframe on everything is there, and it says that it does
 * not continue what came before. */
GST_START_TEST (test_whole_groups)
{
  gboolean discont;

  for (guint i = 0; i < 20; i++)
    arrive (i, i == 0 || i == 5 || i == 15, i * 33 * MS, i * 33 * MS);
  for (guint64 i = 15; i < 20; i++) {
    fail_unless_equals_uint64 (take (&discont), i);
    fail_unless_equals_int (discont, i == 15);
  }
  fail_unless_equals_uint64 (take (NULL), NEVER);
  fail_unless_equals_uint64 (inbox.left_out, 15);
  fail_if (inbox.wants_key);
}
GST_END_TEST;

/* Nobody takes anything for an hour (PAUSED): nothing is asked for, nothing
 * piles up; and then one keyframe is. */
GST_START_TEST (test_pause)
{
  guint64 next = NEVER, now = 0;

  for (guint i = 0; i < 100000; i++) {
    now = i * 33 * MS;
    arrive (i, i == 0, now, now);
    fail_if (helix_stream_inbox_tick (&inbox, now, &next));
  }
  fail_unless_equals_uint64 (next, NEVER);
  fail_unless_equals_uint64 (inbox.left_out, 100000);
  fail_if (inbox.slow);
  fail_unless_equals_uint64 (take (NULL), NEVER);
  fail_unless (helix_stream_inbox_tick (&inbox, now, &next));
  fail_if (helix_stream_inbox_tick (&inbox, now + 999 * MS, &next));
  fail_unless_equals_uint64 (next, now + 1000 * MS);
  fail_unless (helix_stream_inbox_tick (&inbox, now + 1000 * MS, &next));
  arrive (100000, TRUE, now + 1000 * MS, now + 1000 * MS);
  fail_if (helix_stream_inbox_tick (&inbox, now + 3000 * MS, &next));
  fail_unless_equals_uint64 (take (NULL), 100000);
}
GST_END_TEST;

/* The last picture of a screen that stands still is not old. */
GST_START_TEST (test_still)
{
  arrive (0, TRUE, 0, 0);
  arrive (1, FALSE, 33 * MS, 33 * MS);
  fail_if (helix_stream_inbox_tick (&inbox, 3600 * GST_SECOND, &(guint64){0}));
  fail_unless_equals_uint64 (take (NULL), 0);
  fail_unless_equals_uint64 (take (NULL), 1);
}
GST_END_TEST;

/* This program was stopped for a while: what piled up in its socket arrives
 * all at once. Nothing of it is given, not even the first, and none of its
 * keyframes; only what is of now. */
GST_START_TEST (test_stopped)
{
  const guint64 back = 20 * GST_SECOND;
  gboolean discont;
  guint i;

  for (i = 0; i < 30; i++) {
    arrive (i, i == 0, i * 33 * MS, i * 33 * MS + 5 * MS);
    fail_unless_equals_uint64 (take (NULL), i);
  }
  for (; i < 500; i++) {
    arrive (i, i % 100 == 0, i * 33 * MS, back);
    fail_unless_equals_uint64 (take (NULL), NEVER);
  }
  fail_unless (inbox.wants_key);
  arrive (i, FALSE, back, back + 5 * MS);
  fail_unless_equals_uint64 (take (NULL), NEVER);
  arrive (i + 1, TRUE, back + 33 * MS, back + 38 * MS);
  fail_unless_equals_uint64 (take (&discont), i + 1);
  fail_unless (discont);
}
GST_END_TEST;

/* Clocks that drift for a day, while little moves, make nothing old. */
GST_START_TEST (test_drift)
{
  for (guint64 i = 0; i < 24; i++) {
    guint64 now = i * 3600 * GST_SECOND;

    arrive (i, i == 0, now - now / 20000, now);
    fail_unless_equals_uint64 (take (NULL), i);
  }
  fail_unless_equals_uint64 (inbox.left_out, 0);
}
GST_END_TEST;

/* The other end's clock stood still for an hour and goes on (its machine
 * slept): all seems late, but not for long. */
GST_START_TEST (test_clock_jumps)
{
  guint64 jump = 3600 * GST_SECOND, now = 0, given = 0;

  for (guint i = 0; i < 300; i++) {
    now = i * 33 * MS + (i >= 100 ? jump : 0);
    arrive (i, i % 10 == 0, i * 33 * MS, now);
    if (take (NULL) != NEVER)
      given++;
  }
  fail_unless (given >= 300 - 4000 / 33, "%u", (guint) given);
}
GST_END_TEST;

/* Stamps of a liar do no more harm than to its own stream. */
GST_START_TEST (test_liar)
{
  const guint64 lies[] = {
      0, G_MAXUINT64, G_GUINT64_CONSTANT (1) << 63, 1, G_MAXINT64};

  for (guint i = 0; i < 10000; i++) {
    arrive (i, i % 7 == 0, lies[g_random_int_range (0, G_N_ELEMENTS (lies))],
        i * MS);
    if (g_random_boolean ())
      take (NULL);
    fail_unless (inbox.units <= 402);
  }
}
GST_END_TEST;

/* A keyframe takes longer than max-age on its way, and what follows does not:
 * each is late, and still there is something to be seen. */
GST_START_TEST (test_slow_keyframes)
{
  guint64 line = START, given = 0;

  for (guint i = 0; i < 900; i++) {
    guint64 sent = START + i * 33 * MS;

    line = MAX (sent, line) + (i % 45 == 0 ? 480 * MS : 8 * MS);
    arrive (i, i % 45 == 0, sent, line);
    while (take (NULL) != NEVER)
      given += i >= 450;
  }
  fail_unless (given >= 5, "%u", (guint) given);
  fail_unless (inbox.slow);
}
GST_END_TEST;

GST_START_TEST (test_bytes)
{
  arrive_sized (0, TRUE, 0, 0, HELIX_STREAM_INBOX_MAX_BYTES + 1);
  fail_unless_equals_uint64 (take (NULL), 0);
  for (guint i = 1; i <= 5; i++)
    arrive_sized (i, FALSE, 0, 0, HELIX_STREAM_INBOX_MAX_BYTES / 4);
  fail_unless_equals_int (inbox.bytes, 0);
  fail_unless_equals_uint64 (take (NULL), NEVER);
  fail_unless (inbox.wants_key);
}
GST_END_TEST;

/* What was sent before the end is all given, however late. */
GST_START_TEST (test_end)
{
  for (guint i = 0; i < 10; i++)
    arrive (i, i == 0, i * 33 * MS, i * 33 * MS);
  helix_stream_inbox_live (&inbox, FALSE);
  for (guint64 i = 0; i < 10; i++)
    fail_unless_equals_uint64 (take (NULL), i);
  fail_if (inbox.wants_key);
}
GST_END_TEST;

/* The stream's kind changes within what is left out: only the last counts. */
GST_START_TEST (test_caps)
{
  HelixStreamItem item = {.kind = HELIX_STREAM_CAPS};

  for (guint i = 0; i < 40; i++) {
    item.caps.caps_id = i;
    if (i == 0 || i == 10 || i == 20)
      helix_stream_inbox_add (&inbox, &item);
    arrive (i, i == 0 || i == 35, i * 33 * MS, i * 33 * MS);
  }
  fail_unless (helix_stream_inbox_take (&inbox, &item));
  fail_unless_equals_int (item.kind, HELIX_STREAM_CAPS);
  fail_unless_equals_int (item.caps.caps_id, 20);
  fail_unless_equals_uint64 (take (NULL), 35);
}
GST_END_TEST;

static Suite *
helix_stream_inbox_suite (void)
{
  Suite *s = suite_create ("helix-stream-inbox");
  TCase *tc = tcase_create ("inbox");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_loop_test (tc, test_slow, 0, G_N_ELEMENTS (slow));
  tcase_add_loop_test (tc, test_good, 0, G_N_ELEMENTS (good));
  tcase_add_test (tc, test_stall);
  tcase_add_test (tc, test_whole_groups);
  tcase_add_test (tc, test_pause);
  tcase_add_test (tc, test_still);
  tcase_add_test (tc, test_stopped);
  tcase_add_test (tc, test_drift);
  tcase_add_test (tc, test_clock_jumps);
  tcase_add_test (tc, test_liar);
  tcase_add_test (tc, test_slow_keyframes);
  tcase_add_test (tc, test_bytes);
  tcase_add_test (tc, test_end);
  tcase_add_test (tc, test_caps);
  return s;
}

GST_CHECK_MAIN (helix_stream_inbox);
