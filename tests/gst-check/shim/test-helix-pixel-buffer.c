/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading textures by pixel buffers (qemu-shim/qemu), on an OpenGL that is a
 * few arrays: the bytes, that OpenGL's state is given back, that nothing waits
 * for the GPU, and that each readback is told of exactly once, whatever
 * happens meanwhile.
 */
#include <gst/check/gstcheck.h>

#include "fake-qemu.h"
#include "helix-glue.h"

#define W 160u
#define H 128u /* so that a whole picture is left to the copier */
#define TEXTURE 5u
#define ID 7u
#define MS 1000000

struct FakeSync {
  bool passed;
};

typedef struct Buffer {
  GLuint name; /* 0 = none */
  guint8 *data;
  ptrdiff_t size;
  bool mapped;
  struct FakeSync *sync; /* behind what was read into it */
} Buffer;

static struct {
  HelixExport export;
  VirtIOGPUGL gl;
  struct helix_readback readback[HELIX_MAX_SCANOUTS + 1];
  guint8 out[HELIX_MAX_SCANOUTS + 1][H][W][4];
  HelixTexture texture;
  guint8 pixels[H][W][4]; /* of the texture, R G B A, first row first */
  /* QEMU */
  bool ready, pending_reset, refuse;
  gint64 now, deadline; /* 0 = no timer */
  void (*timer) (void *opaque);
  void (*bh) (void *opaque);
  void *opaque;
  pthread_mutex_t lock;
  pthread_cond_t scheduled_cond;
  bool scheduled;
  guint logs;
  /* what the core was told */
  guint done[HELIX_MAX_SCANOUTS + 1];
  const char *why[HELIX_MAX_SCANOUTS + 1];
  int again; /* the readback that the core begins when it is told, or -1 */
  /* OpenGL */
  bool in_context, desktop, bgra;
  int version;
  const char *renderer;
  GLint state[6];
  Buffer buffer[HELIX_MAX_SCANOUTS];
  GLuint names, framebuffer, attached;
  bool bound_framebuffer;
  guint syncs, error;
  gint64 look_ns, map_ns; /* so long it takes */
  /* what goes wrong there */
  GLenum status;     /* of the framebuffer */
  guint read_error;  /* of glReadPixels */
  bool no_map;       /* glMapBufferRange returns NULL */
  GLenum sync_state; /* what glClientWaitSync returns; 0 = as it is */
  bool gpu_done;     /* fences have passed as soon as they are made */
} t;

/* In the order of t.state. */
static const GLenum state_names[] = {GL_READ_FRAMEBUFFER_BINDING,
    GL_PIXEL_PACK_BUFFER_BINDING, GL_PACK_ALIGNMENT, GL_PACK_ROW_LENGTH,
    GL_PACK_SKIP_ROWS, GL_PACK_SKIP_PIXELS};
/* The renderer's: odd, so that leaving it changed is seen. */
static const GLint state_theirs[] = {77, 0, 8, 12, 3, 4};

/* ---- QEMU ---- */

AioContext *
iohandler_get_aio_context (void)
{
  return NULL;
}

QEMUBH *
aio_bh_new (AioContext *ctx, void (*run) (void *opaque), void *opaque)
{
  t.bh = run;
  t.opaque = opaque;
  return (QEMUBH *) &t.bh;
}

void
qemu_bh_schedule (QEMUBH *bh)
{
  pthread_mutex_lock (&t.lock);
  t.scheduled = true;
  pthread_cond_signal (&t.scheduled_cond);
  pthread_mutex_unlock (&t.lock);
}

QEMUTimer *
timer_new_ns (QEMUClockType clock, void (*run) (void *opaque), void *opaque)
{
  t.timer = run;
  return (QEMUTimer *) &t.timer;
}

void
timer_mod_ns (QEMUTimer *timer, int64_t deadline)
{
  t.deadline = deadline;
}

void
timer_del (QEMUTimer *timer)
{
  t.deadline = 0;
}

int64_t
qemu_clock_get_ns (QEMUClockType clock)
{
  return t.now;
}

void
helix_loop_entered (HelixExport *export)
{
}

void
helix_loop_log (void *export, enum helix_log_level level, const char *line)
{
  t.logs++;
}

/* ---- the renderer ---- */

bool
helix_virgl_ready (HelixExport *export)
{
  return t.ready;
}

bool
helix_virgl_reset_pending (HelixExport *export)
{
  return t.pending_reset;
}

bool
helix_virgl_texture (
    HelixExport *export, uint32_t resource_id, HelixTexture *texture)
{
  *texture = t.texture;
  return t.ready && resource_id >= ID;
}

bool
helix_virgl_enter (HelixExport *export)
{
  t.in_context = !t.refuse;
  return t.in_context;
}

bool
helix_virgl_failed (void)
{
  t.error = 0;
  return false;
}

/* ---- OpenGL ---- */

static GLint *
state (GLenum name)
{
  if (!t.in_context)
    fail ("no context: libepoxy aborts QEMU here");
  for (guint i = 0; i < G_N_ELEMENTS (state_names); i++)
    if (state_names[i] == name)
      return &t.state[i];
  fail ("state that is not given back: 0x%x", name);
  return NULL;
}

static Buffer *
find_buffer (GLuint name)
{
  for (guint i = 0; i < G_N_ELEMENTS (t.buffer); i++)
    if (t.buffer[i].name == name)
      return &t.buffer[i];
  fail ("buffer %u is not ours", name);
  return NULL;
}

static Buffer *
bound_buffer (void)
{
  return find_buffer ((GLuint) *state (GL_PIXEL_PACK_BUFFER_BINDING));
}

bool
epoxy_is_desktop_gl (void)
{
  return t.desktop;
}

int
epoxy_gl_version (void)
{
  return t.version;
}

bool
epoxy_has_gl_extension (const char *name)
{
  if (strcmp (name, "GL_EXT_read_format_bgra") == 0)
    return t.bgra;
  return false;
}

const unsigned char *
glGetString (unsigned name)
{
  fail_unless_equals_int (name, GL_RENDERER);
  return (const unsigned char *) t.renderer;
}

unsigned
glGetError (void)
{
  guint error = t.error;

  t.error = 0;
  return error;
}

void
glGetIntegerv (GLenum name, GLint *value)
{
  *value = *state (name);
}

void
glPixelStorei (GLenum name, GLint value)
{
  *state (name) = value;
}

void
glGenFramebuffers (GLsizei n, GLuint *names)
{
  fail_unless (t.framebuffer == 0);
  t.framebuffer = *names = ++t.names;
}

void
glDeleteFramebuffers (GLsizei n, const GLuint *names)
{
  fail_unless (*names == t.framebuffer);
  t.framebuffer = 0;
}

void
glBindFramebuffer (GLenum target, GLuint name)
{
  fail_unless_equals_int (target, GL_READ_FRAMEBUFFER);
  fail_unless (name == t.framebuffer || name == (GLuint) state_theirs[0]);
  *state (GL_READ_FRAMEBUFFER_BINDING) = (GLint) name;
}

void
glFramebufferTexture2D (
    GLenum target, GLenum attachment, GLenum type, GLuint texture, GLint level)
{
  fail_unless (*state (GL_READ_FRAMEBUFFER_BINDING) == (GLint) t.framebuffer);
  t.attached = texture;
}

GLenum
glCheckFramebufferStatus (GLenum target)
{
  return t.status;
}

void
glGenBuffers (GLsizei n, GLuint *names)
{
  Buffer *buffer = find_buffer (0);

  *buffer = (Buffer){.name = ++t.names};
  *names = buffer->name;
}

static void
free_buffer (Buffer *buffer)
{
  g_free (buffer->data);
  memset (buffer, 0, sizeof *buffer);
}

void
glDeleteBuffers (GLsizei n, const GLuint *names)
{
  free_buffer (find_buffer (*names));
}

void
glBindBuffer (GLenum target, GLuint name)
{
  fail_unless (name == 0 || find_buffer (name)->name == name);
  *state (GL_PIXEL_PACK_BUFFER_BINDING) = (GLint) name;
}

void
glBufferData (GLenum target, ptrdiff_t size, const void *data, GLenum usage)
{
  Buffer *buffer = bound_buffer ();

  fail_if (buffer->mapped);
  g_free (buffer->data);
  buffer->data = g_malloc (size);
  buffer->size = size;
}

void *
glMapBufferRange (
    GLenum target, ptrdiff_t offset, ptrdiff_t size, GLbitfield access)
{
  Buffer *buffer = bound_buffer ();

  /* The map would wait for the GPU. */
  fail_unless (buffer->sync == NULL || buffer->sync->passed);
  fail_unless (offset == 0 && size > 0 && size <= buffer->size);
  t.now += t.map_ns;
  if (t.no_map)
    return NULL;
  buffer->mapped = true;
  return buffer->data;
}

unsigned char
glUnmapBuffer (GLenum target)
{
  fail_unless (bound_buffer ()->mapped);
  bound_buffer ()->mapped = false;
  return 1;
}

void
glReadPixels (GLint x, GLint y, GLsizei width, GLsizei height, GLenum format,
    GLenum type, void *pixels)
{
  Buffer *buffer = bound_buffer ();
  gsize at = (gsize) pixels;

  fail_unless (t.attached == TEXTURE);
  fail_unless (
      t.desktop || (type == GL_UNSIGNED_BYTE && (format == GL_RGBA || t.bgra)));
  fail_unless_equals_int (*state (GL_PACK_ALIGNMENT), 4);
  fail_unless_equals_int (*state (GL_PACK_ROW_LENGTH), 0);
  fail_if (buffer->mapped);
  fail_unless ((ptrdiff_t) at + width * height * 4 <= buffer->size);
  fail_unless (x + width <= (GLint) W && y + height <= (GLint) H);
  t.error = t.read_error;
  for (GLint row = y; row < y + height; row++)
    for (GLint column = x; column < x + width; column++, at += 4) {
      const guint8 *rgba = t.pixels[row][column];
      guint32 word;
      guint8 p[4] = {rgba[0], rgba[1], rgba[2], rgba[3]};

      if (format == GL_BGRA) {
        p[0] = rgba[2];
        p[2] = rgba[0];
      }
      if (type == GL_UNSIGNED_INT_8_8_8_8) {
        word = (guint32) p[0] << 24 | (guint32) p[1] << 16 | (guint32) p[2] << 8
            | p[3];
        memcpy (buffer->data + at, &word, 4);
      } else {
        memcpy (buffer->data + at, p, 4);
      }
    }
}

GLsync
glFenceSync (GLenum condition, GLbitfield flags)
{
  GLsync sync = g_new0 (struct FakeSync, 1);

  sync->passed = t.gpu_done;
  bound_buffer ()->sync = sync;
  t.syncs++;
  return sync;
}

GLenum
glClientWaitSync (GLsync sync, GLbitfield flags, uint64_t timeout)
{
  fail_unless (timeout == 0, "nothing may wait for the GPU");
  fail_unless (t.in_context);
  t.now += t.look_ns;
  sync->passed |= t.gpu_done;
  if (t.sync_state)
    return t.sync_state;
  return sync->passed ? GL_ALREADY_SIGNALED : GL_TIMEOUT_EXPIRED;
}

void
glDeleteSync (GLsync sync)
{
  fail_unless (t.in_context);
  for (guint i = 0; i < G_N_ELEMENTS (t.buffer); i++)
    if (t.buffer[i].sync == sync)
      t.buffer[i].sync = NULL;
  t.syncs--;
  g_free (sync);
}

void
glFlush (void)
{
}

/* ---- the core ---- */

static bool begin (guint i);

void
helix_shim_display_read_done (
    struct helix_shim *shim, struct helix_readback *readback, const char *why)
{
  guint i = (guint) (readback - t.readback);
  int again = t.again;

  fail_unless (i < G_N_ELEMENTS (t.readback));
  t.done[i]++;
  t.why[i] = why;
  t.again = -1;
  if (again >= 0)
    fail_unless (begin ((guint) again));
}

/* Of the whole picture, unless the test has set its boxes. */
static bool
begin (guint i)
{
  struct helix_readback *readback = &t.readback[i];
  bool good;

  readback->surface.resource_id = ID + i;
  readback->surface.fourcc = t.texture.fourcc;
  if (readback->surface.rect.width == 0)
    readback->surface.rect = (struct helix_rect){0, 0, W, H};
  if (readback->boxes == 0) {
    readback->boxes = 1;
    readback->box[0] = readback->surface.rect;
  }
  readback->dst = t.out[i][0][0];
  readback->stride = W * 4;
  t.in_context = false;
  good = helix_pixels_read (&t.export, readback);
  /* What the renderer and QEMU believe of the context is true again. */
  fail_unless (memcmp (t.state, state_theirs, sizeof t.state) == 0);
  fail_unless_equals_int (t.attached, 0);
  fail_unless_equals_int (t.error, 0);
  return good;
}

/* ---- the main loop ---- */

static void
look (void)
{
  fail_unless (t.deadline != 0);
  fail_unless (t.deadline > t.now);
  t.now = t.deadline;
  t.deadline = 0;
  t.in_context = false;
  t.timer (t.opaque);
  fail_unless (memcmp (t.state, state_theirs, sizeof t.state) == 0);
}

static void
run_bh (void)
{
  pthread_mutex_lock (&t.lock);
  while (!t.scheduled)
    pthread_cond_wait (&t.scheduled_cond, &t.lock);
  t.scheduled = false;
  pthread_mutex_unlock (&t.lock);
  t.in_context = false;
  t.bh (t.opaque);
}

static void
finish (guint i)
{
  guint before = t.done[i];

  t.gpu_done = true;
  look ();
  while (t.done[i] == before)
    run_bh ();
  fail_unless_equals_int (t.done[i], before + 1);
}

/* They are never freed, as in QEMU; to a leak checker they are in use. */
static GSList *kept;

static void
setup (void)
{
  memset (&t, 0, sizeof t);
  pthread_mutex_init (&t.lock, NULL);
  pthread_cond_init (&t.scheduled_cond, NULL);
  t.ready = t.desktop = t.bgra = true;
  t.version = 45;
  t.renderer = "A GPU";
  t.status = GL_FRAMEBUFFER_COMPLETE;
  t.now = 1000 * MS;
  t.again = -1;
  memcpy (t.state, state_theirs, sizeof t.state);
  t.texture = (HelixTexture){TEXTURE, W, H, 1, HELIX_FOURCC_BGRX, false};
  for (guint i = 0, noise = 1; i < sizeof t.pixels; i++) {
    noise = noise * 1664525 + 1013904223;
    ((guint8 *) t.pixels)[i] = (guint8) (noise >> 24);
  }
  t.export.gpu = &t.gl.parent_obj;
  t.export.gl = true;
  helix_pixels_init (&t.export);
  kept = g_slist_prepend (kept, t.export.pixels);
}

static void
teardown (void)
{
  helix_pixels_stop (&t.export);
  for (guint i = 0; i < G_N_ELEMENTS (t.buffer); i++) {
    g_free (t.buffer[i].sync);
    free_buffer (&t.buffer[i]);
  }
}

/* As the guest's format has it: which byte of a pixel is R, G, B, A. */
static const struct {
  guint32 fourcc;
  guint8 at[4];
  bool es; /* OpenGL ES reads it */
} formats[] = {
    {HELIX_FOURCC_BGRX, {2, 1, 0, 3}, true},
    {HELIX_FOURCC_BGRA, {2, 1, 0, 3}, true},
    {HELIX_FOURCC_RGBX, {0, 1, 2, 3}, true},
    {HELIX_FOURCC_RGBA, {0, 1, 2, 3}, true},
    {HELIX_FOURCC_XRGB, {1, 2, 3, 0}, false},
    {HELIX_FOURCC_ARGB, {1, 2, 3, 0}, false},
    {HELIX_FOURCC_XBGR, {3, 2, 1, 0}, false},
    {HELIX_FOURCC_ABGR, {3, 2, 1, 0}, false},
};

static void
check_box (guint i, const guint8 *at, const struct helix_rect *box)
{
  guint wrong = 0;

  for (guint y = box->y; y < box->y + box->height; y++)
    for (guint x = box->x; x < box->x + box->width; x++) {
      guint row = t.texture.upside_down ? H - 1 - y : y;

      for (guint c = 0; c < 4; c++)
        wrong += t.out[i][y][x][at[c]] != t.pixels[row][x][c];
    }
  fail_unless_equals_int (wrong, 0);
}

/* Each format, on each kind of OpenGL, either way up; boxes and all of it. */
GST_START_TEST (test_formats)
{
  static const struct helix_rect boxes[] = {
      {3, 1, 5, 2}, {W - 1, H - 1, 1, 1}, {0, 40, W, 30}};
  guint8 before[H][W][4];

  for (guint n = 0; n < 6 * G_N_ELEMENTS (formats); n++) {
    guint f = n / 6, es = n % 3;

    teardown ();
    setup ();
    t.desktop = es == 0;
    t.bgra = es == 1;
    t.version = t.desktop ? 33 : 30;
    t.texture.upside_down = n % 2;
    t.texture.fourcc = formats[f].fourcc;
    if (!t.desktop && !formats[f].es) {
      fail_if (begin (0));
      fail_unless_equals_int (t.logs, 0);
      continue;
    }
    fail_unless (begin (0));
    finish (0);
    fail_unless (t.why[0] == NULL);
    check_box (0, formats[f].at, &t.readback[0].box[0]);
    /* Others follow, and nothing around the boxes is touched. */
    memcpy (before, t.out[0], sizeof before);
    for (guint i = 0; i < sizeof t.pixels; i++)
      ((guint8 *) t.pixels)[i] ^= 0xff;
    memcpy (t.readback[0].box, boxes, sizeof boxes);
    t.readback[0].boxes = G_N_ELEMENTS (boxes);
    fail_unless (begin (0));
    finish (0);
    for (guint i = 0; i < G_N_ELEMENTS (boxes); i++) {
      check_box (0, formats[f].at, &boxes[i]);
      for (guint y = boxes[i].y; y < boxes[i].y + boxes[i].height; y++)
        memcpy (
            t.out[0][y][boxes[i].x], before[y][boxes[i].x], boxes[i].width * 4);
    }
    fail_unless (memcmp (before, t.out[0], sizeof before) == 0);
  }
}

GST_END_TEST;

/* A scanout of a few pixels of a texture that is as large as it likes. */
GST_START_TEST (test_room)
{
  t.readback[0].surface.rect = (struct helix_rect){16, 32, 20, 10};
  t.readback[0].boxes = 1;
  t.readback[0].box[0] = (struct helix_rect){20, 40, 1, 2};
  fail_unless (begin (0));
  fail_unless_equals_int (t.buffer[0].size, 20 * 10 * 4);
  finish (0);
  /* The whole of it finds room there. */
  t.readback[0].box[0] = t.readback[0].surface.rect;
  fail_unless (begin (0));
  fail_unless_equals_int (t.buffer[0].size, 20 * 10 * 4);
  finish (0);
  fail_unless (t.why[0] == NULL);
}

GST_END_TEST;

/* A few pixels take no thread; looks become rarer. */
GST_START_TEST (test_looks)
{
  gint64 begun = t.now, before;
  guint looks = 0;

  t.readback[0].boxes = 1;
  t.readback[0].box[0] = (struct helix_rect){0, 0, 16, 16};
  fail_unless (begin (0));
  while (t.now < begun + 100 * MS) {
    before = t.now;
    look ();
    looks++;
    fail_unless (t.now - before <= MAX (MS / 4, (before - begun) / 8));
  }
  fail_unless (looks < 60);
  fail_unless_equals_int (t.done[0], 0);
  t.gpu_done = true;
  look ();
  fail_unless_equals_int (t.done[0], 1);
  fail_unless (t.deadline == 0);
  fail_if (t.scheduled);
  check_box (0, formats[0].at, &t.readback[0].box[0]);
}

GST_END_TEST;

/* The core is told what the looks and the map took of the main loop. */
GST_START_TEST (test_held)
{
  t.look_ns = 3;
  t.map_ns = 1000;
  fail_unless (begin (0));
  fail_unless (begin (1));
  look ();
  look ();
  finish (0);
  while (t.done[1] == 0)
    run_bh ();
  for (guint i = 0; i < 2; i++)
    fail_unless_equals_uint64 (t.readback[i].held_ns, 3 * 3 + 1000);
}

GST_END_TEST;

/* The GPU has not drawn for that long. */
static void
read_slowly (gint64 ms)
{
  gint64 begun = t.now;

  t.gpu_done = false;
  fail_unless (begin (0));
  while (t.now < begun + ms * MS)
    look ();
  finish (0);
}

/* What is learnt of the last reads is how long the GPU was seen to draw, not
 * how late the main loop came to look. */
GST_START_TEST (test_late_looks)
{
  for (guint i = 0; i < 20; i++) {
    fail_unless (begin (0));
    t.deadline += 50 * MS;
    finish (0);
  }
  fail_unless (begin (0));
  fail_unless (t.deadline - t.now < MS);
  finish (0);
  for (guint i = 0; i < 20; i++)
    read_slowly (2);
  fail_unless (begin (0));
  fail_unless (t.deadline - t.now > MS);
  finish (0);
  /* One that takes very long tells nothing of those that follow. */
  for (guint i = 0; i < 20; i++) {
    fail_unless (begin (0));
    finish (0);
  }
  read_slowly (5000);
  fail_unless (begin (0));
  fail_unless (t.deadline - t.now < 2 * MS);
  finish (0);
}

GST_END_TEST;

/* The core reads again when it is told; more surfaces than there are jobs. */
GST_START_TEST (test_many)
{
  for (guint i = 0; i < HELIX_MAX_SCANOUTS; i++)
    fail_unless (begin (i));
  fail_if (begin (HELIX_MAX_SCANOUTS));
  t.again = HELIX_MAX_SCANOUTS;
  t.gpu_done = true;
  look ();
  while (t.done[0] == 0 || t.deadline == 0)
    run_bh ();
  look ();
  for (guint i = 0; i <= HELIX_MAX_SCANOUTS; i++) {
    while (t.done[i] == 0)
      run_bh ();
    fail_unless (t.why[i] == NULL);
    check_box (i, formats[0].at, &t.readback[i].box[0]);
  }
  for (guint i = 0; i <= HELIX_MAX_SCANOUTS; i++)
    fail_unless_equals_int (t.done[i], 1);
  fail_unless_equals_int (t.syncs, 0);
}

GST_END_TEST;

/* Which thread resets the device, and what comes before the renderer is reset,
 * which it is at the guest's next command. */
enum reset {
  ON_MAIN_LOOP,
  ON_VCPU,    /* waits meanwhile, and the main loop runs */
  AT_COMMAND, /* likewise; then the command comes before the bottom half */
  UNSEEN,     /* likewise, on a way that is not ours to see */
  RESETS,
};

static void
reset (enum reset kind)
{
  t.in_context = false; /* on any thread */
  helix_pixels_forget_all (&t.export);
  if (kind != ON_MAIN_LOOP) {
    run_bh ();
    fail_unless (begin (2)); /* of a command that was still queued */
  }
  t.ready = false;
  t.pending_reset = true;
  t.in_context = false;
  helix_pixels_forget_all (&t.export);
  if (kind < AT_COMMAND)
    run_bh ();
  if (kind != UNSEEN) {
    helix_pixels_settle (&t.export);
    /* They would outlive the renderer's contexts: displays share them. */
    for (guint i = 0; i < G_N_ELEMENTS (t.buffer); i++)
      fail_unless (t.buffer[i].name == 0);
    fail_unless_equals_int (t.syncs, 0);
  }
  /* The names of what is left may belong to other objects now. */
  for (guint i = 0; i < G_N_ELEMENTS (t.buffer); i++) {
    g_clear_pointer (&t.buffer[i].sync, g_free);
    free_buffer (&t.buffer[i]);
  }
  t.syncs = 0;
  t.framebuffer = 0;
  t.ready = true;
  t.pending_reset = false;
  if (kind >= AT_COMMAND)
    run_bh ();
  fail_unless_equals_int (t.done[2], kind != ON_MAIN_LOOP);
  fail_unless (kind == ON_MAIN_LOOP || t.why[2] != NULL);
}

GST_START_TEST (test_reset)
{
  for (guint n = 0; n < 3 * RESETS; n++) {
    guint phase = n / RESETS;
    guint told;

    teardown ();
    setup ();
    /* One that was there before, whose buffer stays mapped. */
    fail_unless (begin (1));
    finish (1);
    t.gpu_done = false;
    fail_unless (begin (0));
    fail_unless (begin (1));
    t.gpu_done = phase > 0;
    if (phase > 0)
      look ();
    while (phase > 1 && t.done[0] == 0)
      run_bh ();
    told = t.done[0] + t.done[1];
    reset (n % RESETS);
    fail_unless_equals_int (t.done[0], 1);
    fail_unless_equals_int (t.done[1], 2);
    fail_unless (told == 3 || t.why[1] != NULL);
    fail_unless_equals_int (t.logs, 0);
    /* The timer may be on its way still. */
    t.in_context = false;
    t.timer (t.opaque);
    /* The new renderer's. */
    t.gpu_done = true;
    fail_unless (begin (0));
    finish (0);
    fail_unless (t.why[0] == NULL);
    check_box (0, formats[0].at, &t.readback[0].box[0]);
  }
}

GST_END_TEST;

/* A resource that goes is read to the end: its pixels are on their way. */
GST_START_TEST (test_unref)
{
  fail_unless (begin (0));
  helix_pixels_forget (&t.export, ID);
  /* The guest may name any id. */
  helix_pixels_forget (&t.export, 0);
  fail_if (t.scheduled);
  finish (0);
  fail_unless (t.why[0] == NULL);
  check_box (0, formats[0].at, &t.readback[0].box[0]);
}

GST_END_TEST;

/* OpenGL refuses: this resource is read the other way from now on, and the log
 * says so once. */
GST_START_TEST (test_refused)
{
  const guint errors[] = {GL_OUT_OF_MEMORY, GL_INVALID_OPERATION};

  t.status = 0x8cd6; /* GL_FRAMEBUFFER_INCOMPLETE_ATTACHMENT */
  fail_if (begin (0));
  fail_unless_equals_int (t.logs, 1);
  t.status = GL_FRAMEBUFFER_COMPLETE;
  fail_if (begin (0));
  /* Another resource has its id, after UNREF. */
  helix_pixels_forget (&t.export, ID);
  fail_unless (begin (0));
  finish (0);
  for (guint i = 0; i < G_N_ELEMENTS (errors); i++) {
    t.read_error = errors[i];
    fail_if (begin (0));
    t.read_error = 0;
    fail_if (begin (0));
    fail_unless (begin (1));
    finish (1);
    helix_pixels_forget (&t.export, ID);
  }
  /* Later, when the core has been told that it comes. */
  t.no_map = true;
  fail_unless (begin (0));
  finish (0);
  fail_unless (t.why[0] != NULL);
  fail_if (begin (0));
  helix_pixels_forget (&t.export, ID);
  t.no_map = false;
  fail_unless (begin (0));
  t.sync_state = GL_WAIT_FAILED;
  finish (0);
  fail_unless (t.why[0] != NULL);
  fail_if (begin (0));
  fail_unless_equals_int (t.logs, 1);
  fail_unless_equals_int (t.syncs, 0);
  /* The resource goes before it is known: the next one with its id is read. */
  helix_pixels_forget (&t.export, ID);
  t.sync_state = 0;
  t.no_map = true;
  fail_unless (begin (0));
  helix_pixels_forget (&t.export, ID);
  finish (0);
  fail_unless (t.why[0] != NULL);
  t.no_map = false;
  fail_unless (begin (0));
  finish (0);
  fail_unless (t.why[0] == NULL);
}

GST_END_TEST;

/* A GPU that hangs, a context that is in use: the VM goes on. */
GST_START_TEST (test_hung)
{
  for (guint n = 0; n < 2; n++) {
    teardown ();
    setup ();
    fail_unless (begin (0));
    t.refuse = n == 1;
    while (t.done[0] == 0 && t.now < 20000ll * MS)
      look ();
    fail_unless_equals_int (t.done[0], 1);
    fail_unless (t.why[0] != NULL);
    fail_unless (t.now <= 11004ll * MS);
    /* It is tried again. */
    t.refuse = false;
    fail_unless (begin (0));
    finish (0);
    fail_unless (t.why[0] == NULL);
    fail_unless_equals_int (t.syncs, 0);
  }
}

GST_END_TEST;

/* What is left to the other way without a word. */
GST_START_TEST (test_unsuited)
{
  t.texture.height = 1; /* a buffer */
  fail_if (begin (0));
  t.texture.height = H - 1; /* smaller than it was */
  fail_if (begin (0));
  t.texture.height = H;
  t.texture.depth = 2;
  fail_if (begin (0));
  t.texture.depth = 1;
  t.texture.id = 0;
  fail_if (begin (0));
  t.texture.id = TEXTURE;
  t.refuse = true;
  fail_if (begin (0));
  t.refuse = false;
  t.ready = false;
  fail_if (begin (0));
  t.ready = true;
  fail_unless (begin (0));
  fail_unless_equals_int (t.logs, 0);
}

GST_END_TEST;

/* readback=sync, or a device without a renderer. */
GST_START_TEST (test_unused)
{
  for (guint i = 0; i < 2; i++) {
    t.export.pixels = NULL;
    t.export.gl = i == 0;
    t.export.readback = i == 0 ? HELIX_READBACK_SYNC : HELIX_READBACK_ASYNC;
    helix_pixels_init (&t.export);
    fail_if (begin (0));
    helix_pixels_forget (&t.export, ID);
    helix_pixels_forget_all (&t.export);
    helix_pixels_settle (&t.export);
    helix_pixels_stop (&t.export);
    fail_if (t.scheduled);
  }
}

GST_END_TEST;

/* QEMU ends, perhaps: what is being copied is there before that. */
GST_START_TEST (test_stop)
{
  fail_unless (begin (0));
  fail_unless (begin (1));
  t.gpu_done = true;
  look ();
  helix_pixels_stop (&t.export);
  fail_unless (t.scheduled);
  for (guint i = 0; i < 2; i++)
    check_box (i, formats[0].at, &t.readback[i].box[0]);
  run_bh (); /* it does not end */
  fail_unless_equals_int (t.done[0] + t.done[1], 2);
  fail_unless (t.why[0] == NULL && t.why[1] == NULL);
}

GST_END_TEST;

GST_START_TEST (test_kinds_of_opengl)
{
  static const struct {
    bool desktop;
    int version;
    const char *renderer;
    HelixReadbackWay way;
    bool good;
  } kinds[] = {
      {true, 21, "A GPU", HELIX_READBACK_ASYNC, false},
      {true, 31, "A GPU", HELIX_READBACK_AUTO, false},
      {true, 32, "A GPU", HELIX_READBACK_AUTO, true},
      {false, 20, "A GPU", HELIX_READBACK_ASYNC, false},
      {false, 30, "A GPU", HELIX_READBACK_AUTO, true},
      {true, 45, "llvmpipe (LLVM 15)", HELIX_READBACK_AUTO, false},
      {true, 45, "llvmpipe (LLVM 15)", HELIX_READBACK_ASYNC, true},
      {true, 45, NULL, HELIX_READBACK_AUTO, true},
  };

  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++) {
    teardown ();
    setup ();
    t.desktop = kinds[i].desktop;
    t.version = kinds[i].version;
    t.renderer = kinds[i].renderer;
    t.export.readback = kinds[i].way;
    fail_unless (begin (0) == kinds[i].good);
    fail_unless_equals_int (t.logs, 0);
  }
}

GST_END_TEST;

static Suite *
pixel_buffer_suite (void)
{
  Suite *suite = suite_create ("helix-pixel-buffer");
  TCase *tc = tcase_create ("pixel-buffer");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 30);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_formats);
  tcase_add_test (tc, test_room);
  tcase_add_test (tc, test_looks);
  tcase_add_test (tc, test_held);
  tcase_add_test (tc, test_late_looks);
  tcase_add_test (tc, test_many);
  tcase_add_test (tc, test_reset);
  tcase_add_test (tc, test_unref);
  tcase_add_test (tc, test_refused);
  tcase_add_test (tc, test_hung);
  tcase_add_test (tc, test_unsuited);
  tcase_add_test (tc, test_unused);
  tcase_add_test (tc, test_stop);
  tcase_add_test (tc, test_kinds_of_opengl);
  return suite;
}

GST_CHECK_MAIN (pixel_buffer);
