/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shim's core: serves the frame protocol (protocol/README.md) over a UNIX
 * socket. It knows no QEMU: the owner of the screen (qemu/, sim/) gives it
 * two tables of functions and calls it when something happens.
 *
 * Two threads call in:
 *   display thread  owns the screen and its GL context (QEMU: main loop, BQL
 *                   held). helix_shim_display_*.
 *   io thread       owns the sockets (QEMU: an IOThread). helix_shim_io_* and
 *                   the callbacks given to helix_loop_ops.watch.
 * They share one lock that is held for a few loads and stores only: never
 * across a system call, an allocation of frame size or a copy of pixels. The
 * io thread never touches pixels. The display thread sends a FRAME itself if
 * the io thread does not deal with that client right now and nothing waits for
 * its socket: it never waits for either (helix-shim-outbox.h). All else that
 * has to do with sockets is the io thread's.
 *
 * Frames are pulled by credit: a slot the client released. Without one, damage
 * accumulates; when one comes back wake_display is called and the newest state
 * is read.
 */
#ifndef HELIX_SHIM_H
#define HELIX_SHIM_H

#include <stdbool.h>
#include <stdint.h>

#include "helix-histogram.h"
#include "helix-protocol.h"
#include "helix-unix-listener.h"

struct helix_shim;

/* What a scanout shows, or what a resource is. Rows count from the top, the
 * first that read () delivers. */
struct helix_surface {
  uint32_t resource_id;   /* 0 = nothing: the scanout is off */
  struct helix_rect rect; /* shown part, pixels from the resource's top left */
  uint32_t fourcc;        /* enum helix_fourcc */
};

enum helix_log_level {
  HELIX_LOG_ERROR,
  HELIX_LOG_WARN,
  HELIX_LOG_NOTICE, /* no fault, but the operator shall know */
  HELIX_LOG_INFO,
};

/* Pixels of a surface that are to be copied. The core owns it. */
struct helix_readback {
  struct helix_surface surface;
  struct helix_rect box[HELIX_MAX_RECTS]; /* pixels of the resource */
  uint32_t boxes;                         /* 1.. */
  uint8_t *dst;    /* where the top left pixel of surface.rect goes */
  uint32_t stride; /* bytes a row of dst */
  /* 0. Of one that is PENDING: the owner adds for how long, in ns, it held the
   * display thread up meanwhile, outside of the core's functions. */
  uint64_t held_ns;
};
/* Where the top left pixel of box[i] goes. */
static inline uint8_t *
helix_readback_dst (const struct helix_readback *readback, uint32_t i)
{
  const struct helix_rect *box = &readback->box[i];
  const struct helix_rect *shown = &readback->surface.rect;

  return readback->dst + (size_t) (box->y - shown->y) * readback->stride
      + (size_t) (box->x - shown->x) * 4;
}

enum helix_read {
  HELIX_READ_DONE,    /* the pixels are in dst */
  HELIX_READ_FAILED,  /* *why = a static sentence */
  HELIX_READ_PENDING, /* helix_shim_display_read_done () tells later */
};

/* The screen's side. `opaque` as given to helix_shim_new. */
struct helix_display_ops {
  /* Whether the calling thread may call read () and resource () now: in QEMU
   * the block layer runs callbacks of the main loop on other threads, where
   * there is no GL context. false: what is due stays due, and wake_display is
   * called. NULL = always. Whichever thread calls helix_shim_display_*. */
  bool (*may_read) (void *opaque);
  /* Copy all boxes of `readback`, as they are now, to its dst: 4 bytes a pixel
   * in the surface's fourcc. One that is PENDING stays as it is, and its dst
   * may be written by any thread, until helix_shim_display_read_done. There
   * is one of a surface at a time. Display thread. */
  enum helix_read (*read) (
      void *opaque, struct helix_readback *readback, const char **why);
  /* Whole size and format of a resource, for subscriptions by resource id.
   * false: no such resource. Display thread. */
  bool (*resource) (
      void *opaque, uint32_t resource_id, struct helix_surface *surface);
  /* Asks the guest to switch a scanout on (at that size) or off, as a monitor
   * that is plugged in or out. What comes of it is told by display_scanout,
   * before it returns or later. NULL, or false: cannot be done; *why = a
   * static sentence. Display thread, inside of helix_shim_display_run. */
  bool (*set_scanout) (
      void *opaque, const struct helix_set_scanout *set, const char **why);
  /* One line, no newline, for the operator. Any thread; must not block. */
  void (*log) (void *opaque, enum helix_log_level level, const char *line);
};

/* The loops' side. Deadlines are helix_now_ns () times, HELIX_NONE64 = off. */
struct helix_loop_ops {
  /* Io thread: call readable/writable (opaque) while fd is so; NULL = not
   * wanted; both NULL = forget fd. Replaces the watch before. */
  void (*watch) (void *loop, int fd, void (*readable) (void *opaque),
      void (*writable) (void *opaque), void *opaque);
  /* Io thread: call helix_shim_io_run () at the deadline. */
  void (*io_timer) (void *loop, uint64_t deadline_ns);
  /* Any thread: call helix_shim_io_run () on the io thread, soon. */
  void (*wake_io) (void *loop);
  /* Any thread: call helix_shim_display_run () on the display thread, soon. */
  void (*wake_display) (void *loop);
  /* Display thread: call helix_shim_display_run () at the deadline, where
   * may_read () says true. The same holds for wake_display. */
  void (*display_timer) (void *loop, uint64_t deadline_ns);
};

/* Access to the socket: the file system lets a peer reach it, and then the
 * peer's user has to be the shim's own, root, or one of `allow`. */
#define HELIX_MAX_ALLOWED 32u
struct helix_access {
  struct helix_unix_access socket;
  uid_t allow[HELIX_MAX_ALLOWED];
  uint32_t allowed; /* of them */
};

struct helix_shim_config {
  const char *path;      /* socket path; relative to the working directory */
  const char *name;      /* program, version and VM, for WELCOME and messages */
  uint32_t scanouts;     /* 1..HELIX_MAX_SCANOUTS */
  uint16_t scanout_mask; /* bit i: scanout i may be watched */
  uint32_t slots;        /* default per subscription, 2..HELIX_MAX_SLOTS */
  uint32_t max_clients;  /* 1.. */
  /* A picture of more pixels than this one is not exported, whatever its
   * shape: the guest chooses sizes, and each client's slots have them. 0x0 =
   * HELIX_DEFAULT_MAX_WIDTH x HELIX_DEFAULT_MAX_HEIGHT. */
  uint32_t max_width, max_height;
  struct helix_access access;
  uint64_t max_memory; /* bytes of all slots; 0 = HELIX_DEFAULT_MAX_MEMORY */
};

/* 8K, that of television and that of cinema: 135 MiB. */
#define HELIX_DEFAULT_MAX_WIDTH 8192u
#define HELIX_DEFAULT_MAX_HEIGHT 4320u
/* Slots of all clients, however many (max-clients) and whatever their guest
 * does: ten watchers of 8K, forty of 4K. */
#define HELIX_DEFAULT_MAX_MEMORY (4ull << 30)

/* Counters since start, for `info`/stats and tests. */
struct helix_shim_stats {
  uint64_t clients, subscriptions;  /* now */
  uint64_t readbacks_pending;       /* now */
  uint64_t accepted, refused, lost; /* connections */
  uint64_t flushes;                 /* that concerned a subscription */
  uint64_t readbacks, readback_bytes, readback_ns, readback_max_ns;
  uint64_t copies, copy_bytes; /* slot to slot, for further subscribers */
  uint64_t frames;             /* sent */
  /* Flushes that had to wait for a slot, or for max-framerate. One that only
   * waits for a readback which is pending is in neither. */
  uint64_t no_credit, paced;
  uint64_t read_errors;
  uint64_t cursors;      /* CURSORs sent */
  uint64_t shows;        /* SHOWs applied */
  uint64_t set_scanouts; /* SET_SCANOUTs passed on to the guest */
  /* Calls of helix_shim_display_* that completed a readback: for how long it
   * stalled the display thread, all in all. That is the call and, of one that
   * was PENDING, what went before: the call that began it, and held_ns. */
  struct helix_histogram stalls;
};

/* Any thread. Neither listens nor starts anything yet. Ops and strings are
 * copied shallowly / deeply respectively. */
struct helix_shim *helix_shim_new (const struct helix_shim_config *config,
    const struct helix_display_ops *display, void *display_opaque,
    const struct helix_loop_ops *loop, void *loop_opaque);

/* Before the io thread runs, or on it. Takes the lock file `path`.lock,
 * proves that no server listens on `path`, removes what a dead server left
 * there, binds, listens, and connects to itself once as proof.
 * false: *error = which step, which path, why, what to do (free with free),
 * errno = of what kind (helix-unix-listener.h). */
bool helix_shim_listen (struct helix_shim *shim, char **error);
/* Likewise, and gives all of it back: whether listen would succeed now. With
 * `taken_is_fine` another server at the path is no failure: it will have gone
 * by the time that counts. */
bool helix_shim_try (struct helix_shim *shim, bool taken_is_fine, char **error);
/* Any thread. Whether the VM that this shim serves runs here, not in another
 * process that it migrated to or has yet to come from. If not, clients are
 * sent away and the path is left to others; if so, the io thread listens,
 * trying again for as long as that fails (every HELIX_LISTEN_AGAIN_NS), and
 * tells it. */
void helix_shim_serve (struct helix_shim *shim, bool on);
#define HELIX_LISTEN_AGAIN_NS 200000000u /* ns */

/* Io thread: timers and wake-ups end here. */
void helix_shim_io_run (struct helix_shim *shim);
/* Io thread: says BYE, closes every connection and the listener, unlinks the
 * socket if it is still ours. */
void helix_shim_io_stop (struct helix_shim *shim);

/* Display thread. */
void helix_shim_display_run (struct helix_shim *shim);
/* A scanout shows something else now, or nothing. */
void helix_shim_display_scanout (struct helix_shim *shim, uint32_t scanout,
    const struct helix_surface *surface);
/* What a cursor looks like. */
struct helix_cursor_shape {
  uint32_t width, height; /* pixels, 1..HELIX_MAX_CURSOR */
  uint32_t hot_x, hot_y;  /* pixels from the top left */
  const uint8_t *pixels;  /* B G R A, premultiplied, width * 4 bytes a row */
};
/* The cursor plane of a scanout, with or without subscriptions: later ones are
 * told of it. x, y: pixels, where the image's top left is, perhaps
 * outside of the screen. `shape`: what it looks like from now on; NULL = as
 * before. Its pixels are copied. Does not trigger a readback or a FRAME. */
void helix_shim_display_cursor (struct helix_shim *shim, uint32_t scanout,
    bool visible, int32_t x, int32_t y, const struct helix_cursor_shape *shape);
/* Pixels of `rect` (of the resource) changed. If a subscription shows them,
 * read () is called before it returns. */
void helix_shim_display_flush (struct helix_shim *shim, uint32_t resource_id,
    const struct helix_rect *rect);
/* A readback that was PENDING is complete; `why` NULL = its pixels are in dst,
 * else a static sentence. Exactly once for each, at any time after read ()
 * returned, whatever happened meanwhile: the client, the mode or the resource
 * may be gone; but not inside of read () or resource (). Afterwards neither
 * `readback` nor its dst may be touched. Serves what waited for it.
 * A readback that fails because its resource goes is best completed behind
 * helix_shim_display_unref: it is then no failure to be told. */
void helix_shim_display_read_done (
    struct helix_shim *shim, struct helix_readback *readback, const char *why);
/* The resource is about to go away: read () is not called for it again. What
 * SHOW had put in its place shows nothing until the next SHOW. */
void helix_shim_display_unref (struct helix_shim *shim, uint32_t resource_id);
/* Device reset: no scanout shows anything, no resource exists. */
void helix_shim_display_reset (struct helix_shim *shim);

/* Any thread. */
void helix_shim_get_stats (
    struct helix_shim *shim, struct helix_shim_stats *stats);
/* The counters, "name=value name-of-two=value ...", or with `json` the members
 * of an object: "name": value, "name_of_two": value. Times in ns. Returns:
 * free with g_free. */
char *helix_shim_stats_text (struct helix_shim *shim, bool json);
/* True when there is no subscription: one relaxed load, so that a flush costs
 * nothing then. */
bool helix_shim_idle (struct helix_shim *shim);

/* After io_stop, with no other thread inside and no readback pending. */
void helix_shim_free (struct helix_shim *shim);

#endif /* HELIX_SHIM_H */
