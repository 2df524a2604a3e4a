/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every server makes of its client's messages before its own code sees
 * them: PING, PONG, BYE, ERROR, HELLO, the token's PROOF, LIST too often, types
 * that are not known, and messages that have no place in the session's state
 * (README.md, section 2). For both protocols; one for each connection.
 *
 *   switch (helix_server_take (&server, &reader, received, now, &said)) {
 *     case HELIX_SERVER_NOTHING:  nothing is to be done
 *     case HELIX_SERVER_ANSWER:   send said.answer[said.size]
 *     case HELIX_SERVER_REFUSE:   send ERROR (said.code, .refers, .channel,
 *                                 .text), and close if the code is fatal
 *     case HELIX_SERVER_HELLO:    server.hello and .name are good: send
 *                                 helix_server_welcome (), or refuse it
 *     case HELIX_SERVER_PROOF:    compare said.proof; if it is right, send
 *                                 the server's, and set server.state to OPEN
 *     case HELIX_SERVER_PONG:     said.pong, zeros if it was bare
 *     case HELIX_SERVER_BYE:      close; said.text is the client's
 *     case HELIX_SERVER_ERROR:    said.code, said.text; close if it is fatal
 *     case HELIX_SERVER_MESSAGE:  one of the protocol's own, LIST included, in
 *                                 an open session: unpack it
 *   }
 *
 * Allocates nothing, does no I/O, keeps no pointer. One thread at a time.
 */
#ifndef HELIX_SERVER_H
#define HELIX_SERVER_H

#include "helix-reader.h"

#define HELIX_LIST_BURST 16u           /* LISTs at once, */
#define HELIX_LIST_EVERY_NS 125000000u /* then 8 a second */

enum helix_server_state {
  HELIX_SERVER_NEW,     /* HELLO is awaited */
  HELIX_SERVER_PROVING, /* WELCOME is out, the client's PROOF is awaited */
  HELIX_SERVER_OPEN,
};

/* How often a client may do something: `left` times at once, and again after
 * some time. */
struct helix_bucket {
  uint32_t left;
  uint64_t time_ns; /* when the last time was earned */
};

struct helix_server {
  /* set by helix_server_init (), and the bools by the user */
  enum helix_role role; /* FRAMES, or STREAM, which serves CONTROL, too */
  bool lasts;           /* the stream outlives its sessions (section 6) */
  bool proves;          /* clients must prove a token */

  enum helix_server_state state; /* set to NEW by the user when a session ends
                                  * and the stream lasts */
  struct helix_bucket lists;

  /* of the last good HELLO; of use when the session is open */
  struct helix_hello hello;
  char name[HELIX_MAX_NAME + 1];
};

enum helix_server_verdict {
  HELIX_SERVER_NOTHING,
  HELIX_SERVER_ANSWER,
  HELIX_SERVER_REFUSE,
  HELIX_SERVER_HELLO,
  HELIX_SERVER_PROOF,
  HELIX_SERVER_PONG,
  HELIX_SERVER_BYE,
  HELIX_SERVER_ERROR,
  HELIX_SERVER_MESSAGE,
};

/* What belongs to a verdict (above). */
struct helix_server_said {
  struct helix_pong pong;
  struct helix_proof proof;
  uint32_t code; /* enum helix_error_code */
  uint8_t refers;
  uint16_t channel;
  char text[HELIX_MAX_TEXT + 1];
  size_t size; /* bytes of answer */
  uint8_t answer[HELIX_MAX_MESSAGE];
};

/* Times are ns of the monotonic clock. */
void helix_server_init (
    struct helix_server *server, enum helix_role role, uint64_t now_ns);

/* A whole message is in the reader, since `received_ns`; `now_ns` is when an
 * answer leaves. */
enum helix_server_verdict helix_server_take (struct helix_server *server,
    const struct helix_reader *reader, uint64_t received_ns, uint64_t now_ns,
    struct helix_server_said *said);

/* WELCOME to the last HELLO; sets the state. `scanouts` is 0 in the stream
 * protocol, `name` the program's. `challenge` asks for a PROOF, else NULL: then
 * `pid` is told. Returns the bytes written to `dst` (HELIX_MAX_MESSAGE). */
size_t helix_server_welcome (struct helix_server *server, uint8_t *dst,
    uint32_t scanouts, uint32_t pid, const char *name,
    const uint8_t challenge[HELIX_CHALLENGE_SIZE]);

/* Whether it may be done once more now: `burst` times at once, then once every
 * `every_ns`. A bucket begins as {burst, now}. */
bool helix_bucket_spend (struct helix_bucket *bucket, uint32_t burst,
    uint64_t every_ns, uint64_t now_ns);

#endif /* HELIX_SERVER_H */
