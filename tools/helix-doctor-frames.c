/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-doctor.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helix-probe.h"
#include "helix-platform.h"
#include "helix-process.h"
#include "helix-discovery.h"
#include "helix-vms.h"
#include "helix-watch.h"

#define NS_PER_S 1e9

/* A client that connected this recently may not have had its first frame. */
#define SETTLED_NS G_GUINT64_CONSTANT (2000000000)

/* With so many frames seen by us, a watcher that got none does not take
 * them. Fewer may be a matter of when each of us looked. */
#define MOVING_FRAMES 5

#define QEMU_OPTION "-device helix-export,path=%s"

/* What lets this user connect: docs/QEMU.md, "Other users". */
#define AS_USER \
  "Run this, and the host's pipeline, as the user that runs QEMU, or let " \
  "this user in: -device helix-export,mode=0666,allow=USER"

/* ---- is there a VM, and a socket? ---- */

static void
vm_words (const HelixVm *vm, GString *list)
{
  HelixProcess process;
  g_autofree gchar *words = NULL;

  helix_process_look (&process, vm->pid);
  words = helix_process_words (&process);
  g_string_append_printf (list, "%s%s", list->len ? ", " : "", vm->path);
  if (vm->pid > 0)
    g_string_append_printf (list, " of %s", words);
}

static const HelixVm *
check_vm (const HelixVms *vms, HelixReport *report)
{
  g_autoptr (GString) list = g_string_new (NULL);
  HelixFinding *f;

  for (guint i = 0; i < vms->vms->len; i++)
    vm_words (g_ptr_array_index (vms->vms, i), list);
  if (vms->vms->len == 1) {
    f = helix_report_add (report, HELIX_CHECK_VM, HELIX_VERDICT_OK, "%s %s",
        vms->given ? "the socket to look at is" : "one VM exports its screen:",
        list->str);
    helix_json_uint (f->facts, "vms", 1);
    return g_ptr_array_index (vms->vms, 0);
  }
  if (vms->vms->len == 0) {
    f = helix_report_add (report, HELIX_CHECK_VM, HELIX_VERDICT_FAIL,
        "no VM that exports its screen was found");
    helix_finding_because (f, "looked at %s", vms->looked);
    helix_finding_remedy (f,
        "Start QEMU with " QEMU_OPTION
        ", or say --socket PATH if it listens elsewhere",
        "helix.sock");
  } else {
    f = helix_report_add (report, HELIX_CHECK_VM, HELIX_VERDICT_FAIL,
        "%u VMs export their screens, and none was chosen", vms->vms->len);
    helix_finding_because (f, "there are %s", list->str);
    helix_finding_remedy (
        f, "Say --socket PATH here, and socket-path=PATH to helixqemusrc");
  }
  helix_json_uint (f->facts, "vms", vms->vms->len);
  return NULL;
}

static gboolean
check_socket (const gchar *path, HelixReport *report)
{
  HelixFinding *f;
  struct stat st;

  if (strlen (path) >= helix_sun_path_max ()) {
    f = helix_report_add (report, HELIX_CHECK_SOCKET, HELIX_VERDICT_FAIL,
        "the path %s is too long for a socket", path);
    helix_finding_because (f, "it has %zu bytes, this system takes %zu",
        strlen (path), helix_sun_path_max () - 1);
    helix_finding_remedy (
        f, "Choose a shorter one, or a relative one from a nearer directory");
    return FALSE;
  }
  if (stat (path, &st) < 0) {
    f = helix_report_add (report, HELIX_CHECK_SOCKET, HELIX_VERDICT_FAIL,
        "there is no socket at %s", path);
    if (errno == EACCES) {
      helix_finding_because (
          f, "its directory is closed to this user (%s)", g_strerror (errno));
      helix_finding_remedy (f, AS_USER "; its folders have to let it pass");
    } else {
      helix_finding_because (f, "%s", g_strerror (errno));
      helix_finding_remedy (f,
          "Start QEMU with " QEMU_OPTION
          ", or say where it listens with --socket",
          path);
    }
    return FALSE;
  }
  if (!S_ISSOCK (st.st_mode)) {
    f = helix_report_add (report, HELIX_CHECK_SOCKET, HELIX_VERDICT_FAIL,
        "%s is not a socket", path);
    helix_finding_because (f, "it is %s",
        S_ISDIR (st.st_mode)       ? "a directory"
            : S_ISREG (st.st_mode) ? "a regular file"
                                   : "a device or a FIFO");
    helix_finding_remedy (
        f, "Say the path given to QEMU as " QEMU_OPTION, "...");
    return FALSE;
  }
  helix_report_add (
      report, HELIX_CHECK_SOCKET, HELIX_VERDICT_OK, "%s is a socket", path);
  return TRUE;
}

/* ---- does somebody listen? ---- */

/* The pid that the one who made the socket left in its lock file. */
static pid_t
read_lock (const gchar *path)
{
  g_autofree gchar *lock = g_strconcat (path, ".lock", NULL);
  g_autofree gchar *text = NULL;

  if (!g_file_get_contents (lock, &text, NULL, NULL))
    return 0;
  return (pid_t) CLAMP (g_ascii_strtoll (text, NULL, 10), 0, G_MAXINT32);
}

static void
explain_refused (const gchar *path, pid_t registered, HelixReport *report)
{
  HelixFinding *f = helix_report_add (report, HELIX_CHECK_LISTEN,
      HELIX_VERDICT_FAIL, "nobody listens on %s", path);
  pid_t pid = registered > 0 ? registered : read_lock (path);
  g_autofree gchar *words = NULL;
  HelixProcess process;

  helix_process_look (&process, pid);
  words = helix_process_words (&process);
  helix_json_uint (f->facts, "pid", pid);
  if (process.lives) {
    helix_finding_because (f,
        "its maker, %s, lives but has stopped listening, or that number is "
        "another process's now",
        words);
    helix_finding_remedy (f, "End that VM if it is one, and start it again");
    return;
  }
  if (pid > 0)
    helix_finding_because (
        f, "the file was left behind by pid %ld, which is gone", (long) pid);
  else
    helix_finding_because (
        f, "the file was left behind by a QEMU that is gone");
  helix_finding_remedy (f,
      "Start QEMU with " QEMU_OPTION "; it replaces the file by itself", path);
}

static void
explain_connect (
    const gchar *path, gint number, pid_t registered, HelixReport *report)
{
  HelixFinding *f;

  if (number == ECONNREFUSED) {
    explain_refused (path, registered, report);
    return;
  }
  f = helix_report_add (report, HELIX_CHECK_LISTEN, HELIX_VERDICT_FAIL,
      number == EACCES || number == EPERM ? "no permission to connect to %s"
                                          : "cannot connect to %s",
      path);
  helix_finding_because (f, "%s", g_strerror (number));
  if (number == EACCES || number == EPERM) {
    helix_finding_remedy (f, AS_USER);
  } else if (number == EAGAIN) {
    pid_t pid = registered > 0 ? registered : read_lock (path);

    helix_finding_because (f,
        "too many connections wait there already: its process, pid %ld, does "
        "not run",
        (long) pid);
    helix_finding_remedy (f, "Continue it (kill -CONT %ld)", (long) pid);
  } else {
    helix_finding_remedy (
        f, "Say the path given to QEMU as " QEMU_OPTION, "...");
  }
}

/* Another user's: it has not been spoken to. */
static void
explain_stranger (
    const gchar *path, const gchar *words, uid_t uid, HelixReport *report)
{
  HelixFinding *f = helix_report_add (report, HELIX_CHECK_LISTEN,
      HELIX_VERDICT_FAIL, "another user listens on %s", path);
  char name[HELIX_USER_NAME] = "?";

  helix_user_name (uid, name);
  helix_json_uint (f->facts, "uid", uid);
  helix_finding_because (f,
      "%s of user %s (uid %ld) serves it, who is neither root nor this user: "
      "nothing was said to it",
      words, name, (long) uid);
  helix_finding_remedy (f,
      "If that user runs the VM on purpose, say --server-user %ld here, and "
      "server-user=%ld to helixqemusrc; else choose a path in a folder of "
      "your own",
      (long) uid, (long) uid);
}

static HelixProbe *
check_listen (const HelixVm *vm, HelixProcess *peer, HelixReport *report)
{
  g_autofree gchar *words = NULL;
  HelixFinding *f;
  uid_t uid;
  gint fd = helix_socket (AF_UNIX);

  if (fd < 0
      || (helix_unix_connect (fd, vm->path) < 0 && errno != EINPROGRESS)) {
    explain_connect (vm->path, errno, vm->pid, report);
    if (fd >= 0)
      close (fd);
    return NULL;
  }
  helix_process_of_peer (peer, fd, &uid);
  words = helix_process_words (peer);
  if (!helix_discovery_trusts (fd, vm->path, helix_vms_server_uid (), NULL)) {
    explain_stranger (vm->path, words, uid, report);
    close (fd);
    return NULL;
  }
  f = helix_report_add (report, HELIX_CHECK_LISTEN, HELIX_VERDICT_OK,
      "%s listens, user %ld", words, (long) uid);
  helix_json_uint (f->facts, "pid", peer->pid);
  helix_json_text (f->facts, "command", peer->name);
  helix_json_uint (f->facts, "uid", uid);
  return helix_probe_new (fd, FALSE);
}

/* ---- is it a shim? ---- */

/* What to do about an ERROR that ends the connection. */
static const gchar *
remedy_of (guint32 code)
{
  switch (code) {
    case HELIX_ERROR_AUTH:
      return AS_USER;
    case HELIX_ERROR_BUSY:
      return "End one of the pipelines that watch this VM, or give "
             "helix-export a higher max-clients";
    case HELIX_ERROR_VERSION:
      return "Build QEMU's shim and the plugin from the same release";
    case HELIX_ERROR_ROLE:
      return "That is a helixguestsink: say the path given to QEMU as -device "
             "helix-export,path=...";
    default:
      return "Look at QEMU's messages";
  }
}

static void
explain_answer (guint probe, const gchar *path, const HelixProbe *shim,
    const HelixProcess *peer, const GError *error, HelixReport *report)
{
  g_autofree gchar *words = helix_process_words (peer);
  HelixFinding *f = helix_report_add (report, probe, HELIX_VERDICT_FAIL,
      probe == HELIX_CHECK_PING       ? "no PONG from %s"
          : probe == HELIX_CHECK_SHIM ? "no WELCOME from %s"
                                      : "no list of scanouts from %s",
      words);

  helix_finding_because (f, "%s", error->message);
  helix_json_bool (f->facts, "stopped", peer->stopped);
  if (peer->stopped) {
    helix_finding_because (f, "that process is stopped (SIGSTOP)");
    helix_finding_remedy (f, "Continue it (kill -CONT %ld)", (long) peer->pid);
    return;
  }
  switch (error->code) {
    case HELIX_PROBE_ERROR_SILENT:
      helix_finding_remedy (f,
          "If that is QEMU, its io thread hangs: end it and start it again. If "
          "not, %s is no helix socket: say the path given to QEMU as "
          "-device helix-export,path=...",
          path);
      break;
    case HELIX_PROBE_ERROR_OLD:
      helix_finding_remedy (f,
          "Replace the older of the two: build QEMU's shim and the plugin from "
          "the same release");
      break;
    case HELIX_PROBE_ERROR_REFUSED:
      helix_finding_remedy (f, "%s", remedy_of (shim->refusal.code));
      break;
    default:
      helix_finding_remedy (
          f, "Say the path given to QEMU as -device helix-export,path=...");
      break;
  }
}

static gboolean
check_shim (const HelixDoctor *self, HelixProbe *probe, const gchar *path,
    HelixProcess *peer, HelixReport *report)
{
  g_autoptr (GError) error = NULL;
  guint64 round_trip;
  HelixFinding *f;

  if (!helix_probe_ping (
          probe, helix_doctor_soon (self), &round_trip, &error)) {
    helix_process_look (peer, peer->pid);
    explain_answer (HELIX_CHECK_PING, path, probe, peer, error, report);
    return FALSE;
  }
  f = helix_report_add (report, HELIX_CHECK_PING, HELIX_VERDICT_OK,
      "PONG after %.1f ms", (gdouble) round_trip / 1e6);
  helix_json_ms (f->facts, "round_trip_ms", round_trip);

  if (!helix_probe_hello (
          probe, HELIX_ROLE_FRAMES, NULL, helix_doctor_soon (self), &error)) {
    helix_process_look (peer, peer->pid);
    explain_answer (HELIX_CHECK_SHIM, path, probe, peer, error, report);
    return FALSE;
  }
  f = helix_report_add (report, HELIX_CHECK_SHIM, HELIX_VERDICT_OK,
      "%s, protocol version %u", *probe->name ? probe->name : "a nameless shim",
      probe->welcome.version);
  helix_json_text (f->facts, "name", probe->name);
  helix_json_uint (f->facts, "version", probe->welcome.version);
  helix_json_uint (f->facts, "scanouts", probe->welcome.scanouts);
  return TRUE;
}

/* ---- what does it show? ---- */

/* "0 1920x1080, 1 off"; *on = how many are on. */
static gchar *
scanouts_words (const HelixProbe *probe, guint *on)
{
  GString *list = g_string_new (NULL);

  *on = 0;
  for (guint i = 0; i < probe->welcome.scanouts; i++) {
    const struct helix_scanout *s = &probe->scanouts[i];

    g_string_append_printf (list, "%s%u ", i ? ", " : "", i);
    if (!(probe->scanouts_known & 1u << i))
      g_string_append (list, "not exported");
    else if (!helix_probe_scanout_on (probe, i))
      g_string_append (list, "off");
    else
      g_string_append_printf (list, "%ux%u", s->width, s->height);
    *on += helix_probe_scanout_on (probe, i);
  }
  return g_string_free (list, FALSE);
}

static gboolean
check_scanouts (
    const HelixDoctor *self, const HelixProbe *probe, HelixReport *report)
{
  HelixFinding *f;
  guint on;
  g_autofree gchar *words = scanouts_words (probe, &on);

  if (self->scanout >= (gint) probe->welcome.scanouts) {
    f = helix_report_add (report, HELIX_CHECK_SCANOUT, HELIX_VERDICT_FAIL,
        "there is no scanout %d", self->scanout);
    helix_finding_because (
        f, "the VM has %u: %s", probe->welcome.scanouts, words);
    helix_finding_remedy (f,
        "Choose one of them, or give the VM more with max_outputs=N of its "
        "virtio-gpu device");
  } else if (self->scanout >= 0
      && !helix_probe_scanout_on (probe, (guint) self->scanout)) {
    f = helix_report_add (report, HELIX_CHECK_SCANOUT, HELIX_VERDICT_FAIL,
        "scanout %d is off", self->scanout);
    helix_finding_because (f, "the VM's are: %s", words);
    helix_finding_remedy (f,
        "Choose one that is on, or switch it on: helix scanout %d 1920x1080",
        self->scanout);
  } else if (on == 0) {
    f = helix_report_add (report, HELIX_CHECK_SCANOUT, HELIX_VERDICT_FAIL,
        "the guest shows nothing");
    helix_finding_because (f,
        "every scanout is off (%s): it has not booted so far, is in VGA mode "
        "(firmware or boot loader on virtio-vga), which is not exported, has "
        "no driver for virtio-gpu, or switched its screen off",
        words);
    helix_finding_remedy (f,
        "Look at the guest's console; helix scanout 0 1920x1080 plugs a "
        "monitor in. In VGA mode wait for the guest's driver, or use "
        "virtio-gpu-pci with UEFI");
  } else {
    f = helix_report_add (report, HELIX_CHECK_SCANOUT, HELIX_VERDICT_OK,
        "%u of %u on: %s", on, probe->welcome.scanouts, words);
  }
  helix_json_array (f->facts, "scanouts");
  for (guint i = 0; i < probe->welcome.scanouts; i++) {
    helix_json_object (f->facts, NULL);
    helix_json_uint (f->facts, "scanout", i);
    helix_json_bool (f->facts, "on", helix_probe_scanout_on (probe, i));
    helix_json_uint (f->facts, "width", probe->scanouts[i].width);
    helix_json_uint (f->facts, "height", probe->scanouts[i].height);
    json_builder_end_object (f->facts);
  }
  json_builder_end_array (f->facts);
  return f->verdict == HELIX_VERDICT_OK;
}

static void
check_frames (const HelixDoctor *self, const HelixWatch *watch,
    const GError *error, HelixReport *report)
{
  g_autoptr (GString) list = g_string_new (NULL);
  const HelixWatched *failed = NULL;
  HelixFinding *f;

  for (guint i = 0; i < watch->n; i++) {
    const HelixWatched *w = &watch->scanouts[i];

    if (w->frames == 0) {
      if (failed == NULL)
        failed = w;
      continue;
    }
    g_string_append_printf (
        list, "%sscanout %u: ", list->len ? "; " : "", w->scanout);
    if (w->frames == 1)
      g_string_append_printf (list, "a picture after %.0f ms, then still",
          (gdouble) w->first_ns / 1e6);
    else
      g_string_append_printf (list, "%.1f frames a second", w->fps);
  }
  if (failed == NULL) {
    f = helix_report_add (
        report, HELIX_CHECK_FRAMES, HELIX_VERDICT_OK, "%s", list->str);
  } else {
    f = helix_report_add (report, HELIX_CHECK_FRAMES, HELIX_VERDICT_FAIL,
        "no picture of scanout %u", failed->scanout);
    helix_finding_because (f, "%s",
        *failed->refused ? failed->refused
            : error != NULL
            ? error->message
            : "the shim took the subscription, but nothing came: QEMU's main "
              "loop is busy or stopped");
    helix_finding_remedy (f,
        "Look at QEMU's messages, and for a guest that hangs in its graphics "
        "driver");
  }
  helix_watch_json (watch, f->facts);
}

/* ---- who else watches it? ---- */

/* A client that watches, as the finding of its hop. */
static void
judge_watcher (const HelixProbe *probe, const HelixListed *client,
    const HelixListed *before, const HelixWatch *watch, HelixReport *report)
{
  const struct helix_client *info = &client->info;
  guint64 got = info->frames - (before != NULL ? before->info.frames : 0);
  const HelixWatched *seen = helix_watch_of (watch, info->scanout);
  g_autofree gchar *words = NULL;
  HelixFinding *f;
  HelixProcess process;
  guint on;

  helix_process_look (&process, (pid_t) info->pid);
  words = helix_process_words (&process);
  if (process.stopped) {
    f = helix_report_add (report, HELIX_CHECK_PIPELINE, HELIX_VERDICT_FAIL,
        "%s, %s, is stopped", client->name, words);
    helix_finding_because (f, "SIGSTOP, or a debugger");
    helix_finding_remedy (f, "Continue it (kill -CONT %u)", info->pid);
  } else if (info->scanout != HELIX_NONE32
      && !helix_probe_scanout_on (probe, info->scanout)) {
    g_autofree gchar *list = scanouts_words (probe, &on);

    f = helix_report_add (report, HELIX_CHECK_PIPELINE, HELIX_VERDICT_FAIL,
        "%s, %s, watches scanout %u, which is off", client->name, words,
        info->scanout);
    helix_finding_because (f, "the VM's scanouts are: %s", list);
    helix_finding_remedy (f,
        "Set scanout of helixqemusrc to one that is on, or switch that one on: "
        "helix scanout %u 1920x1080",
        info->scanout);
  } else if (before != NULL && got == 0 && seen != NULL
      && seen->frames >= MOVING_FRAMES && info->connected_ns > SETTLED_NS) {
    f = helix_report_add (report, HELIX_CHECK_PIPELINE, HELIX_VERDICT_FAIL,
        "%s, %s, takes no frames while the screen changes", client->name,
        words);
    helix_finding_because (
        f, "its pipeline is paused, or something behind helixqemusrc blocks");
    helix_finding_remedy (
        f, "Set it to PLAYING, and look at the encoder and the sink");
  } else if (info->scanout != HELIX_NONE32) {
    f = helix_report_add (report, HELIX_CHECK_PIPELINE, HELIX_VERDICT_OK,
        "%s, %s, watches scanout %u, %" G_GUINT64_FORMAT " frames so far",
        client->name, words, info->scanout, info->frames);
  } else {
    f = helix_report_add (report, HELIX_CHECK_PIPELINE, HELIX_VERDICT_OK,
        "%s, %s, watches resource %u, %" G_GUINT64_FORMAT " frames so far",
        client->name, words, info->resource_id, info->frames);
  }
  helix_json_text (f->facts, "name", client->name);
  helix_json_uint (f->facts, "pid", info->pid);
  helix_json_uint (f->facts, "scanout", info->scanout);
  helix_json_uint (f->facts, "frames", info->frames);
}

/* All may be well with those who watch, but it is the wrong picture. */
static void
explain_other_scanout (const HelixDoctor *self, HelixReport *report)
{
  HelixFinding *f = helix_report_add (report, HELIX_CHECK_PIPELINE,
      HELIX_VERDICT_FAIL, "no host pipeline watches scanout %d", self->scanout);

  helix_finding_because (f, "those that there are watch another one");
  helix_finding_remedy (f,
      "Set scanout=%d of helixqemusrc, or of helixsrc in the guest",
      self->scanout);
}

static void
check_pipeline (const HelixDoctor *self, const HelixProbe *probe,
    const HelixListing *before, const HelixListing *after,
    const HelixWatch *watch, HelixReport *report)
{
  guint idle = 0, meant = 0;
  HelixFinding *f;

  if (after->clients == NULL) {
    helix_report_add (report, HELIX_CHECK_PIPELINE, HELIX_VERDICT_NOTE,
        "the shim is too old to tell who watches it");
    return;
  }
  for (guint i = 0; i < after->clients->len; i++) {
    const HelixListed *client = &g_array_index (after->clients, HelixListed, i);

    if (client->info.flags & HELIX_CLIENT_YOU)
      continue;
    if (client->info.scanout == HELIX_NONE32 && client->info.resource_id == 0)
      idle++;
    else
      judge_watcher (probe, client, helix_listing_find (before, after, client),
          watch, report);
    /* What a resource is shown on, its owner knows. */
    if (client->info.scanout == (guint32) self->scanout
        || (client->info.scanout == HELIX_NONE32
            && client->info.resource_id != 0))
      meant++;
  }
  if (helix_report_knows (report, HELIX_CHECK_PIPELINE)) {
    if (self->scanout >= 0 && meant == 0)
      explain_other_scanout (self, report);
    return;
  }
  f = helix_report_add (report, HELIX_CHECK_PIPELINE, HELIX_VERDICT_FAIL,
      "no host pipeline watches this VM");
  helix_finding_because (f,
      "nobody but this program has subscribed to a scanout%s",
      idle ? ", though others are connected" : "");
  helix_finding_remedy (f,
      "Start one: gst-launch-1.0 helixqemusrc ! x264enc tune=zerolatency ! "
      "helixguestsink; or set it to PLAYING: one that is paused is not "
      "connected");
}

static guint
scanouts_to_watch (const HelixDoctor *self, const HelixProbe *probe)
{
  guint mask = 0;

  for (guint i = 0; i < HELIX_MAX_SCANOUTS; i++)
    if (helix_probe_scanout_on (probe, i)
        && (self->scanout < 0 || (guint) self->scanout == i))
      mask |= 1u << i;
  return mask;
}

void
helix_doctor_frames (const HelixDoctor *self, HelixReport *report)
{
  g_autoptr (HelixVms) vms = helix_vms_find (self->socket);
  const HelixVm *vm = check_vm (vms, report);
  HelixListing before = {0}, after = {0};
  g_autoptr (HelixProbe) probe = NULL;
  g_autoptr (GError) error = NULL;
  HelixWatch watch = {0};
  HelixProcess peer;

  if (vm == NULL || !check_socket (vm->path, report))
    return;
  probe = check_listen (vm, &peer, report);
  if (probe == NULL || !check_shim (self, probe, vm->path, &peer, report))
    return;
  /* Its answer comes behind the state of every scanout. */
  if (!helix_probe_list (probe, &before, helix_doctor_soon (self), &error)) {
    explain_answer (HELIX_CHECK_SCANOUT, vm->path, probe, &peer, error, report);
    goto out;
  }
  if (check_scanouts (self, probe, report)) {
    helix_watch_run (
        &watch, probe, scanouts_to_watch (self, probe), self->deadline, &error);
    check_frames (self, &watch, error, report);
    g_clear_error (&error);
  }
  if (helix_probe_list (probe, &after, helix_doctor_soon (self), &error))
    check_pipeline (self, probe, &before, &after, &watch, report);

out:
  helix_listing_clear (&before);
  helix_listing_clear (&after);
}
