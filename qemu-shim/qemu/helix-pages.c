/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest memory behind a resource, kept as the guest's addresses.
 */

#include "qemu/osdep.h"
#include "qemu/iov.h"
#include "helix-glue.h"

/* The device refuses a command with more entries. */
#define HELIX_MAX_ENTRIES 16384u

struct HelixPages {
    uint32_t count;
    struct virtio_gpu_mem_entry entry[]; /* in the host's byte order */
};

HelixPages *helix_pages_fetch(const struct virtio_gpu_ctrl_command *cmd,
                              size_t offset, uint32_t count)
{
    size_t size = sizeof(struct virtio_gpu_mem_entry) * (size_t)count;
    HelixPages *pages;
    uint32_t i;

    if (!count || count > HELIX_MAX_ENTRIES) {
        return NULL;
    }
    pages = g_malloc(sizeof(*pages) + size);
    pages->count = count;
    if (iov_to_buf(cmd->elem.out_sg, cmd->elem.out_num, offset, pages->entry,
                   size) != size) {
        g_free(pages);
        return NULL;
    }
    for (i = 0; i < count; i++) {
        pages->entry[i].addr = le64_to_cpu(pages->entry[i].addr);
        pages->entry[i].length = le32_to_cpu(pages->entry[i].length);
    }
    return pages;
}

uint32_t helix_pages_count(const HelixPages *pages)
{
    return pages->count;
}

bool helix_pages_read(const HelixPages *pages, AddressSpace *as,
                      uint64_t offset, uint32_t pitch, uint8_t *dst,
                      uint32_t stride, size_t row, uint32_t rows)
{
    /* A guest may name the registers of a device, which must not be read. */
    const MemTxAttrs attrs = {.memory = 1};
    const struct virtio_gpu_mem_entry *entry = pages->entry;
    const struct virtio_gpu_mem_entry *end = entry + pages->count;
    uint32_t y;

    for (y = 0; y < rows; y++, offset += pitch, dst += stride) {
        const struct virtio_gpu_mem_entry *at;
        uint64_t in;
        size_t got = 0, part;

        /* A row begins behind the one before: one pass over the entries. */
        for (; entry < end && offset >= entry->length; entry++) {
            offset -= entry->length;
        }
        for (at = entry, in = offset; got < row; got += part, at++, in = 0) {
            if (at == end) {
                return false;
            }
            part = MIN(row - got, at->length - in);
            if (part && dma_memory_read(as, at->addr + in, dst + got, part,
                                        attrs) != MEMTX_OK) {
                return false;
            }
        }
    }
    return true;
}
