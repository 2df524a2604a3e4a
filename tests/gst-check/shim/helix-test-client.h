/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A client of the shim, which does whatever a test wants. It lives in the
 * display thread's loop, so waiting for a message also lets the display run.
 */
#ifndef HELIX_TEST_CLIENT_H
#define HELIX_TEST_CLIENT_H

#include <gst/check/gstcheck.h>

#include "decode-any.h"
#include "helix-test-shim.h"

struct test_message {
  uint8_t type; /* enum helix_type */
  uint16_t channel;
  struct decode_any any;
  uint8_t *bulk; /* pixels of a CURSOR, or NULL */
  int fd;        /* that came along, or -1 */
};

struct test_pool {
  struct helix_pool pool;
  struct helix_shm shm;
};

struct test_client {
  struct test_shim *test;
  int fd;
  bool closed; /* by the shim */
  bool keep_pings;
  struct helix_reader reader;
  int pass;                 /* descriptor waiting for its message */
  uint8_t *bulk;            /* of the message that is being read */
  GQueue *queue;            /* struct test_message */
  struct test_message *now; /* what test_client_next returned last */
  GPtrArray *pools;
  uint32_t generation; /* of the last SCANOUT on channel 1 */
  struct helix_scanout scanout;
};

struct test_frame {
  struct helix_frame frame;
  struct helix_rect rects[HELIX_MAX_RECTS];
  const uint8_t *pixels; /* in the slot */
};

/* Connects, no more. test_shim_free frees all clients that are left. */
struct test_client *test_client_connect (struct test_shim *test);
/* Connects, says HELLO, waits for WELCOME. */
struct test_client *test_client_new (struct test_shim *test);
void test_client_free (struct test_client *client);

void test_client_send (
    struct test_client *client, const void *bytes, size_t size);
/* A header and `size` bytes of payload. */
void test_client_send_raw (struct test_client *client, uint8_t type,
    uint16_t channel, const void *payload, uint32_t size);
void test_client_hello (struct test_client *client, uint16_t version_min,
    uint16_t version_max, uint32_t role, uint32_t features);
void test_client_subscribe (struct test_client *client, uint16_t channel,
    uint32_t scanout, uint32_t resource_id);
void test_client_subscribe_with (struct test_client *client, uint16_t channel,
    const struct helix_subscribe *request);
void test_client_release (struct test_client *client, uint16_t channel,
    const struct test_frame *frame);
void test_client_release_slot (struct test_client *client, uint16_t channel,
    uint32_t pool_id, uint32_t slot);

/* Stop and go on reading. */
void test_client_pause (struct test_client *client, bool pause);

/* The next message, whatever it is; fails when it is malformed, or when the
 * connection ends. Valid until the next call. */
const struct test_message *test_client_next (struct test_client *client);
/* The next one of `type` on `channel`; others before it are dropped. */
const struct test_message *test_client_expect (
    struct test_client *client, enum helix_type type, uint16_t channel);
/* Its ERROR must have this code and this text in it. */
void test_client_expect_error (struct test_client *client, uint16_t channel,
    enum helix_error_code code, const char *text);
void test_client_expect_closed (struct test_client *client);
/* The next FRAME on `channel`, of the generation and pool announced last. */
struct test_frame test_client_frame (
    struct test_client *client, uint16_t channel);
/* The next CURSOR on `channel`; *pixels, if it has some, is to be freed. */
struct helix_cursor test_client_cursor (
    struct test_client *client, uint16_t channel, uint8_t **pixels);
/* SHOW `id` on `channel`, captured then (HELIX_NONE64 = now). */
void test_client_show (struct test_client *client, uint16_t channel,
    uint32_t id, uint64_t capture_ns);
/* Every pixel is that of resource `id`, from x,y on, as it is now. */
void test_frame_assert_shows (struct test_shim *test,
    const struct test_frame *frame, uint32_t id, uint32_t x, uint32_t y);
/* Whether it is all of resource `id`, as that is now. */
bool test_frame_shows (
    struct test_shim *test, const struct test_frame *frame, uint32_t id);
/* Copies the frame's rectangles to `canvas`, a picture of the frame's size: the
 * picture of a client that trusts the rectangles alone. */
void test_frame_patch (const struct test_frame *frame, uint32_t *canvas);
/* FRAMEs on `channel`, whose slots go back, until one shows that. */
struct helix_frame test_client_until_shown (
    struct test_client *client, uint16_t channel, uint32_t id);
/* The next FRAME on `channel`, whatever it shows; its slot goes back. */
struct helix_frame test_client_skip (
    struct test_client *client, uint16_t channel);
/* The next FRAME on `channel`: it must show all of resource `id`; its slot goes
 * back. */
struct helix_frame test_client_take (
    struct test_client *client, uint16_t channel, uint32_t id);
/* Frames that arrive are read and their slots released, until a PING sent
 * now is answered and the display has nothing to do. Returns how many. */
guint test_client_settle (struct test_client *client);

/* ---- fixtures ---- */

/* What a test case's set-up makes, and its end frees. */
extern struct test_shim *test;
extern struct test_client *client;

/* Size of resource 1. */
#define W 200u
#define H 150u

/* A shim that shows resource 1 on scanout 0; and a client. */
void test_setup (void);
void test_setup_client (void);
/* A shim that shows nothing; and a client. */
void test_setup_dark (void);
void test_setup_dark_client (void);
/* A new test case with that set-up, or NULL. 120 s for each test. */
TCase *test_case (Suite *suite, void (*setup) (void));

#endif /* HELIX_TEST_CLIENT_H */
