/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An encoder that holds pictures back, as many as it is told. What it gives
 * out is called JPEG and is none.
 */
#ifndef HOLD_ENCODER_H
#define HOLD_ENCODER_H

#include <gst/gst.h>

/* Makes the element "holdenc" known. Properties, all uint:
 * "hold": pictures that it keeps until it gets more;
 * "drop": of that many pictures it gives only the last out, 0 = all. */
void hold_encoder_register (void);

#endif /* HOLD_ENCODER_H */
