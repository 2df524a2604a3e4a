/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One client's wish to see one scanout or resource, where both threads meet:
 * the display thread damages and fills, the io thread takes what is due and
 * gives credit back. Owners of fields as in helix-shim-private.h.
 */
#ifndef HELIX_SUBSCRIPTION_H
#define HELIX_SUBSCRIPTION_H

#include "helix-shim-private.h"

struct helix_subscription {
  int refs;
  /* [const] */
  struct helix_shim *shim;
  uint16_t channel;
  uint32_t scanout, resource_id; /* HELIX_NONE32 / 0: the other one counts */
  uint64_t interval_ns;          /* least time between two frames */
  uint32_t slots;
  bool cursor; /* CURSORs are wanted, and there is a scanout */

  /* [lock] */
  bool shared;                 /* memory goes as a descriptor */
  bool closed;                 /* the io thread lost interest */
  struct helix_memory *memory; /* NULL = none yet */
  uint64_t wanted;             /* bytes a slot must have, 0 = off */
  bool refused;                /* that much could not be allocated */
  bool told;                   /* `state` went out, or need not */
  struct helix_scanout state;
  uint32_t error; /* to be told, 0 = none; ends the subscription if `over` */
  uint32_t error_refers, error_resource;
  const char *error_why;
  bool over;
  struct helix_show show; /* the newest; counts while show_wanted */
  uint32_t resource_now;  /* watched by SUBSCRIBE or SHOW, else 0 */
  uint8_t ready[HELIX_MAX_SLOTS], readies; /* slots, oldest first */
  bool starved; /* display waits for a slot or for memory */

  /* atomic */
  bool show_wanted;
  uint64_t dropped; /* flushes that had to wait for a slot */

  /* [display] */
  bool begun;
  struct helix_surface surface; /* resource_id 0 = off */
  uint32_t generation;
  uint64_t mode;        /* +1 whenever all slots' contents lose their meaning */
  helix_region pending; /* changed since the last frame */
  uint64_t pending_ns;  /* since when; HELIX_NONE64 = nothing is */
  uint64_t due_ns;      /* no frame before */
  uint64_t retry_ns;    /* after a failed read: no other before; 0 = none */
  bool unreadable_told; /* in this generation */
  bool showing;         /* what SHOW said, whatever the scanout does */
  uint64_t show_due_ns; /* no SHOW is obeyed before */
  uint64_t shown_ns;    /* capture time of that picture, or HELIX_NONE64 */
  uint64_t captured_ns; /* of the last frame */

  /* [io] */
  struct helix_memory *coming; /* gets its pages; NULL = none */
  uint64_t sequence;           /* of the last frame */
  bool answered;               /* the first SCANOUT is out */
  bool cursor_told;            /* the first CURSOR is out */
  bool cursor_queued;          /* one is under way */
  uint64_t cursor_version;     /* of the plane, told last */
  uint32_t cursor_serial;      /* of the shape that the client has */
};

/* What the io thread has to do next for a subscription. */
enum helix_due {
  HELIX_DUE_NOTHING,
  HELIX_DUE_SCANOUT, /* due->state */
  HELIX_DUE_ERROR,   /* ->error, ->refers, ->resource (0 = none), ->why;
                      * ->over: forget it after */
  HELIX_DUE_MEMORY,  /* due->wanted bytes a slot */
  HELIX_DUE_FRAME,   /* due->memory (a new reference), ->slot */
};
struct helix_due_item {
  struct helix_scanout state;
  uint32_t error, refers, resource;
  const char *why;
  bool over;
  uint64_t wanted;
  struct helix_memory *memory;
  uint32_t slot;
};

enum helix_release_result {
  HELIX_RELEASE_OK,
  HELIX_RELEASE_STALE,   /* of a pool before: ignored */
  HELIX_RELEASE_INVALID, /* not the client's to give */
};

/* Io thread: makes it and shows it to the display thread. The caller holds
 * one reference until helix_subscription_close. */
struct helix_subscription *helix_subscription_new (struct helix_shim *shim,
    uint16_t channel, const struct helix_subscribe *wish, bool shared);
struct helix_subscription *helix_subscription_ref (
    struct helix_subscription *subscription);
void helix_subscription_unref (struct helix_subscription *subscription);
void helix_subscription_close (struct helix_subscription *subscription);

/* Io thread. `frames`: whether a FRAME may be taken now. */
enum helix_due helix_subscription_take (struct helix_subscription *subscription,
    bool frames, struct helix_due_item *item);
/* Io thread: memory is there (its reference moves here); NULL: it cannot be
 * had in the present mode. */
void helix_subscription_attach (
    struct helix_subscription *subscription, struct helix_memory *memory);
/* Io thread: the last byte of an INLINE frame is out, or never will be. */
void helix_subscription_sent (struct helix_subscription *subscription,
    struct helix_memory *memory, uint32_t slot);
/* Any thread: flushes that had to wait for a slot. */
uint64_t helix_subscription_dropped (
    const struct helix_subscription *subscription);
enum helix_release_result helix_subscription_release (
    struct helix_subscription *subscription,
    const struct helix_release *release);

/* Display thread. */
void helix_subscription_set_surface (struct helix_subscription *subscription,
    const struct helix_surface *surface, uint32_t generation);
/* Resource subscriptions: theirs is gone. */
void helix_subscription_end (
    struct helix_subscription *subscription, const char *why);
/* An ERROR that ends nothing. `refers`: type at fault; `resource_id`: the one
 * it is about, 0 = that goes without saying. */
void helix_subscription_tell (struct helix_subscription *subscription,
    uint32_t error, uint32_t refers, uint32_t resource_id, const char *why);
void helix_subscription_damage (struct helix_subscription *subscription,
    const struct helix_rect *rect, uint64_t now);
void helix_subscription_damage_all (
    struct helix_subscription *subscription, uint64_t now);
enum helix_claim {
  HELIX_CLAIM_OK,
  HELIX_CLAIM_NO_CREDIT, /* the client holds them all */
  HELIX_CLAIM_NO_MEMORY, /* not there yet, or the client is gone */
};
/* The free slot that lacks least becomes FILLING, and *memory a reference.
 * Otherwise whoever frees a slot or brings memory wakes the display thread. */
enum helix_claim helix_subscription_claim (
    struct helix_subscription *subscription, struct helix_memory **memory,
    uint32_t *slot);
/* FILLING -> READY, or FREE if `good` is false; takes claim's reference.
 * True if a frame is due now. */
bool helix_subscription_publish (struct helix_subscription *subscription,
    struct helix_memory *memory, uint32_t slot, bool good);

#endif /* HELIX_SUBSCRIPTION_H */
