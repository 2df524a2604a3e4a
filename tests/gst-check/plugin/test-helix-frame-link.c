/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <gst/check/gstcheck.h>
#include <poll.h>
#include <unistd.h>

#include "helix-frame-link.h"
#include "helix-platform.h"
#include "helix-protocol.h"

#define RECORD 20 /* bytes: a RELEASE */

static HelixFrameLink *link_;
static guint epoch;
static int peer;

static void
setup (void)
{
  int fds[2];

  fail_unless (helix_socketpair (fds) == 0);
  link_ = helix_frame_link_new ();
  fail_unless (link_ != NULL);
  epoch = helix_frame_link_attach (link_, fds[0]);
  peer = fds[1];
}

static void
teardown (void)
{
  helix_frame_link_unref (link_);
  close (peer);
}

static gboolean
readable (int fd)
{
  struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

  return poll (&poll_fd, 1, 0) == 1;
}

static gboolean
send_record (guint8 value)
{
  guint8 record[RECORD];

  memset (record, value, sizeof record);
  return helix_frame_link_send (link_, epoch, record, sizeof record);
}

/* Whole records only, each of one value, counting up. */
static guint
drain (guint8 *next)
{
  guint8 bytes[RECORD];
  gsize have = 0;
  guint count = 0;
  ssize_t n;

  while ((n = helix_recv (peer, bytes + have, sizeof bytes - have, NULL)) > 0) {
    have += (gsize) n;
    if (have < sizeof bytes)
      continue;
    for (guint i = 0; i < RECORD; i++)
      fail_unless_equals_int (bytes[i], *next);
    have = 0;
    (*next)++;
    count++;
  }
  fail_unless_equals_int (have, 0);
  return count;
}

GST_START_TEST (test_send)
{
  guint8 next = 0;

  fail_unless (send_record (0));
  fail_unless (send_record (1));
  fail_if (helix_frame_link_flush (link_));
  fail_unless_equals_int (drain (&next), 2);
}
GST_END_TEST;

/* What the socket does not take is kept, in order, and wakes the reader. */
GST_START_TEST (test_queue)
{
  guint sent = 0, got = 0;
  guint8 next = 0;

  while (!helix_frame_link_flush (link_))
    fail_unless (send_record ((guint8) sent++));
  fail_unless (readable (helix_frame_link_wakeup_fd (link_)));
  helix_frame_link_wakeup_clear (link_);
  fail_if (readable (helix_frame_link_wakeup_fd (link_)));
  for (guint i = 0; i < 100; i++)
    fail_unless (send_record ((guint8) sent++));
  for (guint rounds = 0; got < sent; rounds++) {
    guint8 bytes[RECORD];
    gsize have = 0;

    fail_unless (rounds <= sent, "%u of %u records came", got, sent);
    helix_frame_link_flush (link_);
    while (have < sizeof bytes) {
      ssize_t n = helix_recv (peer, bytes + have, sizeof bytes - have, NULL);

      if (n > 0)
        have += (gsize) n;
      else
        helix_frame_link_flush (link_);
    }
    for (guint i = 0; i < RECORD; i++)
      fail_unless_equals_int (bytes[i], next);
    next++;
    got++;
  }
  fail_if (helix_frame_link_flush (link_));
}
GST_END_TEST;

/* A peer that reads nothing costs a bounded queue, then the connection. */
GST_START_TEST (test_overflow)
{
  guint8 byte;
  guint i;

  while (!helix_frame_link_flush (link_))
    fail_unless (send_record (0));
  for (i = 0; send_record (0); i++)
    fail_unless (i < 1000, "the queue has no bound");
  fail_if (helix_frame_link_flush (link_));
  /* Its reader sees the end. */
  fail_unless (readable (helix_frame_link_fd (link_)));
  fail_unless (helix_recv (helix_frame_link_fd (link_), &byte, 1, NULL) == 0);
}
GST_END_TEST;

GST_START_TEST (test_epochs)
{
  guint old = epoch;
  guint8 next = 7;
  int fds[2];

  helix_frame_link_detach (link_);
  fail_unless_equals_int (helix_frame_link_fd (link_), -1);
  fail_if (send_record (7));
  close (peer);
  fail_unless (helix_socketpair (fds) == 0);
  peer = fds[1];
  epoch = helix_frame_link_attach (link_, fds[0]);
  fail_unless (epoch != old);
  fail_unless (send_record (7));
  epoch = old;
  fail_if (send_record (8));
  fail_unless_equals_int (drain (&next), 1);
}
GST_END_TEST;

GST_START_TEST (test_peer_gone)
{
  close (peer);
  fail_if (send_record (0));
  fail_if (send_record (0));
  fail_if (helix_frame_link_flush (link_));
  peer = dup (0);
}
GST_END_TEST;

/* BYE is the last word, from whatever thread others come. */
GST_START_TEST (test_end)
{
  guint8 bytes[64];

  helix_frame_link_end (link_, epoch + 1);
  fail_if (readable (peer));
  helix_frame_link_end (link_, epoch);
  fail_unless_equals_int (helix_recv (peer, bytes, sizeof bytes, NULL), 16);
  fail_unless_equals_int (bytes[4], HELIX_BYE);
  fail_if (send_record (0));
  helix_frame_link_end (link_, epoch);
  fail_if (readable (peer));
}
GST_END_TEST;

static Suite *
helix_frame_link_suite (void)
{
  Suite *s = suite_create ("helix-frame-link");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_send);
  tcase_add_test (tc, test_end);
  tcase_add_test (tc, test_queue);
  tcase_add_test (tc, test_overflow);
  tcase_add_test (tc, test_epochs);
  tcase_add_test (tc, test_peer_gone);
  return s;
}

GST_CHECK_MAIN (helix_frame_link);
