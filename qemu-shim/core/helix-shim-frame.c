/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Display thread. */
#include "helix-shim-frame.h"

#include <string.h>

#include "helix-platform.h"

/* After a read that failed. Some failures pass (a GL context that another
 * thread holds), some never do: a few attempts a second cost nothing. */
#define RETRY_NS 250000000u

/* A call of read (). The subscriptions that get its pixels have it in their
 * fill; it outlives them. */
struct helix_shim_readback {
  struct helix_readback request;    /* first: all that read () knows */
  struct helix_shim_memory *memory; /* that it writes; a reference */
  uint32_t slot;
  uint64_t pass_ns; /* of the pass that began it */
  uint64_t begin_ns, took_ns;
  uint64_t bytes;
};

/* ---- copies ---- */

/* Copies one box at the same place; returns its bytes. */
static uint64_t
copy_box (uint8_t *dst, const uint8_t *src, uint32_t stride,
    const pixman_box32_t *box)
{
  size_t at = (size_t) box->y1 * stride + (size_t) box->x1 * 4;
  size_t row = (size_t) (box->x2 - box->x1) * 4;
  size_t rows = (size_t) (box->y2 - box->y1);

  if (row == stride)
    memcpy (dst + at, src + at, rows * stride);
  else
    for (size_t y = 0; y < rows; y++, at += stride)
      memcpy (dst + at, src + at, row);
  return row * rows;
}

/* Copies `region` to the slot that is being filled. */
static void
copy_region (struct helix_shim_subscription *sub,
    struct helix_shim_memory *from, uint32_t slot, helix_region *region)
{
  uint8_t *dst = helix_shim_memory_pixels (sub->fill.memory, sub->fill.slot);
  const uint8_t *src = helix_shim_memory_pixels (from, slot);
  uint64_t bytes = 0;
  int n = 0;
  const pixman_box32_t *box = pixman_region32_rectangles (region, &n);

  for (int i = 0; i < n; i++)
    bytes += copy_box (dst, src, sub->surface.rect.width * 4, &box[i]);
  helix_shim_count (sub->shim, copies, 1);
  helix_shim_count (sub->shim, copy_bytes, bytes);
}

/* Copies the part of `need` that another slot has, and takes it off `need`. */
static void
copy_from_slot (struct helix_shim_subscription *sub, uint64_t *capture_ns,
    helix_region *need)
{
  uint32_t index = 0;
  struct helix_shim_memory *from =
      helix_shim_subscription_find_copy (sub, &index);
  const struct helix_shim_slot *source;
  helix_region has;

  if (!from)
    return;
  source = &from->slot[index];
  pixman_region32_init (&has);
  if (helix_region_without (&has, need, &source->stale)
      && !helix_region_empty (&has)) {
    copy_region (sub, from, index, &has);
    helix_region_shared (need, need, &source->stale);
    if (helix_region_empty (need) && source->pass_ns == sub->shim->pass_ns)
      *capture_ns = source->frame.capture_ns;
  }
  pixman_region32_fini (&has);
  helix_shim_memory_unref (from);
}

/* ---- a fill ---- */

/* What is pending moves into it; so does `memory`, a reference. */
static void
begin_fill (struct helix_shim_subscription *sub,
    struct helix_shim_memory *memory, uint32_t slot, uint64_t now)
{
  struct helix_shim_fill *fill = &sub->fill;

  fill->memory = memory;
  fill->slot = slot;
  fill->mode = sub->mode;
  fill->begin_ns = now;
  helix_region_copy (&fill->damage, &sub->pending);
  fill->pending_ns = sub->pending_ns;
  fill->capture_ns = sub->capture_ns;
  pixman_region32_clear (&sub->pending);
  sub->pending_ns = sub->capture_ns = HELIX_NONE64;
}

/* The capture time of a frame whose pixels are of `filled_ns`. SHOW told the
 * picture's own. Never before the frame before, never in the future. */
static uint64_t
capture_time (const struct helix_shim_subscription *sub, uint64_t filled_ns)
{
  uint64_t told_ns = MIN (sub->fill.capture_ns, filled_ns);

  return MAX (told_ns, sub->captured_ns);
}

static void
describe_frame (struct helix_shim_subscription *sub, uint64_t filled_ns)
{
  const struct helix_surface *surface = &sub->surface;
  const struct helix_shim_fill *fill = &sub->fill;
  struct helix_shim_slot *slot = &fill->memory->slot[fill->slot];
  struct helix_frame *frame = &slot->frame;

  memset (frame, 0, sizeof *frame);
  frame->capture_ns = capture_time (sub, filled_ns);
  frame->scanout = sub->scanout;
  frame->resource_id = surface->resource_id;
  frame->generation = sub->generation;
  frame->pool_id = fill->memory->id;
  frame->slot = fill->slot;
  frame->width = surface->rect.width;
  frame->height = surface->rect.height;
  frame->stride = frame->width * 4;
  frame->fourcc = surface->fourcc;
  frame->wait_ns =
      (uint32_t) MIN (fill->begin_ns - fill->pending_ns, UINT32_MAX);
  if (!helix_region_is_all (&fill->damage, frame->width, frame->height))
    frame->rects = helix_region_rects (&fill->damage, slot->rects);
}

/* A frame may come before its time by one interval, once: a source of the same
 * rate then never waits, whatever its phase against the first frame. If each
 * frame kept the full distance from the one before, the phase of the first
 * would hold back every other by up to an interval. */
static void
advance_pace (struct helix_shim_subscription *sub, uint64_t now)
{
  sub->due_ns = MAX (sub->due_ns + sub->interval_ns, now);
}

/* No frame came of it: what it would have told is pending again. */
static void
undo_fill (struct helix_shim_subscription *sub)
{
  struct helix_shim_fill *fill = &sub->fill;
  struct helix_rect rects[HELIX_MAX_RECTS];
  uint32_t n = helix_region_rects (&fill->damage, rects);

  for (uint32_t i = 0; i < n; i++)
    helix_region_add (&sub->pending, &rects[i]);
  sub->pending_ns = fill->pending_ns;
  if (sub->capture_ns == HELIX_NONE64)
    sub->capture_ns = fill->capture_ns;
}

/* `good`: the slot has the picture. It is dropped if the mode is another one
 * now; then all slots are stale whole, and all is pending. */
static void
end_fill (struct helix_shim_subscription *sub, bool good)
{
  struct helix_shim_fill *fill = &sub->fill;
  struct helix_shim_memory *memory = fill->memory;
  struct helix_shim_slot *slot = &memory->slot[fill->slot];
  uint64_t captured_ns = slot->frame.capture_ns;
  bool current = fill->mode == sub->mode;

  good = good && current;
  if (good) {
    /* Damage since it began is all that it lacks. */
    helix_region_copy (&slot->stale, &sub->pending);
    slot->pass_ns = sub->shim->pass_ns;
    advance_pace (sub, fill->begin_ns);
  }
  fill->readback = NULL;
  fill->memory = NULL;
  /* If larger memory came meanwhile, the frame is lost. */
  if (helix_shim_subscription_publish (sub, memory, fill->slot, good))
    sub->captured_ns = captured_ns;
  else if (current)
    undo_fill (sub);
}

/* ---- a readback ---- */

void
helix_shim_frame_tell_unreadable (
    struct helix_shim_subscription *sub, const char *why)
{
  helix_shim_subscription_fail (sub,
      (struct helix_shim_fault){
          HELIX_ERROR_READBACK, HELIX_SUBSCRIBE, 0, why, false});
}

static void
read_failed (struct helix_shim_subscription *sub, const char *why)
{
  const struct helix_surface *surface = &sub->surface;

  helix_shim_count (sub->shim, read_errors, 1);
  sub->retry_ns = helix_now_ns () + RETRY_NS;
  if (sub->unreadable_told)
    return;
  sub->unreadable_told = true;
  helix_shim_log (sub->shim, HELIX_LOG_WARN,
      "resource %u (%ux%u) cannot be read: %s. It is tried again; until then "
      "there are no frames",
      surface->resource_id, surface->rect.width, surface->rect.height, why);
  helix_shim_frame_tell_unreadable (sub, why);
}

/* A readback is complete, which fills a slot of `sub`. */
static void
take_pixels (struct helix_shim_subscription *sub,
    struct helix_shim_readback *readback, const char *why)
{
  struct helix_shim_fill *fill = &sub->fill;
  struct helix_shim_slot *slot = &fill->memory->slot[fill->slot];
  bool own = fill->memory == readback->memory && fill->slot == readback->slot;
  bool current = fill->mode == sub->mode;
  bool same =
      helix_shim_surface_same (&sub->surface, &readback->request.surface);

  if (why && current && own)
    /* Its boxes may reach beyond what was stale, and are undefined now. */
    helix_region_fill (
        &slot->stale, sub->surface.rect.width, sub->surface.rect.height);
  if (why && current && same)
    read_failed (sub, why);
  if (!why && own) {
    slot->frame.readback_ns = (uint32_t) MIN (readback->took_ns, UINT32_MAX);
    slot->frame.read_bytes = (uint32_t) MIN (readback->bytes, UINT32_MAX);
  } else if (!why && current) {
    copy_region (sub, readback->memory, readback->slot, &slot->stale);
  }
  end_fill (sub, !why);
}

static void
count_readback (
    struct helix_shim *shim, const struct helix_shim_readback *readback)
{
  uint64_t took = readback->took_ns;

  helix_shim_count (shim, readbacks, 1);
  helix_shim_count (shim, readback_bytes, readback->bytes);
  helix_shim_count (shim, readback_ns, took);
  if (took > __atomic_load_n (&shim->stats.readback_max_ns, __ATOMIC_RELAXED))
    __atomic_store_n (&shim->stats.readback_max_ns, took, __ATOMIC_RELAXED);
}

static void
end_readback (struct helix_shim *shim, struct helix_shim_readback *readback,
    const char *why)
{
  shim->pass_read = true;
  readback->took_ns = helix_now_ns () - readback->begin_ns;
  if (!why)
    count_readback (shim, readback);
  for (guint i = 0; i < shim->subscriptions->len; i++) {
    struct helix_shim_subscription *sub =
        g_ptr_array_index (shim->subscriptions, i);

    if (sub->fill.readback == readback)
      take_pixels (sub, readback, why);
  }
  helix_shim_memory_unref (readback->memory);
  g_free (readback);
}

/* Of `need` into the slot that is being filled. */
static struct helix_shim_readback *
new_readback (struct helix_shim_subscription *sub, const helix_region *need)
{
  struct helix_shim_readback *self = g_new0 (struct helix_shim_readback, 1);
  struct helix_readback *request = &self->request;
  const struct helix_shim_fill *fill = &sub->fill;

  self->memory = helix_shim_memory_ref (fill->memory);
  self->slot = fill->slot;
  self->pass_ns = sub->shim->pass_ns;
  request->surface = sub->surface;
  request->dst = helix_shim_memory_pixels (fill->memory, fill->slot);
  request->stride = sub->surface.rect.width * 4;
  request->boxes = helix_region_rects (need, request->box);
  for (uint32_t i = 0; i < request->boxes; i++) {
    struct helix_rect *box = &request->box[i];

    self->bytes += (uint64_t) box->width * box->height * 4;
    box->x += sub->surface.rect.x;
    box->y += sub->surface.rect.y;
  }
  self->begin_ns = helix_now_ns ();
  return self;
}

static void
read_screen (struct helix_shim_subscription *sub, const helix_region *need)
{
  struct helix_shim *shim = sub->shim;
  struct helix_shim_readback *readback = new_readback (sub, need);
  const char *why = "no reason given";

  sub->fill.readback = readback;
  switch (shim->display.read (shim->display_opaque, &readback->request, &why)) {
    case HELIX_READ_DONE:
      end_readback (shim, readback, NULL);
      break;
    case HELIX_READ_FAILED:
      end_readback (shim, readback, why);
      break;
    case HELIX_READ_PENDING:
      g_ptr_array_add (shim->pending, readback);
      shim->pass_began = &readback->request;
      helix_shim_count (shim, readbacks_pending, 1);
      break;
  }
}

void
helix_shim_frame_read_done (
    struct helix_shim *shim, struct helix_readback *request, const char *why)
{
  struct helix_shim_readback *readback = (struct helix_shim_readback *) request;
  bool pending = g_ptr_array_remove_fast (shim->pending, readback);

  g_return_if_fail (pending);
  helix_shim_count (shim, readbacks_pending, -1);
  shim->pass_held_ns = readback->request.held_ns;
  end_readback (shim, readback, why);
}

/* The one that is pending of what `sub` shows, or NULL. */
static struct helix_shim_readback *
find_pending (const struct helix_shim_subscription *sub)
{
  const GPtrArray *pending = sub->shim->pending;

  for (guint i = 0; i < pending->len; i++) {
    struct helix_shim_readback *readback = g_ptr_array_index (pending, i);

    if (helix_shim_surface_same (&readback->request.surface, &sub->surface))
      return readback;
  }
  return NULL;
}

/* ---- a frame ---- */

/* Fills the slot, or has it filled by a readback that is complete later. */
static void
fill (struct helix_shim_subscription *sub)
{
  struct helix_shim_slot *slot = &sub->fill.memory->slot[sub->fill.slot];
  uint64_t filled_ns = sub->fill.begin_ns;
  helix_region need;

  pixman_region32_init (&need);
  helix_region_copy (&need, &slot->stale);
  copy_from_slot (sub, &filled_ns, &need);
  describe_frame (sub, filled_ns);
  if (helix_region_empty (&need))
    end_fill (sub, true);
  else
    read_screen (sub, &need);
  pixman_region32_fini (&need);
}

/* Has the slot filled from that of the readback which began in this pass. */
static void
join (struct helix_shim_subscription *sub, struct helix_shim_readback *readback)
{
  sub->fill.readback = readback;
  describe_frame (sub, readback->memory->slot[readback->slot].frame.capture_ns);
}

uint64_t
helix_shim_frame_serve (struct helix_shim_subscription *sub, bool flushed)
{
  uint64_t again_ns = helix_shim_subscription_request_due (sub);
  struct helix_shim_readback *readback;
  struct helix_shim_memory *memory;
  uint64_t now = helix_now_ns ();
  uint32_t slot;

  /* The source is about to change: no frame of the present one. */
  if (again_ns != HELIX_NONE64)
    return again_ns;
  if (sub->surface.resource_id == 0 || sub->pending_ns == HELIX_NONE64
      || sub->fill.readback)
    return HELIX_NONE64;
  again_ns = MAX (sub->due_ns, sub->retry_ns);
  if (now < again_ns)
    return again_ns;
  readback = find_pending (sub);
  if (readback && readback->pass_ns != sub->shim->pass_ns)
    return HELIX_NONE64;
  switch (helix_shim_subscription_claim (sub, &memory, &slot)) {
    case HELIX_SHIM_CLAIM_OK:
      begin_fill (sub, memory, slot, now);
      if (readback)
        join (sub, readback);
      else
        fill (sub);
      return sub->pending_ns == HELIX_NONE64 ? HELIX_NONE64
                                             : MAX (sub->due_ns, sub->retry_ns);
    case HELIX_SHIM_CLAIM_NO_CREDIT:
      helix_shim_count (sub->shim, no_credit, flushed);
      __atomic_fetch_add (&sub->dropped, flushed, __ATOMIC_RELAXED);
      return HELIX_NONE64;
    default:
      return HELIX_NONE64;
  }
}
