/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A property is a field of the element, under its object lock. The GParamSpec
 * has the rest: the type (string, boolean, enum, int, uint, or
 * fraction: two gint), the default, and whether it may change from PAUSED on
 * (GST_PARAM_MUTABLE_PLAYING). A string that is set to NULL gets its default;
 * that of `address` is $HELIX_ADDRESS, if it is set and not empty.
 *
 * A field that may not change from PAUSED on does not change from the moment
 * that change_state () is called for that, unless it fails: from then on it
 * needs no lock.
 */
#ifndef GST_HELIX_FIELDS_H
#define GST_HELIX_FIELDS_H

#include <gst/gst.h>

G_BEGIN_DECLS

/* Installs a property. Its field is `offset` bytes into the element. */
void gst_helix_field_install (
    GObjectClass *klass, guint id, gsize offset, GParamSpec *pspec);

/* Returns: the state of `element`, or that which a change in progress leads to
 * if it is higher. A change that failed is over, although GST_STATE_NEXT does
 * not return to GST_STATE_VOID_PENDING.
 * Lock: the object lock is held. */
GstState gst_helix_state_ahead (GstElement *element);

/* For GObjectClass.set_property. A change that comes too late is ignored, which
 * the log tells.
 * Lock: the object lock is held: what the element does with the new value is
 * one step with the change. */
void gst_helix_field_set (
    GObject *object, guint id, const GValue *value, GParamSpec *pspec);
/* GObjectClass.get_property for these properties.
 * Lock: takes the object lock. */
void gst_helix_field_get (
    GObject *object, guint id, GValue *value, GParamSpec *pspec);

/* In instance_init: each field gets its default. */
void gst_helix_fields_init (GObject *object);
/* GObjectClass.finalize, but for the parent's: frees the strings. */
void gst_helix_fields_clear (GObject *object);

G_END_DECLS

#endif /* GST_HELIX_FIELDS_H */
