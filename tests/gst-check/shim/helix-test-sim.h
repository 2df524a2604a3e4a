/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helix-shim-sim as a process, for tests that are its clients.
 */
#ifndef HELIX_TEST_SIM_H
#define HELIX_TEST_SIM_H

#include "helix-test-client.h"

/* A test_shim whose shim is another process: enough for test_client. */
struct test_sim {
  struct test_shim test;
  GPid pid;
  int out, err;
};

/* Starts it with whatever arguments, NULL at the end. */
GPid test_sim_start (const char *const *args, int *out, int *err);
/* Starts it on a path of its own and waits for "listening". */
struct test_sim *test_sim_new (const char *const *more);
/* Ends it by that signal; its exit status. `out` receives what it said then,
 * and may be NULL. */
int test_sim_end (struct test_sim *sim, int number, char *out, size_t size);
/* Frees what is left of one whose process has been waited for. */
void test_sim_forget (struct test_sim *sim);
/* The number of the picture; fails if that cannot be read. */
uint32_t test_sim_number (const struct test_frame *frame);
/* One of the numbers of --json-stats. */
uint64_t test_sim_counter (const char *json, const char *name);

#endif /* HELIX_TEST_SIM_H */
