/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * SECTION:deviceprovider-helixdeviceprovider
 * @title: helixdeviceprovider
 * @short_description: the screens of the virtual machines that run here
 *
 * Lists, as devices of class `Video/Source`, every scanout that is switched
 * on of every virtual machine of this user that runs with `-device
 * helix-export`; of a machine without any, its first one. A device makes a
 * #helixqemusrc that shows it. Sockets that another user than this one or root
 * serves are left alone.
 *
 * |[
 * gst-device-monitor-1.0 Video/Source
 * ]|
 *
 * Since: 0.1
 */
#include "gsthelixelements.h"

#include <errno.h>

#include "helix-discovery.h"
#include "helix-platform.h"

GST_DEBUG_CATEGORY_STATIC (gst_helix_device_provider_debug);
#define GST_CAT_DEFAULT gst_helix_device_provider_debug

/* ns between two looks for VMs that are new. A folder with a handful of links
 * is read: some microseconds. (GFileMonitor would need a main context to run
 * in, and does not tell when a process begins to listen.) What happens to VMs
 * that are known comes through their sockets at once. */
#define LOOK_NS (500 * GST_MSECOND)
/* ns until one that took no more clients is asked again. */
#define REFUSED_NS (5 * GST_SECOND)

#define CLIENT_NAME "helixdeviceprovider " HELIX_PACKAGE_VERSION

/* ---- the device: one scanout of a VM ---- */

#define GST_TYPE_HELIX_DEVICE (gst_helix_device_get_type ())
G_DECLARE_FINAL_TYPE (
    GstHelixDevice, gst_helix_device, GST, HELIX_DEVICE, GstDevice)

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

/* As it is now. Floating. */
static GstDevice *
device_new (const HelixVm *vm, guint scanout)
{
  const struct helix_scanout *state = &vm->scanout[scanout];
  gboolean on = (state->flags & HELIX_SCANOUT_ENABLED) != 0;
  g_autofree gchar *label = helix_vm_label (vm->connection->name, vm->path);
  g_autofree gchar *name = NULL;
  GstHelixDevice *self;
  GstStructure *properties;
  GstCaps *caps = make_caps (state, on);

  name = on ? g_strdup_printf ("VM %s, scanout %u (%ux%u)", label, scanout,
             state->width, state->height)
            : g_strdup_printf ("VM %s, scanout %u (off)", label, scanout);
  properties = gst_structure_new ("helix-device", "device.api", G_TYPE_STRING,
      "helix", "helix.vm", G_TYPE_STRING, vm->connection->name,
      "helix.socket-path", G_TYPE_STRING, vm->path, "helix.pid", G_TYPE_INT,
      (gint) vm->pid, "helix.scanout", G_TYPE_UINT, scanout, "helix.enabled",
      G_TYPE_BOOLEAN, on, "helix.width", G_TYPE_UINT, state->width,
      "helix.height", G_TYPE_UINT, state->height, NULL);
  self = g_object_new (GST_TYPE_HELIX_DEVICE, "display-name", name, "caps",
      caps, "device-class", "Video/Source", "properties", properties, NULL);
  self->socket_path = g_strdup (vm->path);
  self->scanout = scanout;
  gst_structure_free (properties);
  gst_caps_unref (caps);
  return GST_DEVICE (self);
}

/* ---- which VMs there are ---- */

struct _GstHelixDeviceProvider {
  GstDeviceProvider parent;

  /* between start and stop */
  GThread *thread;
  HelixWaiter waiter;
  gint stopping;  /* atomic */
  GPtrArray *vms; /* HelixVm: the thread's, once it runs */
};

G_DEFINE_TYPE (GstHelixDeviceProvider, gst_helix_device_provider,
    GST_TYPE_DEVICE_PROVIDER);
/* Applications look at providers from MARGINAL on. */
GST_DEVICE_PROVIDER_REGISTER_DEFINE (helixdeviceprovider, "helixdeviceprovider",
    GST_RANK_SECONDARY, GST_TYPE_HELIX_DEVICE_PROVIDER);

/* One that takes no more clients is a VM all the same. */
static gboolean
is_full (const HelixVm *vm)
{
  return vm->connection->loss == HELIX_LOSS_REFUSED;
}

static gboolean
is_known (GPtrArray *vms, const gchar *path)
{
  for (guint i = 0; i < vms->len; i++)
    if (g_str_equal (((HelixVm *) g_ptr_array_index (vms, i))->path, path))
      return TRUE;
  return FALSE;
}

/* Connects to VMs that are not known yet, and again to full ones. */
static void
look (GPtrArray *vms)
{
  g_autoptr (GPtrArray) found = helix_discovery_list (NULL);
  guint64 now = helix_now_ns ();

  for (guint i = vms->len; i-- > 0;) {
    const HelixVm *vm = g_ptr_array_index (vms, i);

    if (is_full (vm) && now >= vm->connection->opened_ns + REFUSED_NS)
      g_ptr_array_remove_index (vms, i);
  }
  while (found->len > 0) {
    HelixVm *vm = g_ptr_array_steal_index (found, 0);
    g_autoptr (GError) error = NULL;

    if (!is_known (vms, vm->path)
        && helix_vm_connect (vm, CLIENT_NAME, HELIX_SERVER_USER_NONE, &error)) {
      helix_connection_hello (vm->connection, HELIX_ROLE_FRAMES, NULL);
      g_ptr_array_add (vms, vm);
    } else {
      GST_LOG ("%s: %s", vm->path, error != NULL ? error->message : "known");
      helix_vm_free (vm);
    }
  }
}

/* All VMs that run now, each of which has said what it has, unless it is
 * stopped. The caller unrefs it. */
static GPtrArray *
find_all (void)
{
  GPtrArray *vms =
      g_ptr_array_new_with_free_func ((GDestroyNotify) helix_vm_free);

  look (vms);
  helix_vm_ask (vms, NULL);
  return vms;
}

/* ---- which devices they are ---- */

/* A screen that is on is a device; so that a machine is seen before it shows
 * anything, the first one if there is no other. A full VM does not tell: then
 * it is the first as well. */
static gboolean
is_listed (const HelixVm *vm, guint scanout)
{
  guint on = 0;

  for (guint i = 0; i < HELIX_MAX_SCANOUTS; i++)
    on |= (vm->scanout[i].flags & HELIX_SCANOUT_ENABLED) != 0 ? 1u << i : 0;
  return vm->complete && (on != 0 ? (on >> scanout & 1) : scanout == 0);
}

static GstDevice *
find_device (GstDeviceProvider *provider, const HelixVm *vm, guint scanout)
{
  for (GList *l = provider->devices; l != NULL; l = l->next) {
    const GstHelixDevice *device = l->data;

    if (device->scanout == scanout
        && g_str_equal (device->socket_path, vm->path))
      return l->data;
  }
  return NULL;
}

static gboolean
is_same (GstDevice *one, GstDevice *other)
{
  g_autofree gchar *name = gst_device_get_display_name (one);
  g_autofree gchar *other_name = gst_device_get_display_name (other);

  return g_str_equal (name, other_name);
}

/* Tells the application what became of one screen. */
static void
tell (GstDeviceProvider *provider, const HelixVm *vm, guint scanout)
{
  GstDevice *old = find_device (provider, vm, scanout), *device;

  if (!is_listed (vm, scanout)) {
    if (old != NULL)
      gst_device_provider_device_remove (provider, old);
    return;
  }
  device = gst_object_ref_sink (device_new (vm, scanout));
  if (old == NULL)
    gst_device_provider_device_add (provider, device);
  else if (!is_same (old, device))
    gst_device_provider_device_changed (provider, device, old);
  gst_object_unref (device);
}

/* Tells of all that has changed, and forgets VMs whose connection is over.
 * Nothing is told of one that has not yet said all that it has. */
static void
tell_all (GstHelixDeviceProvider *self)
{
  GstDeviceProvider *provider = GST_DEVICE_PROVIDER (self);

  for (guint i = self->vms->len; i-- > 0;) {
    const HelixVm *vm = g_ptr_array_index (self->vms, i);

    if (vm->connection->loss != HELIX_LOSS_NONE && !is_full (vm))
      g_ptr_array_remove_index (self->vms, i);
  }
  for (GList *l = provider->devices; l != NULL;) {
    GstHelixDevice *device = l->data;

    l = l->next;
    if (!is_known (self->vms, device->socket_path))
      gst_device_provider_device_remove (provider, GST_DEVICE (device));
  }
  for (guint i = 0; i < self->vms->len; i++) {
    HelixVm *vm = g_ptr_array_index (self->vms, i);

    if (!vm->complete || !vm->news)
      continue;
    vm->news = FALSE;
    for (guint j = 0; j < HELIX_MAX_SCANOUTS; j++)
      tell (provider, vm, j);
  }
}

static gpointer
watch (gpointer data)
{
  GstHelixDeviceProvider *self = data;
  guint64 next = helix_now_ns () + LOOK_NS;

  helix_thread_name ("helix-devices");
  while (!g_atomic_int_get (&self->stopping)) {
    helix_vm_poll (self->vms, &self->waiter, next);
    if (helix_now_ns () >= next) {
      look (self->vms);
      next = helix_now_ns () + LOOK_NS;
    }
    tell_all (self);
  }
  return NULL;
}

static gboolean
gst_helix_device_provider_start (GstDeviceProvider *provider)
{
  GstHelixDeviceProvider *self = GST_HELIX_DEVICE_PROVIDER (provider);

  if (!helix_waiter_init (&self->waiter)) {
    GST_ERROR_OBJECT (self,
        "No descriptor for a wake-up can be had (%s). Raise the limit of open "
        "files (ulimit -n).",
        g_strerror (errno));
    return FALSE;
  }
  g_atomic_int_set (&self->stopping, FALSE);
  /* An application that asks for the list behind start () must find in it what
   * runs. */
  self->vms = find_all ();
  tell_all (self);
  self->thread = g_thread_new ("helix-devices", watch, self);
  return TRUE;
}

static void
gst_helix_device_provider_stop (GstDeviceProvider *provider)
{
  GstHelixDeviceProvider *self = GST_HELIX_DEVICE_PROVIDER (provider);

  g_atomic_int_set (&self->stopping, TRUE);
  helix_waiter_wake (&self->waiter);
  g_thread_join (g_steal_pointer (&self->thread));
  helix_waiter_clear (&self->waiter);
  g_clear_pointer (&self->vms, g_ptr_array_unref);
}

/* The list for applications that do not start (). */
static GList *
gst_helix_device_provider_probe (GstDeviceProvider *provider)
{
  g_autoptr (GPtrArray) vms = find_all ();
  GList *devices = NULL;

  for (guint i = vms->len; i-- > 0;) {
    const HelixVm *vm = g_ptr_array_index (vms, i);

    for (guint scanout = HELIX_MAX_SCANOUTS; scanout-- > 0;)
      if (is_listed (vm, scanout))
        devices = g_list_prepend (
            devices, gst_object_ref_sink (device_new (vm, scanout)));
  }
  return devices;
}

static void
gst_helix_device_provider_class_init (GstHelixDeviceProviderClass *klass)
{
  GstDeviceProviderClass *provider_class = GST_DEVICE_PROVIDER_CLASS (klass);

  provider_class->start = gst_helix_device_provider_start;
  provider_class->stop = gst_helix_device_provider_stop;
  provider_class->probe = gst_helix_device_provider_probe;
  gst_device_provider_class_set_static_metadata (provider_class,
      "Virtual machine screens", "Source/Video",
      "Lists the screens of running virtual machines with the helix shim",
      "The gst-helix developers");
  GST_DEBUG_CATEGORY_INIT (gst_helix_device_provider_debug,
      "helixdeviceprovider", 0, "screens of virtual machines");
}

static void
gst_helix_device_provider_init (GstHelixDeviceProvider *self)
{
}
