/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * As much of virgl as it takes to copy prepared textures onto a screen, without
 * Mesa: textures, one upload each, and two commands of the stream, encoded here
 * (virglrenderer, src/virgl_protocol.h). Whatever goes wrong ends the program,
 * as in helix-kms.h.
 */
#ifndef HELIX_VIRGL_H
#define HELIX_VIRGL_H

#include "helix-kms.h"
#include "helix-protocol.h"

struct helix_virgl_texture {
  uint32_t handle, resource; /* GEM handle, virtio-gpu id */
  uint32_t width, height;    /* pixels, B G R x */
};

/* One submission: commands run in order. */
struct helix_virgl_commands {
  uint32_t *words;
  uint32_t count, room; /* words */
};

/* The host's GL renderer, e.g. "llvmpipe (LLVM 15.0.6, 256 bits)", into `name`
 * of `size` bytes; false: this GPU has no virgl. */
bool helix_virgl_renderer (int fd, char *name, size_t size);

/* A texture that can be rendered to and shown. */
void helix_virgl_texture_new (int fd, struct helix_virgl_texture *texture,
    uint32_t width, uint32_t height);
/* Copies width * height words into it, and waits until the host has them. */
void helix_virgl_upload (
    int fd, const struct helix_virgl_texture *texture, const uint32_t *pixels);
/* The KMS framebuffer of it. */
uint32_t helix_virgl_framebuffer (
    int fd, const struct helix_virgl_texture *texture);

/* All of `from` to `to`, which is as large. */
void helix_virgl_copy (struct helix_virgl_commands *commands,
    const struct helix_virgl_texture *to,
    const struct helix_virgl_texture *from);
/* Room for the pixels of `rect` of `to`, which the caller draws there before
 * it submits; rows follow each other. At most 65000 pixels. */
uint32_t *helix_virgl_write (struct helix_virgl_commands *commands,
    const struct helix_virgl_texture *to, const struct helix_rect *rect);
/* Hands them to the host, waits for nothing, and empties `commands`. */
void helix_virgl_submit (int fd, struct helix_virgl_commands *commands);

#endif /* HELIX_VIRGL_H */
