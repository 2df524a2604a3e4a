/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tests' own end of the stream protocol: plain blocking calls with a
 * deadline, no code of the plugin's but the packing and the proofs. Each call
 * fails the test when what it waits for does not come.
 */
#ifndef STREAM_PEER_H
#define STREAM_PEER_H

#include <glib.h>
#include <sys/types.h>

#include "helix-proof.h"
#include "helix-reader.h"

G_BEGIN_DECLS

/* Longest wait for anything; a loaded machine needs some of it. */
#define PEER_TIMEOUT_MS 20000

typedef struct {
  gint fd;
  struct helix_reader reader;
  guint8 *bulk;          /* of the last UNIT, or CURSOR with a shape */
  guint64 ahead;         /* ns: its clock is before helix_now_ns () by that */
  guint32 role;          /* of the HELLO that peer_welcome () answered */
  HelixProofRound proof; /* of the last HELLO and WELCOME */
  struct helix_unit unit;
  struct helix_cursor cursor;
} StreamPeer;

/* Time on the peer's clock, by which it answers PINGs and stamps units. */
guint64 peer_now (const StreamPeer *peer);

/* A fresh temporary folder, and its removal with all that is in it. */
gchar *peer_folder_new (void);
void peer_folder_free (gchar *folder);

/* The lowest descriptor that is free. From now on only those below `n` are
 * given out; 0: as many as before. */
gint peer_next_descriptor (void);
void peer_limit_descriptors (guint n);
/* What this process uses in the next half second, in us: next to nothing if
 * it has nothing to do. */
guint64 peer_cpu_time (void);

/* `fd` is the peer's from here on. */
void peer_init (StreamPeer *peer, gint fd);
void peer_clear (StreamPeer *peer);
/* Connects to unix:PATH, trying again while there is no listener. */
void peer_connect (StreamPeer *peer, const gchar *path);
/* Connects, says HELLO, and gets WELCOME. */
void peer_meet (StreamPeer *peer, const gchar *path);
void peer_meet_as (StreamPeer *peer, const gchar *path, guint32 role);
/* Connects to a TCP port that is listened on, as a process of the effective
 * user `uid`, which only root can have. */
void peer_connect_tcp (
    StreamPeer *peer, uid_t uid, const gchar *host, guint port);
/* Listens at `path`; accepts one. */
gint peer_listen (const gchar *path);
void peer_accept (StreamPeer *peer, gint listener);

void peer_send (StreamPeer *peer, const void *data, gsize size);
/* A message, packed by helix_pack_`kind` () from what follows. */
#define PEER_SEND(peer, kind, ...) \
  G_STMT_START \
  { \
    guint8 peer_message[HELIX_MAX_MESSAGE]; \
\
    peer_send ( \
        peer, peer_message, helix_pack_##kind (peer_message, __VA_ARGS__)); \
  } \
  G_STMT_END
/* Reads the last message into what follows, by helix_unpack_`kind` (). */
#define PEER_UNPACK(peer, kind, ...) \
  G_STMT_START \
  { \
    const gchar *peer_why = ""; \
\
    fail_unless (helix_unpack_##kind (__VA_ARGS__, (peer)->reader.payload, \
                     (peer)->reader.payload_size, &peer_why), \
        "%s", peer_why); \
  } \
  G_STMT_END
/* With a token, if that is not NULL. */
void peer_hello (StreamPeer *peer, const gchar *token);
void peer_hello_as (StreamPeer *peer, const gchar *token, guint32 role);
/* WELCOME comes, and asks for a proof. */
void peer_expect_challenge (StreamPeer *peer);
/* The PROOF of `who`, HELIX_PROOF_CLIENT or _SERVER. */
void peer_prove (StreamPeer *peer, const gchar *who, const gchar *token);
/* All of it, up to a PROOF that is right. */
void peer_join (StreamPeer *peer, const gchar *token);

/* Asks for a LIST: the names of the CLIENTs in one text, "(name)" or, of the
 * asker itself, "[name]". Free it. */
gchar *peer_list_names (StreamPeer *peer);

/* Awaits HELLO and answers it; or asks for a proof. */
void peer_welcome (StreamPeer *peer);
void peer_challenge (StreamPeer *peer);
/* PROOF is next, and is the right one of `who`. */
void peer_expect_proof (StreamPeer *peer, const gchar *who, const gchar *token);
void peer_send_caps (StreamPeer *peer, guint32 id);
void peer_send_unit (StreamPeer *peer, guint64 sequence, guint32 flags,
    const void *data, gsize size);

/* Answers the PING that has just come. */
void peer_answer_ping (StreamPeer *peer);

/* The next message that is neither PING nor PONG nor STATS nor KEYFRAME;
 * PING is answered. 0 = the other end closed. */
guint peer_next (StreamPeer *peer);
/* Likewise, whatever it is. */
guint peer_next_any (StreamPeer *peer);
/* Any of its kind; others are passed over. */
void peer_expect (StreamPeer *peer, guint type);
/* ERROR with this code, others before it are passed over. Its text: free it. */
gchar *peer_expect_error (StreamPeer *peer, guint code);
/* CONFIG of just these fields. */
void peer_expect_config (
    StreamPeer *peer, struct helix_config *config, guint32 fields);
/* Up to the answer to a PING nothing of this type comes. */
void peer_expect_no (StreamPeer *peer, guint type);
/* ERROR with this code, then the end of the connection. */
void peer_expect_refusal (StreamPeer *peer, guint code);

G_END_DECLS

#endif /* STREAM_PEER_H */
