/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A shim that does what it is told, wrongly too. One client at a time, one
 * thread of its own; pictures are painted by the test.
 */
#ifndef FAKE_SHIM_H
#define FAKE_SHIM_H

#include <glib.h>

#include "helix-protocol.h"

typedef enum {
  FAKE_GOOD,
  FAKE_SILENT,           /* takes the connection and says nothing */
  FAKE_WRONG_MAGIC,      /* answers HELLO in another language */
  FAKE_VERSION_WELCOME,  /* WELCOME with a version from the future */
  FAKE_VERSION_ERROR,    /* ERROR version */
  FAKE_WRONG_NONCE,      /* WELCOME for somebody else */
  FAKE_POOL_WITHOUT_FD,  /* POOL comes alone */
  FAKE_POOL_TWO,         /* POOL comes with its descriptor twice */
  FAKE_POOL_UNSEALED,    /* POOL says sealed, the memory is not */
  FAKE_POOL_HUGE,        /* sealed, in pages of hugetlbfs */
  FAKE_POOL_CUT_OFF,     /* not sealed, and cut off before a FRAME */
  FAKE_POOL_ENDLESS,     /* POOL of more than any frame needs */
  FAKE_STRAY_FD,         /* WELCOME comes with a descriptor */
  FAKE_BAD_SLOT,         /* FRAME in slot 7 of 3 */
  FAKE_BAD_POOL,         /* FRAME in a pool that was never announced */
  FAKE_SAME_SLOT,        /* FRAME in a slot that is the client's */
  FAKE_OLD_SEQUENCE,     /* FRAME's sequence goes back */
  FAKE_LYING_SIZE,       /* FRAME larger than its slot */
  FAKE_FRAME_FIRST,      /* FRAME before any POOL */
  FAKE_VANISH_MID_FRAME, /* gone after half a FRAME */
  FAKE_BYE,              /* says BYE in place of the second frame */
  FAKE_NEW_TYPES,        /* types not known, with and without a payload, before
                             each FRAME */
  FAKE_IDLED,            /* ERROR timeout in its place, then is good */
  FAKE_NO_SCANOUT,       /* ERROR no-scanout */
} FakeFault;

typedef void (*FakePaint) (
    guint8 *pixels, guint width, guint height, guint stride, guint32 number);

typedef struct {
  FakeFault fault;
  guint width, height;
  guint stride;          /* bytes, 0 = width * 4 */
  guint32 fourcc;        /* 0 = BGRX */
  guint slots;           /* 0 = 3 */
  guint scanouts;        /* 0 = 1 */
  guint hidden_scanouts; /* bit i: scanout i is refused */
  gboolean off;          /* the screen is, until fake_shim_resize () */
  guint64 age_ns;        /* frames were captured so long before they are sent */
  FakePaint paint;       /* NULL = the marker */
} FakeConfig;

/* Resources from here on do not exist. */
#define FAKE_NO_RESOURCE 9000u

typedef struct _FakeShim FakeShim;

/* Listens on return. */
FakeShim *fake_shim_new (const gchar *path, const FakeConfig *config);
/* Ends the connection without a word, and the thread. */
void fake_shim_free (FakeShim *shim);

/* Waits until a client has subscribed (15 s at most). FALSE: no client. */
gboolean fake_shim_wait_subscribed (FakeShim *shim);
/* Waits for so many SUBSCRIBEs in all, refused ones too (15 s at most). FALSE:
 * fewer came. */
gboolean fake_shim_wait_subscribes (FakeShim *shim, guint count);
/* Waits until clients have left with so many BYEs in all (15 s at most). */
gboolean fake_shim_wait_byes (FakeShim *shim, guint count);
/* Sends a frame with this number as soon as a slot is free; returns when it
 * is on its way. FALSE: no slot within 15 s. n = 0: everything changed. */
gboolean fake_shim_send (
    FakeShim *shim, guint32 number, const struct helix_rect *rects, guint n);
/* Sends a CURSOR; returns when it is on its way. FALSE: nobody subscribed
 * within 15 s. With SHAPE in its flags, `shape` is width * height * 4 bytes. */
gboolean fake_shim_cursor (
    FakeShim *shim, const struct helix_cursor *cursor, const guint8 *shape);
/* Waits for so many SHOWs in all (15 s at most); the last one. */
gboolean fake_shim_wait_show (
    FakeShim *shim, guint count, struct helix_show *show);
/* Waits for so many more PINGs (10 s at most), which a client that hears
 * nothing sends once a second. */
void fake_shim_wait_pings (FakeShim *shim, guint more);
/* Another size and format from here on. */
void fake_shim_resize (
    FakeShim *shim, guint width, guint height, guint32 fourcc);
/* The screen goes off, until fake_shim_resize (); returns once it was sent. */
void fake_shim_off (FakeShim *shim);
/* It goes off and on again, in one write. */
void fake_shim_blink (FakeShim *shim);
/* It goes off, and the connection ends. */
void fake_shim_vanish (FakeShim *shim);
/* Slots that are free, once that is `wanted` or 15 s have passed. */
guint fake_shim_wait_free_slots (FakeShim *shim, guint wanted);
/* Connections and SUBSCRIBEs taken so far; the last subscription granted. */
guint fake_shim_accepted (FakeShim *shim);
guint fake_shim_subscribes (FakeShim *shim);
/* ERRORs that a client has sent so far. */
guint fake_shim_errors (FakeShim *shim);
struct helix_subscribe fake_shim_subscription (FakeShim *shim);

/* A temporary directory and a path in it; the file and the directory go with
 * fake_path_free (). */
gchar *fake_path_new (void);
void fake_path_free (gchar *path);

#endif /* FAKE_SHIM_H */
