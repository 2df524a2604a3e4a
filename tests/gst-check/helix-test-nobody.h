/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests that need another user than the one who runs them, which is to be had
 * as root only: uid 65534, `nobody`, who owns nothing.
 */
#ifndef HELIX_TEST_NOBODY_H
#define HELIX_TEST_NOBODY_H

#include <stdbool.h>

#define TEST_NOBODY 65534 /* user and group */

/* Whether a process can become `nobody` here. If not, prints what of the test
 * is left out, which script/test shows and counts as skipped. */
#define test_can_be_nobody(what) test_can_be_nobody_in (__func__, what)
bool test_can_be_nobody_in (const char *test, const char *what);

/* In a new process: becomes `nobody`, for good. false: it could not. An
 * ordinary user stays what it is: that suffices where a mode of 0 refuses. */
bool test_be_nobody (void);

/* Runs `body` in a child, after test_be_nobody ().
 * Returns: what `body` returned, or 99 if test_be_nobody () failed. */
int test_as_nobody (int (*body) (void *opaque), void *opaque);

#endif /* HELIX_TEST_NOBODY_H */
