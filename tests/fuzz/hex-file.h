/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the test vectors of protocol/vectors: pairs of hexadecimal digits,
 * white space between them, comments from # to the end of the line.
 */
#ifndef HELIX_HEX_FILE_H
#define HELIX_HEX_FILE_H

#include <stddef.h>
#include <stdint.h>

/* The bytes, to be freed with g_free (); NULL, and a line on stderr, when the
 * file cannot be read or is not hexadecimal. Never NULL for an empty file. */
uint8_t *hex_file_read (const char *path, size_t *size);

#endif /* HELIX_HEX_FILE_H */
