/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What both ends of the stream protocol share. */
#ifndef HELIX_STREAM_COMMON_H
#define HELIX_STREAM_COMMON_H

#include <gst/gst.h>

#include "helix-protocol.h"

G_BEGIN_DECLS

/* How old a unit may become on its way, at either end, in ms: as long as it
 * may wait for a guest here, and as long as it may wait for what follows
 * helixsrc there.
 *
 * 400 ms leave room for a stutter, and keep what is seen below 600 ms where
 * the next keyframe takes its time. */
#define HELIX_STREAM_MAX_AGE_MS 400
#define HELIX_STREAM_MAX_AGE_MIN_MS 50
#define HELIX_STREAM_MAX_AGE_MAX_MS 60000

/* ns. An end that leaves units out twice within this time is too slow, not only
 * disturbed once: it is told. */
#define HELIX_STREAM_SLOW_NS G_GUINT64_CONSTANT (10000000000)

/* The debug category `helixstream`. */
GST_DEBUG_CATEGORY_EXTERN (helix_stream_debug);

/* Makes the category, before its first use. Call it any number of times.
 * Thread: any. */
void helix_stream_debug_init (void);

/* HELIX_CONFIG_* that this version knows: bits 0 to 3. */
#define HELIX_STREAM_N_FIELDS 4

/* Takes the fields that `newer` names over into `config`. */
void helix_stream_merge_config (
    struct helix_config *config, const struct helix_config *newer);

/* Says ERROR to a connection that is not served, without waiting, and reads
 * what it sent: a close with unread bytes makes TCP throw our word away. The
 * caller closes `fd`. */
void helix_stream_turn_away (gint fd, const gchar *text);

G_END_DECLS

#endif /* HELIX_STREAM_COMMON_H */
