/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HELIX_TEST_FDS_H
#define HELIX_TEST_FDS_H

/* The number of descriptors that this process has open, give or take those
 * that counting them takes. To be compared with an earlier count. */
unsigned test_count_fds (void);

/* A connected pair of UNIX sockets, both as from helix_socket (). */
void test_socketpair (int fds[2]);

/* It returns -1, with that errno. */
#define expect_errno(call, error) \
  G_STMT_START \
  { \
    errno = 0; \
    fail_unless_equals_int (call, -1); \
    fail_unless_equals_int (errno, error); \
  } \
  G_STMT_END

#endif /* HELIX_TEST_FDS_H */
