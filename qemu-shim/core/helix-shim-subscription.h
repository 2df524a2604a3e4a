/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What one client's channel watches, where both threads meet: the display
 * thread damages and fills slots, the io thread takes what is pending and
 * gives credit back. A FRAME is sent by either (helix-shim-outbox.h).
 */
#ifndef HELIX_SHIM_SUBSCRIPTION_H
#define HELIX_SHIM_SUBSCRIPTION_H

#include "helix-shim-memory.h"
#include "helix-shim-outbox.h"
#include "helix-shim-screen.h"

/* An ERROR for the client. */
struct helix_shim_fault {
  uint32_t code;     /* enum helix_error_code, 0 = none */
  uint32_t refers;   /* type of the message at fault */
  uint32_t resource; /* to be named to the client, 0 = none */
  const char *why;   /* lives as long as the shim */
  bool over;         /* it ends the subscription */
};

struct helix_shim_readback;

/* [display] A slot that is being filled, one of a subscription at a time, and
 * what is due again if that fails. */
struct helix_shim_fill {
  struct helix_shim_readback *readback; /* fills it; NULL = none is */
  struct helix_shim_memory *memory;     /* a reference; NULL = none is */
  uint32_t slot;
  uint64_t mode;       /* the subscription's */
  uint64_t begin_ns;   /* when it began */
  helix_region damage; /* was pending */
  uint64_t pending_ns; /* since when */
  uint64_t capture_ns; /* told by SHOW, or HELIX_NONE64 */
};

struct helix_shim_subscription {
  /* [const] */
  struct helix_shim *shim;
  struct helix_shim_outbox *outbox; /* the client's; gone once it is `closed` */
  uint16_t number;                  /* the client's channel */
  uint64_t interval_ns;             /* from frame to frame, on average */
  uint32_t slots;
  bool cursor;      /* CURSORs are wanted, and there is a scanout */
  uint32_t scanout; /* HELIX_NONE32 = none */

  /* [io] */
  struct helix_shim_memory *coming;   /* gets its pages; NULL = none */
  bool answered;                      /* the first SCANOUT is queued */
  struct helix_shim_seen_cursor seen; /* what the client knows of the cursor */

  /* [turn], of the outbox */
  uint64_t sequence; /* of the last frame */

  /* [lock] */
  struct helix_show request;        /* the newest SHOW, while `requested` */
  bool closed;                      /* the client has gone on */
  struct helix_shim_memory *memory; /* NULL = none yet; io thread writes */
  uint64_t wanted;                  /* bytes a slot must have, 0 = off */
  bool refused;                     /* that much could not be allocated */
  bool told;                        /* `state` went out, or need not */
  struct helix_scanout state;
  struct helix_shim_fault fault;           /* to be told, if it has a code */
  uint8_t ready[HELIX_MAX_SLOTS], readies; /* slots, oldest first */
  bool lost;    /* memory that was replaced had a frame to be sent */
  bool starved; /* the display thread waits for a slot or for memory */

  /* atomic */
  bool requested;
  uint32_t resource_id; /* shown instead of the scanout; 0 = none is */
  uint64_t dropped;     /* flushes that had to wait for a slot */

  /* [display] */
  bool begun;
  bool shown;                   /* by SHOW: not what SUBSCRIBE asked for */
  struct helix_surface surface; /* resource_id 0 = off */
  uint32_t generation;
  uint64_t mode;        /* +1 whenever all slots' contents become useless */
  helix_region pending; /* changed since the last frame */
  uint64_t pending_ns;  /* since when; HELIX_NONE64 = nothing is */
  uint64_t due_ns;      /* no frame before */
  uint64_t retry_ns;    /* after a failed read: no other before; 0 = none */
  bool unreadable_told; /* of this source and generation */
  uint64_t request_ns;  /* no request is applied before */
  uint64_t capture_ns;  /* of the next frame, HELIX_NONE64 = when it is read */
  uint64_t captured_ns; /* of the last frame */
  struct helix_shim_fill fill;
};

/* Io thread: makes it and shows it to the display thread. The caller's until
 * helix_shim_subscription_close. */
struct helix_shim_subscription *helix_shim_subscription_new (
    struct helix_shim *shim, struct helix_shim_outbox *outbox, uint16_t number,
    const struct helix_subscribe *subscribe);
void helix_shim_subscription_close (
    struct helix_shim_subscription *subscription);
/* Display thread: brings shim->subscriptions up to date, and what is pending
 * of each. */
void helix_shim_subscription_update_all (struct helix_shim *shim);
/* The list's free function. */
void helix_shim_subscription_free (void *subscription);

/* ---- io thread ---- */

enum helix_shim_pending {
  HELIX_SHIM_PENDING_NOTHING,
  HELIX_SHIM_PENDING_SCANOUT, /* state */
  HELIX_SHIM_PENDING_FAULT,   /* fault */
  HELIX_SHIM_PENDING_MEMORY,  /* wanted */
  HELIX_SHIM_PENDING_FRAME,   /* memory (a new reference), slot */
};
struct helix_shim_item {
  struct helix_scanout state;
  struct helix_shim_fault fault;
  uint64_t wanted; /* bytes a slot */
  struct helix_shim_memory *memory;
  uint32_t slot;
};
/* What the client is to be sent next; *item has the fields named there. */
enum helix_shim_pending helix_shim_subscription_take (
    struct helix_shim_subscription *subscription, struct helix_shim_item *item);
/* Queues HELIX_SHIM_PENDING_FRAME. Takes over the reference in `item`. Thread:
 * the one that has the outbox's turn. */
void helix_shim_subscription_send (struct helix_shim_subscription *subscription,
    const struct helix_shim_item *item);
/* Memory is there (its reference moves here). NULL: it cannot be had in the
 * present mode. */
void helix_shim_subscription_attach (
    struct helix_shim_subscription *subscription,
    struct helix_shim_memory *memory);
/* false: the client does not hold that slot. A pool before is ignored. */
bool helix_shim_subscription_release (
    struct helix_shim_subscription *subscription,
    const struct helix_release *release);
/* Changes the source. The newest request counts; one that is not applied yet
 * is replaced. */
void helix_shim_subscription_show (struct helix_shim_subscription *subscription,
    const struct helix_show *show);

/* ---- display thread ---- */

/* Least time between two SHOWs that are applied: each one looks its resource
 * up and reads all of it, and a client may send them as fast as it can. 250 a
 * second are more than any screen shows (240 Hz). */
#define HELIX_SHIM_SHOW_EVERY_NS 4000000u

/* When the request that waits may be applied; HELIX_NONE64 = none waits. */
uint64_t helix_shim_subscription_request_due (
    const struct helix_shim_subscription *subscription);
/* Takes it, if it may be applied now. */
bool helix_shim_subscription_take_request (
    struct helix_shim_subscription *subscription, uint64_t now,
    struct helix_show *show);
/* What the scanout or the resource is now; a new generation is a new mode. */
void helix_shim_subscription_set_surface (
    struct helix_shim_subscription *subscription,
    const struct helix_surface *surface, uint32_t generation);
/* Tells the client. A fault that ends the subscription is never overwritten. */
void helix_shim_subscription_fail (struct helix_shim_subscription *subscription,
    struct helix_shim_fault fault);
/* NULL: all of it changed. */
void helix_shim_subscription_damage (
    struct helix_shim_subscription *subscription,
    const struct helix_rect *rect);

enum helix_shim_claim {
  HELIX_SHIM_CLAIM_OK,
  HELIX_SHIM_CLAIM_NO_CREDIT, /* the client holds them all */
  HELIX_SHIM_CLAIM_NO_MEMORY, /* not there yet, or the client is gone */
};
/* The free slot that is least stale becomes FILLING, and *memory a reference.
 * Otherwise the display thread is woken when there is a slot. */
enum helix_shim_claim helix_shim_subscription_claim (
    struct helix_shim_subscription *subscription,
    struct helix_shim_memory **memory, uint32_t *slot);
/* FILLING -> READY, or FREE if `good` is false; takes claim's reference. Sends
 * the FRAME, or leaves it to the io thread if something has to go before it,
 * or if that thread has the client's turn. Returns whether there is a frame. */
bool helix_shim_subscription_publish (
    struct helix_shim_subscription *subscription,
    struct helix_shim_memory *memory, uint32_t slot, bool good);
/* Of all slots that show what `self` shows, but for those being filled: the
 * least stale one, whose index goes to *index. Returns a new reference to its
 * memory, or NULL. */
struct helix_shim_memory *helix_shim_subscription_find_copy (
    struct helix_shim_subscription *self, uint32_t *index);

#endif /* HELIX_SHIM_SUBSCRIPTION_H */
