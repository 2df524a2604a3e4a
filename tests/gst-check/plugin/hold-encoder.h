/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An encoder that holds pictures back, as many as it is told. What it gives
 * out is called JPEG and is none.
 */
#ifndef HOLD_ENCODER_H
#define HOLD_ENCODER_H

#include <gst/gst.h>

/* Makes the element "holdenc" known. Its property "hold", a uint: pictures that
 * it keeps until it gets more. It gives a picture out before it returns from
 * the one that drives it out, so the number of repetitions is exact. */
void hold_encoder_register (void);

#endif /* HOLD_ENCODER_H */
