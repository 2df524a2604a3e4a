/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gsthelixqemusrc-private.h"

#include "helix-stats.h"

void
gst_helix_qemu_src_note_frame (
    GstHelixQemuSrc *self, const struct helix_frame *info, guint64 pushed_ns)
{
  GstHelixQemuSrcCounters *counters = &self->counters;
  guint64 age = pushed_ns > info->capture_ns ? pushed_ns - info->capture_ns : 0;

  GST_OBJECT_LOCK (self);
  counters->frames++;
  counters->latency_ns = age;
  counters->sequence = info->sequence;
  counters->generation = info->generation;
  counters->width = info->width;
  counters->height = info->height;
  helix_histogram_add (&counters->readback, info->readback_ns);
  helix_histogram_add (&counters->wait, info->wait_ns);
  helix_histogram_add (&counters->latency, age);
  GST_OBJECT_UNLOCK (self);
}

void
gst_helix_qemu_src_note_conversion (
    GstHelixQemuSrc *self, guint64 ns, guint64 bytes)
{
  GST_OBJECT_LOCK (self);
  self->counters.copied +=
      helix_picture_is_native (&self->picture, &self->info);
  self->counters.convert_ns += ns;
  self->counters.converted += bytes;
  helix_histogram_add (&self->counters.convert, ns);
  GST_OBJECT_UNLOCK (self);
}

GstStructure *
gst_helix_qemu_src_get_stats (GstHelixQemuSrc *self)
{
  HelixFrameClientStats client;
  GstHelixQemuSrcCounters own;
  GstStructure *stats;
  guint held_back;

  memset (&client, 0, sizeof client);
  GST_OBJECT_LOCK (self);
  own = self->counters;
  held_back = self->holdback.held_back;
  if (self->client != NULL)
    helix_frame_client_get_stats (self->client, &client);
  GST_OBJECT_UNLOCK (self);
  stats = gst_structure_new ("application/x-helix-qemu-src-stats", "connected",
      G_TYPE_BOOLEAN, client.connected, "reconnects", G_TYPE_UINT,
      client.reconnects, "frames-in", G_TYPE_UINT64, client.frames.received,
      "frames-out", G_TYPE_UINT64,
      own.frames + own.repeated + own.cursor_moves + own.black, "frames",
      G_TYPE_UINT64, own.frames, "repeated", G_TYPE_UINT64, own.repeated,
      "flushed", G_TYPE_UINT64, own.flushed, "held-back", G_TYPE_UINT,
      held_back, "cursor-moves", G_TYPE_UINT64, own.cursor_moves, "black",
      G_TYPE_UINT64, own.black, "dropped", G_TYPE_UINT64,
      client.frames.superseded, "copied", G_TYPE_UINT64, own.copied, "bytes",
      G_TYPE_UINT64, client.frames.readback_bytes, "last-sequence",
      G_TYPE_UINT64, own.sequence, "generation", G_TYPE_UINT, own.generation,
      "width", G_TYPE_UINT, own.width, "height", G_TYPE_UINT, own.height,
      "readback-time", G_TYPE_UINT64, client.frames.readback_ns, "wait-time",
      G_TYPE_UINT64, client.frames.wait_ns, "convert-time", G_TYPE_UINT64,
      own.convert_ns, "converted-bytes", G_TYPE_UINT64, own.converted,
      "latency", G_TYPE_UINT64, own.latency_ns, NULL);
  helix_stats_set_times (stats, "readback", &own.readback);
  helix_stats_set_times (stats, "wait", &own.wait);
  helix_stats_set_times (stats, "convert", &own.convert);
  helix_stats_set_times (stats, "latency", &own.latency);
  return stats;
}
