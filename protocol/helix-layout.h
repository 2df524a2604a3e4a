/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The widths in bytes of every struct's fields, in order: private to
 * helix-pack.c and helix-unpack.c.
 *
 * The structs of helix-protocol.h have the wire's offsets (its asserts hold
 * that), so these strings are all in which messages differ when they are
 * turned into bytes and back, one field at a time and on a machine of any
 * byte order. No struct is ever copied as a whole.
 */
#ifndef HELIX_LAYOUT_H
#define HELIX_LAYOUT_H

#define LAYOUT_PING "8"
#define LAYOUT_PONG "888"
#define LAYOUT_HELLO "224448224"
#define LAYOUT_WELCOME "224448224"
#define LAYOUT_ERROR "44"
#define LAYOUT_BYE "4"
#define LAYOUT_STATUS "8888884444"
#define LAYOUT_CLIENT "444444888888224"
#define LAYOUT_CURSOR "44444444448"
#define LAYOUT_SHOW "448"
#define LAYOUT_SET_SCANOUT "4444"
#define LAYOUT_SUBSCRIBE "444444"
#define LAYOUT_SCANOUT "44444444"
#define LAYOUT_POOL "444488"
#define LAYOUT_RECT "4444"
#define LAYOUT_FRAME "8844444444444444"
#define LAYOUT_RELEASE "44"
#define LAYOUT_CAPS "44444444" /* then three strings */
#define LAYOUT_UNIT "88888844"
#define LAYOUT_KEYFRAME "448"
#define LAYOUT_CONFIG "444444"
#define LAYOUT_STATS "888888"

#endif /* HELIX_LAYOUT_H */
