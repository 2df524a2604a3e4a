/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the element (gsthelixqemusrc.c), its properties (-props.c), buffers
 * (-buffers.c), statistics (-stats.c) and its obedience (-control.c) share.
 */
#ifndef GST_HELIX_QEMU_SRC_PRIVATE_H
#define GST_HELIX_QEMU_SRC_PRIVATE_H

#include "gsthelixqemusrc.h"

#include "gsthelixholdback.h"
#include "helix-convert.h"
#include "helix-frame-client.h"
#include "helix-histogram.h"
#include "helix-picture.h"

G_BEGIN_DECLS

/* What the element itself counts. */
typedef struct {
  guint64 frames, repeated, cursor_moves, black, copied; /* buffers */
  guint64 flushed; /* of `repeated`: so that the encoder lets go of a picture */
  guint64 convert_ns, latency_ns;
  guint64 converted; /* bytes of picture that were read to convert or copy */
  guint64 sequence;
  guint32 generation, width, height;
  struct helix_histogram readback, wait, convert, latency; /* ns */
} GstHelixQemuSrcCounters;

struct _GstHelixQemuSrc {
  GstPushSrc parent;

  /* under the object lock */
  gchar *socket_path;
  gchar *server_user; /* or NULL */
  guint scanout, resource_id;
  gint max_num, max_den;
  guint keepalive_time; /* ms */
  gboolean auto_reconnect;
  guint reconnect_timeout; /* ms */
  gboolean shared_memory;
  gboolean show_cursor;
  gint when_off;            /* GstHelixWhenOff */
  guint64 refused_ns;       /* when a refusal was last posted, 0 = never */
  gint rate_num, rate_den;  /* asked of the shim: the lower of max-framerate
                              and what downstream insists on */
  HelixFrameClient *client; /* from start to stop */
  GstHelixQemuSrcCounters counters;
  GstHelixHoldback holdback; /* of the encoder, see there */
  gboolean refresh;          /* the last picture is wanted again, at once */

  /* the streaming thread's */
  gboolean shaped; /* `picture` and `info` are known */
  HelixPicture picture;
  GstVideoInfo info;
  HelixConvert *convert;
  gboolean downstream_meta; /* takes GstVideoMeta */
  gboolean own_pool;        /* buffers to convert into are our canvases */
  GstBuffer *last;          /* to be repeated; NULL before the first */
  guint64 pushed_ns;
  GstClockTime last_pts;
  guint breaks;          /* reconnections and switches seen so far */
  gboolean blend;        /* show_cursor, as far as followed */
  HelixCursor cursor;    /* the newest */
  gboolean cursor_moved; /* ... is not in the last picture */
  gboolean unfit;        /* downstream takes no picture of the size of */
  HelixPicture misfit;   /* ... this one, the newest, */
  gboolean refused;      /* ... though its caps say otherwise */
  guint64 unfit_ns;      /* since when that is so, 0 = it is not */
  guint64 warned_ns;     /* when it was said last, 0 = never */
  gboolean dark;         /* when-off was obeyed; FALSE: nothing is wrong, or
                          * it is too early to say so */
  gboolean said_off;     /* the bus knows */
  GstMemory *still;      /* the pixels of `picture`, to draw it upon anew */
};

/* Caps for this picture out of what downstream takes. Empty: downstream takes
 * only other sizes. NULL: nothing at all, which an ERROR has said unless the
 * pad is flushing. */
GstCaps *gst_helix_qemu_src_choose_caps (
    GstHelixQemuSrc *self, const HelixPicture *picture);
/* With the object lock: the frames a second that max-framerate means. */
void gst_helix_qemu_src_get_limit (GstHelixQemuSrc *self, gint *num, gint *den);
/* With the object lock: what to ask the shim for. */
void gst_helix_qemu_src_fill_wish (GstHelixQemuSrc *self, HelixFrameWish *wish);
/* With the object lock: asks it anew, if there is a client; see
 * helix_frame_client_subscribe (). */
void gst_helix_qemu_src_subscribe (GstHelixQemuSrc *self, gboolean on_trial);
/* Asks for the whole picture once more, changed or not. */
void gst_helix_qemu_src_ask_again (GstHelixQemuSrc *self);

/* ---- gsthelixqemusrc-buffers.c: a buffer, ready to go ---- */

/* A new picture; gives the frame's slot back, lends or holds it. */
GstFlowReturn gst_helix_qemu_src_take_frame (
    GstHelixQemuSrc *self, HelixFrame *frame, GstBuffer **buffer);
/* The last picture, `still`, with the cursor where it is now. */
GstFlowReturn gst_helix_qemu_src_move_cursor (
    GstHelixQemuSrc *self, GstBuffer **buffer);
/* The last buffer once more, if that is due; else NULL. */
GstBuffer *gst_helix_qemu_src_repeat (GstHelixQemuSrc *self);
/* When it is, if nothing else comes; a helix_now_ns () time, or NONE64. */
guint64 gst_helix_qemu_src_repeat_at (GstHelixQemuSrc *self);
/* ns between two pictures, as the caps say. */
guint64 gst_helix_qemu_src_interval (GstHelixQemuSrc *self);
/* Black, of the last picture's size. */
GstFlowReturn gst_helix_qemu_src_blacken (
    GstHelixQemuSrc *self, GstBuffer **buffer);

/* ---- gsthelixqemusrc-control.c ---- */

/* FALSE: the event is not one of ours. Else *ok is what to answer. */
gboolean gst_helix_qemu_src_obey (
    GstHelixQemuSrc *self, GstEvent *event, gboolean *ok);
/* A wish came to nothing: the properties say what goes on instead. */
void gst_helix_qemu_src_refused (GstHelixQemuSrc *self, const GError *error);
/* The client has a new cursor. */
void gst_helix_qemu_src_take_cursor (GstHelixQemuSrc *self);
/* Does what show-cursor says from here on. FALSE: it does already. */
gboolean gst_helix_qemu_src_follow_show_cursor (GstHelixQemuSrc *self);

/* ---- gsthelixqemusrc-dark.c ---- */

/* When gst_helix_qemu_src_go_dark () is due; HELIX_NONE64 = not at all. */
guint64 gst_helix_qemu_src_dark_due (GstHelixQemuSrc *self);
/* Says that the screen is off, and makes the buffer to be shown of it.
 * CUSTOM_SUCCESS: there is none. */
GstFlowReturn gst_helix_qemu_src_go_dark (
    GstHelixQemuSrc *self, GstBuffer **buffer);
/* The shim said that the screen is off. */
void gst_helix_qemu_src_take_dark (GstHelixQemuSrc *self);
/* There is a picture, and downstream takes it. */
void gst_helix_qemu_src_light_up (GstHelixQemuSrc *self, HelixFrame *frame);
/* Downstream does not take a picture of this size: says so. `refused`: its
 * caps do not tell. */
void gst_helix_qemu_src_note_unfit (
    GstHelixQemuSrc *self, const HelixPicture *picture, gboolean refused);
/* Downstream's caps may be others now: asks for a picture if it fits them. */
void gst_helix_qemu_src_reconsider (GstHelixQemuSrc *self);

/* ---- gsthelixqemusrc-stats.c ---- */

void gst_helix_qemu_src_note_frame (
    GstHelixQemuSrc *self, const struct helix_frame *info, guint64 pushed_ns);
void gst_helix_qemu_src_note_conversion (
    GstHelixQemuSrc *self, guint64 ns, guint64 bytes);
GstStructure *gst_helix_qemu_src_get_stats (GstHelixQemuSrc *self);

/* ---- gsthelixqemusrc-props.c ---- */

/* Defaults of a new element. */
void gst_helix_qemu_src_init_properties (GstHelixQemuSrc *self);
/* Sets set_property and get_property, installs what they serve. */
void gst_helix_qemu_src_install_properties (GObjectClass *object_class);

G_END_DECLS

#endif /* GST_HELIX_QEMU_SRC_PRIVATE_H */
