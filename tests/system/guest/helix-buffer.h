/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A framebuffer that the CPU draws into, and the test picture in it
 * (helix-picture.h). Several pictures may stand side by side in one buffer.
 */
#ifndef HELIX_BUFFER_H
#define HELIX_BUFFER_H

#include "helix-kms.h"

struct helix_buffer {
  uint32_t handle, fb, resource; /* GEM handle, KMS id, virtio-gpu id */
  uint32_t width, height;        /* pixels */
  uint32_t stride;               /* bytes */
  size_t size;                   /* bytes */
  uint8_t *pixels;               /* B G R x */
};

/* A dumb buffer, or a blob in the guest's memory. */
void helix_buffer_new (struct helix_kms *kms, struct helix_buffer *buffer,
    uint32_t width, uint32_t height, bool blob);
void helix_buffer_free (struct helix_kms *kms, struct helix_buffer *buffer);

/* 0xAARRGGBB */
void helix_buffer_fill (struct helix_buffer *buffer, uint32_t x, uint32_t y,
    uint32_t width, uint32_t height, uint32_t colour);
/* All that does not change between frames, of a picture `width` wide. */
void helix_buffer_background (
    struct helix_buffer *buffer, uint32_t left, uint32_t width, uint32_t shift);
/* Marker and box of frame `number`; fills the two clips that changed. */
void helix_buffer_frame (struct helix_buffer *buffer, uint32_t left,
    uint32_t width, uint32_t number, drmModeClip clips[2]);
/* Tells the kernel what changed. */
void helix_buffer_flush (struct helix_kms *kms, struct helix_buffer *buffer,
    drmModeClip *clips, uint32_t count);

#endif /* HELIX_BUFFER_H */
