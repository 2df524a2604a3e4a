/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HELIX_TEST_FDS_H
#define HELIX_TEST_FDS_H

/* The number of descriptors that this process has open, give or take those
 * that counting them takes. To be compared with an earlier count. */
unsigned test_count_fds (void);

#endif /* HELIX_TEST_FDS_H */
