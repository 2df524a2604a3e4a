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
#include "gsthelixdeviceprovider.h"

#include <errno.h>
#include <poll.h>
#include <sys/stat.h>

#include "gsthelixdevice.h"
#include "helix-platform.h"
#include "helix-server-user.h"
#include "helix-socket-path.h"
#include "helix-vm-places.h"

GST_DEBUG_CATEGORY_STATIC (gst_helix_device_provider_debug);
#define GST_CAT_DEFAULT gst_helix_device_provider_debug

/* ns between two looks for VMs that are new. A folder with a handful of links
 * is read: some microseconds. (GFileMonitor would need a main context to run
 * in, and does not tell when somebody begins to listen.) What happens to VMs
 * that are known comes through their sockets at once. */
#define LOOK_NS (500 * GST_MSECOND)
/* ns for VMs to say what they have, where somebody waits for the list. */
#define ANSWER_NS (500 * GST_MSECOND)
/* ns until one that took no more clients is asked again. */
#define REFUSED_NS (5 * GST_SECOND)

#define CLIENT_NAME "helixdeviceprovider " HELIX_PACKAGE_VERSION

/* A VM that was found, and what was told of it to the application. */
typedef struct {
  HelixVmPeek *peek;
  guint64 retry_ns; /* when to ask one that refused again, at the earliest */
  GstDevice *device[HELIX_MAX_SCANOUTS]; /* NULL = not listed */
} Vm;

struct _GstHelixDeviceProvider {
  GstDeviceProvider parent;

  /* between start and stop */
  GThread *thread;
  int wakeup[2];
  gint stopping;  /* atomic */
  GPtrArray *vms; /* Vm: the thread's, once it runs */
};

G_DEFINE_TYPE (GstHelixDeviceProvider, gst_helix_device_provider,
    GST_TYPE_DEVICE_PROVIDER);
/* Applications look at providers from MARGINAL on. */
GST_DEVICE_PROVIDER_REGISTER_DEFINE (helixdeviceprovider, "helixdeviceprovider",
    GST_RANK_SECONDARY, GST_TYPE_HELIX_DEVICE_PROVIDER);

/* ---- which VMs there are ---- */

static HelixVmPeek *
connect_to (const gchar *path, pid_t pid)
{
  GError *error = NULL;
  gboolean final;
  int fd =
      helix_socket_path_dial (path, HELIX_SERVER_USER_NONE, &final, &error);

  if (fd < 0) {
    GST_LOG ("%s", error->message);
    g_error_free (error);
    return NULL;
  }
  return helix_vm_peek_new (path, pid, fd, CLIENT_NAME);
}

static Vm *
find_vm (GPtrArray *vms, const gchar *path)
{
  for (guint i = 0; i < vms->len; i++) {
    Vm *vm = g_ptr_array_index (vms, i);

    if (g_str_equal (vm->peek->path, path))
      return vm;
  }
  return NULL;
}

static void
meet (GPtrArray *vms, const gchar *path, pid_t pid)
{
  Vm *vm = find_vm (vms, path);
  HelixVmPeek *peek;
  guint64 now = helix_now_ns ();

  if (vm != NULL && (vm->peek->fd >= 0 || now < vm->retry_ns))
    return;
  peek = connect_to (path, pid);
  if (peek == NULL) {
    if (vm != NULL)
      vm->peek->refused = FALSE; /* gone: see prune () */
    return;
  }
  if (vm == NULL) {
    vm = g_new0 (Vm, 1);
    g_ptr_array_add (vms, vm);
  } else {
    helix_vm_peek_free (vm->peek);
  }
  vm->peek = peek;
  vm->retry_ns = now + REFUSED_NS;
}

static gboolean
is_same_file (const gchar *one, const gchar *other)
{
  struct stat a, b;

  return stat (one, &a) == 0 && stat (other, &b) == 0 && a.st_dev == b.st_dev
      && a.st_ino == b.st_ino;
}

/* Connects to those that are not known yet. The one that is named may be among
 * the places by another name. */
static void
look (GPtrArray *vms)
{
  const gchar *named = helix_socket_path_named (NULL);
  GPtrArray *places = helix_vm_places_list (NULL);

  if (named != NULL)
    meet (vms, named, 0);
  for (guint i = 0; i < places->len; i++) {
    const HelixVmPlace *place = g_ptr_array_index (places, i);

    if (named == NULL || !is_same_file (named, place->path))
      meet (vms, place->path, place->pid);
  }
  g_ptr_array_unref (places);
}

static void
vm_free (gpointer data)
{
  Vm *vm = data;

  for (guint i = 0; i < HELIX_MAX_SCANOUTS; i++)
    gst_clear_object (&vm->device[i]);
  helix_vm_peek_free (vm->peek);
  g_free (vm);
}

static GPtrArray *
vms_new (void)
{
  return g_ptr_array_new_with_free_func (vm_free);
}

/* Waits until all have said what they have, for a while. */
static void
hear (GPtrArray *vms)
{
  GPtrArray *peeks = g_ptr_array_new ();

  for (guint i = 0; i < vms->len; i++)
    g_ptr_array_add (peeks, ((Vm *) g_ptr_array_index (vms, i))->peek);
  helix_vm_peek_wait (peeks, helix_now_ns () + ANSWER_NS, -1);
  g_ptr_array_unref (peeks);
}

/* ---- which devices they are ---- */

/* A screen that is on is a device; so that a machine is seen before it shows
 * anything, the first one if there is no other. One that takes no more
 * clients does not tell: then it is the first as well. */
static gboolean
is_listed (const HelixVmPeek *peek, guint scanout)
{
  guint on = 0;

  for (guint i = 0; i < peek->scanouts; i++)
    on |= (peek->scanout[i].flags & HELIX_SCANOUT_ENABLED) != 0 ? 1u << i : 0;
  return peek->complete && (on != 0 ? (on >> scanout & 1) : scanout == 0);
}

static gboolean
is_same (GstDevice *one, GstDevice *other)
{
  gchar *name = gst_device_get_display_name (one);
  gchar *other_name = gst_device_get_display_name (other);
  gboolean same = g_str_equal (name, other_name);

  g_free (name);
  g_free (other_name);
  return same;
}

/* Tells the application what became of one screen. */
static void
tell (GstHelixDeviceProvider *self, Vm *vm, guint scanout, gboolean listed)
{
  GstDeviceProvider *provider = GST_DEVICE_PROVIDER (self);
  GstDevice *old = vm->device[scanout], *device = NULL;

  if (listed)
    device = gst_object_ref_sink (gst_helix_device_new (vm->peek, scanout));
  if (old != NULL && device != NULL && is_same (old, device)) {
    gst_object_unref (device);
    return;
  }
  if (device != NULL && old != NULL)
    gst_device_provider_device_changed (provider, device, old);
  else if (device != NULL)
    gst_device_provider_device_add (provider, device);
  else if (old != NULL)
    gst_device_provider_device_remove (provider, old);
  vm->device[scanout] = device;
  gst_clear_object (&old);
}

static void
tell_all (GstHelixDeviceProvider *self, Vm *vm, gboolean there)
{
  vm->peek->news = FALSE;
  for (guint i = 0; i < HELIX_MAX_SCANOUTS; i++)
    tell (self, vm, i, there && is_listed (vm->peek, i));
}

/* ---- keeping up ---- */

/* A VM whose connection is over is gone, unless it only took no more clients:
 * that one is asked again later. */
static void
prune (GstHelixDeviceProvider *self)
{
  for (guint i = self->vms->len; i-- > 0;) {
    Vm *vm = g_ptr_array_index (self->vms, i);

    if (vm->peek->fd >= 0 || vm->peek->refused)
      continue;
    tell_all (self, vm, FALSE);
    g_ptr_array_remove_index (self->vms, i);
  }
}

static void
wait_and_read (GstHelixDeviceProvider *self, guint64 until)
{
  struct pollfd *fds = g_new0 (struct pollfd, self->vms->len + 1);
  guint64 now = helix_now_ns ();
  guint n = self->vms->len;

  for (guint i = 0; i < n; i++) {
    fds[i].fd = ((Vm *) g_ptr_array_index (self->vms, i))->peek->fd;
    fds[i].events = POLLIN;
  }
  fds[n].fd = self->wakeup[0];
  fds[n].events = POLLIN;
  if (poll (
          fds, n + 1, until > now ? (int) ((until - now) / GST_MSECOND + 1) : 0)
      > 0) {
    for (guint i = 0; i < n; i++)
      if (fds[i].revents)
        helix_vm_peek_read (((Vm *) g_ptr_array_index (self->vms, i))->peek);
  }
  g_free (fds);
}

static gpointer
watch (gpointer data)
{
  GstHelixDeviceProvider *self = data;
  guint64 next = helix_now_ns () + LOOK_NS;

  helix_thread_name ("helix-devices");
  while (!g_atomic_int_get (&self->stopping)) {
    wait_and_read (self, next);
    if (helix_now_ns () >= next) {
      look (self->vms);
      next = helix_now_ns () + LOOK_NS;
    }
    for (guint i = 0; i < self->vms->len; i++) {
      Vm *vm = g_ptr_array_index (self->vms, i);

      /* Not while a new connection has yet to say what the old one did. */
      if (vm->peek->complete && vm->peek->news)
        tell_all (self, vm, TRUE);
    }
    prune (self);
  }
  return NULL;
}

static gboolean
gst_helix_device_provider_start (GstDeviceProvider *provider)
{
  GstHelixDeviceProvider *self = GST_HELIX_DEVICE_PROVIDER (provider);

  if (helix_wakeup_open (self->wakeup) < 0) {
    GST_ERROR_OBJECT (self,
        "No descriptor for a wake-up can be had (%s). Raise the limit of open "
        "files (ulimit -n).",
        g_strerror (errno));
    return FALSE;
  }
  g_atomic_int_set (&self->stopping, FALSE);
  self->vms = vms_new ();
  /* Who asks for the list behind start () must find in it what runs. */
  look (self->vms);
  hear (self->vms);
  for (guint i = 0; i < self->vms->len; i++) {
    Vm *vm = g_ptr_array_index (self->vms, i);

    if (vm->peek->complete)
      tell_all (self, vm, TRUE);
  }
  self->thread = g_thread_new ("helix-devices", watch, self);
  return TRUE;
}

static void
gst_helix_device_provider_stop (GstDeviceProvider *provider)
{
  GstHelixDeviceProvider *self = GST_HELIX_DEVICE_PROVIDER (provider);

  g_atomic_int_set (&self->stopping, TRUE);
  helix_wakeup_raise (self->wakeup);
  g_thread_join (g_steal_pointer (&self->thread));
  helix_wakeup_close (self->wakeup);
  g_clear_pointer (&self->vms, g_ptr_array_unref);
}

/* The list for those who do not start (). */
static GList *
gst_helix_device_provider_probe (GstDeviceProvider *provider)
{
  GPtrArray *vms = vms_new ();
  GList *devices = NULL;

  look (vms);
  hear (vms);
  for (guint i = vms->len; i-- > 0;) {
    const Vm *vm = g_ptr_array_index (vms, i);

    for (guint scanout = HELIX_MAX_SCANOUTS; scanout-- > 0;)
      if (is_listed (vm->peek, scanout))
        devices = g_list_prepend (devices,
            gst_object_ref_sink (gst_helix_device_new (vm->peek, scanout)));
  }
  g_ptr_array_unref (vms);
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
