/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A screen of which there is nothing to show: it is off, or of a size that
 * downstream does not take. All of it is the streaming thread's.
 */
#include "gsthelixqemusrc-private.h"

#include "gsthelixmode.h"
#include "helix-platform.h"

/* ns that a screen has been off before anything is made of it. Guests pass
 * through "off" when they change their mode, for some 10 ms, in emulation for
 * some 100. */
#define DARK_AFTER (1 * GST_SECOND)

/* ns between two warnings of a size: a guest may change it without end, and a
 * bus keeps what nobody reads. */
#define WARNINGS_EVERY (1 * GST_SECOND)

static void
inform (GstHelixQemuSrc *self, gchar *text)
{
  GError *error = g_error_new_literal (
      GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND, text);

  gst_helix_inform (GST_ELEMENT (self), error);
  g_error_free (error);
  g_free (text);
}

/* "Scanout 0", "Resource 17". */
static gchar *
name_screen (GstHelixQemuSrc *self, guint resource_id)
{
  HelixFrameWish wish;

  helix_frame_client_get_wish (self->client, &wish);
  return resource_id != 0 ? g_strdup_printf ("Resource %u", resource_id)
                          : g_strdup_printf ("Scanout %u", wish.scanout);
}

static void
say_off (GstHelixQemuSrc *self, guint resource_id, gboolean black)
{
  gchar *name = name_screen (self, resource_id);
  const gchar *why = resource_id != 0
      ? "the guest has destroyed it"
      : "the guest shows nothing there, or has no driver for it yet";
  const gchar *shown = !self->shaped ? "No picture comes until it is on"
      : black                        ? "Black is shown until it is on again"
              : "The last picture is shown until it is on again";

  inform (self, g_strdup_printf ("%s is off: %s. %s.", name, why, shown));
  self->said_off = TRUE;
  g_free (name);
}

guint64
gst_helix_qemu_src_dark_due (GstHelixQemuSrc *self)
{
  guint resource_id;
  guint64 since = self->unfit_ns != 0
      ? self->unfit_ns
      : helix_frame_client_dark_since (self->client, &resource_id);

  return since == 0 || self->dark ? HELIX_NONE64 : since + DARK_AFTER;
}

GstFlowReturn
gst_helix_qemu_src_go_dark (GstHelixQemuSrc *self, GstBuffer **buffer)
{
  guint resource_id;
  gboolean off =
      helix_frame_client_dark_since (self->client, &resource_id) != 0;
  GstFlowReturn flow;
  gboolean black;

  GST_OBJECT_LOCK (self);
  black = self->when_off == GST_HELIX_WHEN_OFF_BLACK;
  GST_OBJECT_UNLOCK (self);
  self->dark = TRUE;
  if (off && !self->said_off)
    say_off (self, resource_id, black);
  if (!self->shaped || !black)
    return GST_FLOW_CUSTOM_SUCCESS;
  flow = gst_helix_qemu_src_blacken (self, buffer);
  if (flow == GST_FLOW_FLUSHING)
    self->dark = FALSE; /* black is due again after the flush */
  return flow;
}

void
gst_helix_qemu_src_take_dark (GstHelixQemuSrc *self)
{
  self->unfit = FALSE;
  self->unfit_ns = 0;
  self->dark = self->said_off = FALSE;
}

void
gst_helix_qemu_src_light_up (GstHelixQemuSrc *self, HelixFrame *frame)
{
  gchar *name;

  if (self->said_off) {
    name = name_screen (self,
        frame->info.scanout == HELIX_NONE32 ? frame->info.resource_id : 0);
    inform (self,
        g_strdup_printf (
            "%s is on: %ux%u.", name, frame->info.width, frame->info.height));
    g_free (name);
  }
  if (self->dark) /* canvases may be black, and the damage says nothing of it */
    helix_damage_all (&frame->damage);
  gst_helix_qemu_src_take_dark (self);
}

void
gst_helix_qemu_src_note_unfit (
    GstHelixQemuSrc *self, const HelixPicture *picture, gboolean refused)
{
  guint64 now = helix_now_ns ();

  if (self->unfit_ns == 0)
    self->unfit_ns = now;
  self->misfit = *picture;
  self->refused = refused;
  self->unfit = TRUE;
  if (self->warned_ns != 0 && now - self->warned_ns < WARNINGS_EVERY)
    return;
  self->warned_ns = now;
  GST_ELEMENT_WARNING (self, STREAM, FORMAT,
      ("The screen has %ux%u pixels, and downstream takes no picture of that "
       "size. Nothing new is shown until the guest changes its mode. Put "
       "\"videoconvert ! videoscale\" and caps of a size that fits behind "
       "helixqemusrc.",
          picture->width, picture->height),
      (NULL));
}

void
gst_helix_qemu_src_reconsider (GstHelixQemuSrc *self)
{
  GstCaps *caps;

  if (!self->unfit || self->refused)
    return;
  caps = gst_helix_qemu_src_choose_caps (self, &self->misfit);
  if (caps != NULL && !gst_caps_is_empty (caps)) {
    self->unfit = FALSE;
    gst_helix_qemu_src_ask_again (self);
  }
  gst_clear_caps (&caps);
}
