/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-frame-link.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "helix-pack.h"
#include "helix-platform.h"

/* RELEASEs of all slots of several pools, a SUBSCRIBE and some PINGs. A peer
 * that leaves more than that unread in a full socket is not reading. */
#define QUEUE_SIZE 4096

struct _HelixFrameLink {
  gatomicrefcount refs;
  int wakeup[2];

  pthread_mutex_t lock; /* of what follows; a GMutex blinds ThreadSanitizer */
  int fd;
  guint epoch;
  gboolean broken, ended;
  guint8 queue[QUEUE_SIZE];
  gsize queued;
};

HelixFrameLink *
helix_frame_link_new (void)
{
  HelixFrameLink *link;
  int wakeup[2];

  if (helix_wakeup_open (wakeup) < 0)
    return NULL;
  link = g_new0 (HelixFrameLink, 1);
  g_atomic_ref_count_init (&link->refs);
  memcpy (link->wakeup, wakeup, sizeof wakeup);
  pthread_mutex_init (&link->lock, NULL);
  link->fd = -1;
  return link;
}

HelixFrameLink *
helix_frame_link_ref (HelixFrameLink *link)
{
  g_atomic_ref_count_inc (&link->refs);
  return link;
}

void
helix_frame_link_unref (HelixFrameLink *link)
{
  if (!g_atomic_ref_count_dec (&link->refs))
    return;
  if (link->fd >= 0)
    close (link->fd);
  helix_wakeup_close (link->wakeup);
  pthread_mutex_destroy (&link->lock);
  g_free (link);
}

guint
helix_frame_link_attach (HelixFrameLink *link, int fd)
{
  guint epoch;

  pthread_mutex_lock (&link->lock);
  g_assert (link->fd < 0);
  link->fd = fd;
  link->broken = link->ended = FALSE;
  link->queued = 0;
  epoch = ++link->epoch;
  pthread_mutex_unlock (&link->lock);
  return epoch;
}

void
helix_frame_link_detach (HelixFrameLink *link)
{
  pthread_mutex_lock (&link->lock);
  if (link->fd >= 0)
    close (link->fd);
  link->fd = -1;
  link->queued = 0;
  pthread_mutex_unlock (&link->lock);
}

int
helix_frame_link_fd (HelixFrameLink *link)
{
  return link->fd;
}

/* The reading thread sees the end of the stream and does the rest. */
static void
give_up (HelixFrameLink *link)
{
  link->broken = TRUE;
  link->queued = 0;
  shutdown (link->fd, SHUT_RDWR);
}

/* How much of it the socket took; -1 when the connection is broken. */
static gssize
send_some (HelixFrameLink *link, const guint8 *bytes, gsize size)
{
  gsize done = 0;

  while (done < size) {
    struct iovec iov = {(void *) (bytes + done), size - done};
    ssize_t n = helix_send (link->fd, &iov, 1, -1);

    if (n > 0) {
      done += (gsize) n;
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      break;
    } else {
      return -1;
    }
  }
  return (gssize) done;
}

static gboolean
send_message (HelixFrameLink *link, guint epoch, const guint8 *message,
    gsize size, gboolean last)
{
  gboolean ok = FALSE, queued = FALSE;
  gssize n = 0;

  pthread_mutex_lock (&link->lock);
  if (link->fd < 0 || link->epoch != epoch || link->broken || link->ended)
    goto out;
  link->ended = last;
  if (link->queued == 0)
    n = send_some (link, message, size);
  /* A message that was begun must be finished: what does not fit into the
   * queue breaks the connection rather than the framing. */
  if (n < 0 || size - (gsize) n > QUEUE_SIZE - link->queued) {
    give_up (link);
    goto out;
  }
  memcpy (link->queue + link->queued, message + n, size - (gsize) n);
  link->queued += size - (gsize) n;
  queued = link->queued > 0;
  ok = TRUE;
out:
  pthread_mutex_unlock (&link->lock);
  if (queued)
    helix_wakeup_raise (link->wakeup);
  return ok;
}

gboolean
helix_frame_link_send (
    HelixFrameLink *link, guint epoch, const guint8 *message, gsize size)
{
  return send_message (link, epoch, message, size, FALSE);
}

void
helix_frame_link_end (HelixFrameLink *link, guint epoch)
{
  guint8 message[HELIX_MAX_MESSAGE];

  send_message (link, epoch, message,
      helix_pack_bye (message, HELIX_BYE_CLOSING, NULL), TRUE);
}

gboolean
helix_frame_link_flush (HelixFrameLink *link)
{
  gboolean left;
  gssize n;

  pthread_mutex_lock (&link->lock);
  if (link->fd >= 0 && link->queued > 0 && !link->broken) {
    n = send_some (link, link->queue, link->queued);
    if (n < 0) {
      give_up (link);
    } else {
      link->queued -= (gsize) n;
      memmove (link->queue, link->queue + n, link->queued);
    }
  }
  left = link->fd >= 0 && link->queued > 0 && !link->broken;
  pthread_mutex_unlock (&link->lock);
  return left;
}

int
helix_frame_link_wakeup_fd (HelixFrameLink *link)
{
  return link->wakeup[0];
}

void
helix_frame_link_wakeup (HelixFrameLink *link)
{
  helix_wakeup_raise (link->wakeup);
}

void
helix_frame_link_wakeup_clear (HelixFrameLink *link)
{
  helix_wakeup_clear (link->wakeup);
}
