/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A kernel with a virtio-gpu, for tests: it knows DMA-BUFs by what they are
 * (memory descriptors of the test's) and fails where it is told to.
 */
#ifndef FAKE_VIRTGPU_H
#define FAKE_VIRTGPU_H

#include <glib.h>

/* What a fake DMA-BUF says of itself: its inode is this, its resource id
 * this and 1000 more. */
#define FAKE_RESOURCE(buffer) ((buffer) + 1000)

typedef enum {
  FAKE_STEP_NONE,
  FAKE_STEP_OPEN,
  FAKE_STEP_VERSION,
  FAKE_STEP_IMPORT,
  FAKE_STEP_INFO,
  FAKE_STEP_CLOSE,
  FAKE_STEP_IDENTIFY,
} FakeStep;

typedef struct {
  FakeStep fails; /* the step that fails, */
  gint problem;   /* with this errno */
  gchar driver[16];
  guint only_minor; /* renderD of this number alone exists */
  gboolean no_id;   /* resources without an id */

  gint open_handles; /* GEM handles that were not closed */
  guint ioctls;
} FakeVirtgpu;

extern FakeVirtgpu fake_virtgpu;

/* In place of the kernel from here on: a virtio_gpu at renderD128. */
void fake_virtgpu_install (void);

/* A descriptor that the fake kernel takes for DMA-BUF number `buffer`. */
gint fake_virtgpu_dmabuf (guint buffer);

#endif /* FAKE_VIRTGPU_H */
