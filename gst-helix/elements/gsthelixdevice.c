/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gsthelixdevice.h"

struct _GstHelixDevice {
  GstDevice parent;

  gchar *socket_path;
  guint scanout;
};

G_DEFINE_TYPE (GstHelixDevice, gst_helix_device, GST_TYPE_DEVICE);

static GstElement *
gst_helix_device_create_element (GstDevice *device, const gchar *name)
{
  GstHelixDevice *self = GST_HELIX_DEVICE (device);
  GstElement *element = gst_element_factory_make ("helixqemusrc", name);

  if (element != NULL)
    g_object_set (element, "socket-path", self->socket_path, "scanout",
        self->scanout, NULL);
  return element;
}

static void
gst_helix_device_finalize (GObject *object)
{
  g_free (GST_HELIX_DEVICE (object)->socket_path);
  G_OBJECT_CLASS (gst_helix_device_parent_class)->finalize (object);
}

static void
gst_helix_device_class_init (GstHelixDeviceClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = gst_helix_device_finalize;
  GST_DEVICE_CLASS (klass)->create_element = gst_helix_device_create_element;
}

static void
gst_helix_device_init (GstHelixDevice *self)
{
}

/* What helixqemusrc's pad will take part in: of this size, while it is on. */
static GstCaps *
make_caps (const struct helix_scanout *state, gboolean on)
{
  GstCaps *caps =
      gst_caps_from_string ("video/x-raw, format = { NV12, I420, BGRx, BGRA }, "
                            "framerate = [ 0/1, 2147483647/1 ]");

  if (on)
    gst_caps_set_simple (caps, "width", G_TYPE_INT, (gint) state->width,
        "height", G_TYPE_INT, (gint) state->height, NULL);
  return caps;
}

GstDevice *
gst_helix_device_new (const HelixVmPeek *vm, guint scanout)
{
  const struct helix_scanout *state = &vm->scanout[scanout];
  gboolean on = (state->flags & HELIX_SCANOUT_ENABLED) != 0;
  gchar *label = helix_vm_peek_label (vm), *name;
  GstHelixDevice *self;
  GstStructure *properties;
  GstCaps *caps = make_caps (state, on);

  name = on ? g_strdup_printf ("VM %s, scanout %u (%ux%u)", label, scanout,
             state->width, state->height)
            : g_strdup_printf ("VM %s, scanout %u (off)", label, scanout);
  properties = gst_structure_new ("helix-device", "device.api", G_TYPE_STRING,
      "helix", "helix.vm", G_TYPE_STRING, vm->name, "helix.socket-path",
      G_TYPE_STRING, vm->path, "helix.pid", G_TYPE_INT, (gint) vm->pid,
      "helix.scanout", G_TYPE_UINT, scanout, "helix.enabled", G_TYPE_BOOLEAN,
      on, "helix.width", G_TYPE_UINT, state->width, "helix.height", G_TYPE_UINT,
      state->height, NULL);
  self = g_object_new (GST_TYPE_HELIX_DEVICE, "display-name", name, "caps",
      caps, "device-class", "Video/Source", "properties", properties, NULL);
  self->socket_path = g_strdup (vm->path);
  self->scanout = scanout;
  gst_structure_free (properties);
  gst_caps_unref (caps);
  g_free (label);
  g_free (name);
  return GST_DEVICE (self);
}
