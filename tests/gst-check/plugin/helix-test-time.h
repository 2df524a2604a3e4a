/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HELIX_TEST_TIME_H
#define HELIX_TEST_TIME_H

#include <stdint.h>

/* ns. How long an event is waited for, and the bound of what the product
 * promises within a second or three: a busy machine withholds seconds. What
 * waits for something else instead waits longer, or for ever. */
#define TEST_SOON UINT64_C (15000000000)

#endif /* HELIX_TEST_TIME_H */
