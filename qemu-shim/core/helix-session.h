/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One client's connection. Io thread only. helix-session.c keeps it alive
 * (reading, writing, deadlines, the end), helix-dispatch.c understands what
 * it says, helix-roster.c answers LIST, helix-collect.c says what is due.
 */
#ifndef HELIX_SESSION_H
#define HELIX_SESSION_H

#include "helix-outbox.h"
#include "helix-reader.h"
#include "helix-subscription.h"

/* All times in ns. */
#define HELIX_HELLO_NS 5000000000u  /* for HELLO to come */
#define HELIX_IDLE_NS 2000000000u   /* without a byte: PING */
#define HELIX_DEAD_NS 6000000000u   /* without a byte: gone */
#define HELIX_LINGER_NS 1000000000u /* for the last ERROR or BYE to go out */

#define HELIX_MAX_CHANNELS 16u             /* subscriptions of one connection */
#define HELIX_MAX_POOL_BYTES (2ull << 30)  /* memory of one connection */
#define HELIX_MAX_LEFT_POOLS 32u           /* given up, perhaps not yet read */
#define HELIX_SUBSCRIBE_BURST 64u          /* SUBSCRIBEs at once, */
#define HELIX_SUBSCRIBE_EVERY_NS 31250000u /* then 32 a second */
#define HELIX_LIST_BURST 16u               /* LISTs at once, */
#define HELIX_LIST_EVERY_NS 125000000u     /* then 8 a second */

enum helix_session_state {
  HELIX_SESSION_NEW,     /* waits for HELLO */
  HELIX_SESSION_OPEN,    /* WELCOME is out */
  HELIX_SESSION_CLOSING, /* reads no more, writes what is left */
};

/* How often a client may do something. */
struct helix_bucket {
  uint32_t tokens; /* left */
  uint64_t time_ns;
};

struct helix_session {
  struct helix_shim *shim;
  int fd;
  uint64_t number; /* for log lines */
  pid_t pid;       /* 0 = unknown */
  uid_t uid;
  enum helix_session_state state;
  bool dead; /* to be freed by the next sweep */
  bool watching_read, watching_write;
  struct helix_reader reader;
  struct helix_outbox outbox;
  uint64_t born_ns, heard_ns, pinged_ns, closing_ns;

  /* since HELLO */
  char name[HELIX_MAX_NAME + 1];
  uint32_t features;                 /* in use */
  uint32_t told_pid;                 /* what it says of itself */
  uint32_t seen[HELIX_MAX_SCANOUTS]; /* serial of the last SCANOUT sent */
  bool seen_any;
  struct helix_subscription *channel[HELIX_MAX_CHANNELS];
  uint32_t last_pool;
  uint64_t fill_budget; /* bytes, until its next run */
  /* Pools that no subscription has any more, but whose POOL the client may
   * still have to read: so long, the descriptor in it keeps the memory. */
  uint32_t left_pools;
  uint64_t left_bytes;
  struct helix_bucket subscribes; /* and SET_SCANOUTs */
  struct helix_bucket lists;
  uint64_t frames;        /* sent */
  uint64_t dropped;       /* by subscriptions that are no more */
  uint64_t last_frame_ns; /* sent; 0 = none yet */
};

/* Takes `fd` over. */
struct helix_session *helix_session_new (
    struct helix_shim *shim, int fd, uid_t uid, pid_t pid);
void helix_session_free (struct helix_session *session);

/* Moves what its subscriptions and the scanouts have for it, writes, keeps
 * its deadlines. */
void helix_session_run (struct helix_session *session, uint64_t now);
/* Reads what has come, if anything; an end that has begun goes on. */
void helix_session_read (struct helix_session *session);
/* When helix_session_run has to be called next. */
uint64_t helix_session_deadline (const struct helix_session *session);

/* Ends it: says ERROR and closes behind that. `refers`: type at fault. */
void helix_session_fail (struct helix_session *session,
    enum helix_error_code code, uint32_t refers, const char *format, ...)
    G_GNUC_PRINTF (4, 5);
/* Ends it without a word, or after what is queued. */
void helix_session_end (struct helix_session *session, bool linger);

/* helix-dispatch.c: one whole message is in session->reader. */
void helix_session_dispatch (struct helix_session *session);
/* Whether it may be done once more now. */
bool helix_session_spend (
    struct helix_bucket *bucket, uint32_t burst, uint64_t every_ns);
void helix_session_close_channel (
    struct helix_session *session, struct helix_subscription **place);
void helix_session_close_channels (struct helix_session *session);
/* The subscription's memory, if it has any, is about to go. */
void helix_session_leave_pool (struct helix_session *session,
    const struct helix_subscription *subscription);

/* Memory that gets its pages for it is not wanted any more. */
void helix_session_forget_coming (struct helix_subscription *subscription);

/* helix-roster.c: answers LIST. */
void helix_session_list (struct helix_session *session);

/* helix-collect.c: what is due goes to the outbox. */
void helix_session_collect (struct helix_session *session);
void helix_session_bye (struct helix_session *session, const char *why);
void helix_session_send (
    struct helix_session *session, const uint8_t *message, size_t size);
/* An ERROR that ends nothing. `refers`: type at fault. */
void helix_session_complain (struct helix_session *session, uint16_t channel,
    enum helix_error_code code, uint32_t refers, const char *format, ...)
    G_GNUC_PRINTF (5, 6);

#endif /* HELIX_SESSION_H */
