/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the VM to the host's pipeline.
 */
#include <errno.h>
#include <gst/gst.h>
#include <string.h>
#include <sys/stat.h>

#include "helix-doctor.h"
#include "helix-platform.h"
#include "helix-transport.h"

/* For how long frames are counted; and how much longer a first one may take
 * to come, from a VM that is busy. */
#define COUNT_NS (1000 * GST_MSECOND)
#define FIRST_NS (2000 * GST_MSECOND)

/* The fewest that do: one is shown while the other is filled. */
#define SLOTS 2

/* A client that connected this recently may not have had its first frame. */
#define SETTLED_NS (2000 * GST_MSECOND)

/* With so many frames seen by us, a watcher that got none does not take
 * them. Fewer may be a matter of when each of us looked. */
#define MOVING_FRAMES 5

#define QEMU_OPTION "-device helix-export,path="
#define AS_GIVEN "Say the path given to QEMU as " QEMU_OPTION "..."

/* What lets this user connect: docs/QEMU.md, "Other users". */
#define AS_USER \
  "Run this, and the host's pipeline, as the user that runs QEMU, or let " \
  "this user in: -device helix-export,mode=0666,allow=USER"

/* ---- is there a VM, and a socket? ---- */

static HelixVm *
vm_of (const HelixWalk *walk)
{
  return g_ptr_array_index (walk->vms, 0);
}

/* The pid in the socket's lock file: of the process that made both. */
static pid_t
read_lock (const gchar *path)
{
  g_autofree gchar *lock = g_strconcat (path, ".lock", NULL);
  g_autofree gchar *text = NULL;

  if (!g_file_get_contents (lock, &text, NULL, NULL))
    return 0;
  return (pid_t) CLAMP (g_ascii_strtoll (text, NULL, 10), 0, G_MAXINT32);
}

/* Sets walk->probe and walk->server, or walk->error. */
static void
connect_vm (HelixWalk *walk)
{
  HelixVm *vm = vm_of (walk);
  pid_t pid = read_lock (vm->path);
  g_autofree gchar *go_on = pid > 0
      ? g_strdup_printf ("Its process does not run: continue it (kill -CONT "
                         "%ld)",
          (long) pid)
      : g_strdup ("Its process does not run: find it, and continue it (kill "
                  "-CONT PID)");
  struct stat st;
  const HelixFailure failures[] = {
      {ENOENT, "there is no socket",
          "Start QEMU with " QEMU_OPTION "... and this path, or say where it "
          "listens with --socket"},
      {EAGAIN, "too many connections wait there already", go_on},
      {EACCES,
          stat (vm->path, &st) < 0 ? "its directory is closed to this user"
                                   : "not allowed to connect",
          AS_USER "; the path's folders have to let it pass"},
      {EPERM, "not allowed to connect", AS_USER},
      {0, "connect () failed", AS_GIVEN},
  };
  gint fd =
      helix_transport_connect_path (vm->path, vm->path, failures, &walk->error);

  if (fd < 0)
    return;
  walk->probe = helix_probe_new (fd, FALSE);
  helix_process_of_peer (&walk->server, fd);
  vm->pid = walk->server.pid;
}

static gboolean
check_vm (HelixWalk *walk)
{
  g_autoptr (GString) list = g_string_new (NULL);
  g_autofree gchar *looked = NULL;
  GPtrArray *found = helix_vms_find (walk->doctor->socket, &looked);

  walk->vms = found;
  if (found->len == 1)
    connect_vm (walk);
  for (guint i = 0; i < found->len; i++) {
    HelixVm *vm = g_ptr_array_index (found, i);
    HelixProcess process;

    helix_process_look (&process, vm->pid);
    g_string_append_printf (list, "%s%s%s%s", i > 0 ? ", " : "", vm->path,
        vm->pid > 0 ? " of " : "", vm->pid > 0 ? process.words : "");
  }
  if (found->len == 0)
    helix_walk_fail (walk,
        "no VM that exports its screen was found" BECAUSE "looked at %s" REMEDY
        "Start QEMU with " QEMU_OPTION
        "helix.sock, or say --socket PATH if it listens elsewhere",
        looked);
  else if (found->len > 1)
    helix_walk_fail (walk,
        "%u VMs export their screens, and none was chosen" BECAUSE
        "there are %s" REMEDY
        "Say --socket PATH here, and socket-path=PATH to helixqemusrc",
        found->len, list->str);
  else
    helix_walk_ok (walk, "%s %s",
        looked == NULL ? "the socket to look at is"
                       : "one VM exports its screen:",
        list->str);
  helix_json_add (walk->facts, JSON_UINT ("vms", found->len));
  return found->len == 1;
}

static gboolean
check_socket (HelixWalk *walk)
{
  const gchar *path = vm_of (walk)->path;
  struct stat st;

  if (walk->error != NULL
      && (stat (path, &st) < 0 || !S_ISSOCK (st.st_mode)
          || strlen (path) >= helix_sun_path_max ()))
    return helix_walk_unreachable (walk, path, walk->error, NULL);
  return helix_walk_ok (walk, "%s is a socket", path);
}

/* ---- does something listen? ---- */

/* Returns FALSE. */
static gboolean
explain_connect (HelixWalk *walk)
{
  const gchar *path = vm_of (walk)->path;
  pid_t pid = read_lock (path);
  HelixProcess maker;

  helix_process_look (&maker, pid);
  if (walk->error->code != GST_RESOURCE_ERROR_NOT_FOUND)
    helix_walk_unreachable (walk, path, walk->error, NULL);
  else if (maker.lives)
    helix_walk_fail (walk,
        "no process listens on %s" BECAUSE
        "its maker, %s, lives but has stopped listening, or that number is "
        "another process's now" REMEDY
        "End that VM if it is one, and start it again",
        path, maker.words);
  else
    helix_walk_fail (walk,
        "no process listens on %s" BECAUSE
        "the file was left behind by %s%s gone" REMEDY
        "Start QEMU with " QEMU_OPTION "%s; it replaces the file by itself",
        path, pid > 0 ? maker.words : "a QEMU that is",
        pid > 0 ? ", which is" : "", path);
  helix_json_add (walk->facts, JSON_UINT ("pid", (guint64) pid));
  return FALSE;
}

/* Another user's: it has not been spoken to. */
static void
explain_stranger (HelixWalk *walk)
{
  long uid = (long) walk->server.uid;
  char name[HELIX_USER_NAME] = "?";

  helix_user_name (walk->server.uid, name);
  helix_walk_fail (walk,
      "another user listens on %s" BECAUSE
      "%s of user %s (uid %ld) serves it, who is neither root nor this user: "
      "nothing was said to it" REMEDY
      "If that user runs the VM on purpose, say --server-user %ld here, and "
      "server-user=%ld to helixqemusrc; else choose a path in a folder of "
      "your own",
      vm_of (walk)->path, walk->server.words, name, uid, uid, uid);
}

static const HelixRemedy remedies[] = {
    {HELIX_LOSS_SILENT, 0,
        "If that is QEMU, its io thread hangs: end it and start it again. If "
        "not, this is no helix socket: say the path given to QEMU as "
        "-device helix-export,path=..."},
    {HELIX_LOSS_OLD, 0,
        "Replace the older of the two: build QEMU's shim and the plugin from "
        "the same release"},
    {HELIX_LOSS_REFUSED, HELIX_ERROR_AUTH, AS_USER},
    {HELIX_LOSS_REFUSED, HELIX_ERROR_BUSY,
        "End one of the pipelines that watch this VM, or give helix-export a "
        "higher max-clients"},
    {HELIX_LOSS_REFUSED, HELIX_ERROR_VERSION,
        "Build QEMU's shim and the plugin from the same release"},
    {HELIX_LOSS_REFUSED, HELIX_ERROR_ROLE,
        "That is a helixguestsink: say the path given to QEMU as " QEMU_OPTION
        "..."},
    {HELIX_LOSS_REFUSED, 0, "Look at QEMU's messages"},
    {HELIX_LOSS_NONE, 0, AS_GIVEN},
};

static const gchar *
remedy_for (const HelixWalk *walk, const GError *error)
{
  return helix_walk_remedy (walk, remedies, error);
}

static gboolean
check_listen (HelixWalk *walk)
{
  HelixVm *vm = vm_of (walk);
  gboolean trusted;

  if (walk->error != NULL)
    return explain_connect (walk);
  walk->remedy = remedy_for;
  trusted = helix_discovery_trusts (walk->probe->connection->fd, vm->path,
      helix_vms_server_uid (), &vm->pid, NULL);
  if (trusted)
    helix_walk_ok (walk, "%s listens, user %ld", walk->server.words,
        (long) walk->server.uid);
  else
    explain_stranger (walk);
  helix_json_add (walk->facts, JSON_UINT ("pid", (guint64) walk->server.pid),
      JSON_TEXT ("command", walk->server.name),
      JSON_UINT ("uid", walk->server.uid));
  return trusted;
}

/* ---- is it a shim? ---- */

static gboolean
check_shim (HelixWalk *walk)
{
  gboolean good = helix_walk_hello (walk, HELIX_ROLE_FRAMES, NULL);

  if (good)
    helix_json_add (walk->facts,
        JSON_UINT ("scanouts", walk->probe->connection->welcome.scanouts));
  return good;
}

/* ---- what does it show? ---- */

static gboolean
check_scanout (HelixWalk *walk)
{
  gint meant = walk->doctor->scanout;
  guint all = walk->probe->connection->welcome.scanouts, on = 0;
  gboolean good = FALSE;
  g_autoptr (GError) error = NULL;
  g_autofree gchar *words = NULL;

  /* Its answer comes behind the state of every scanout. */
  if (!helix_probe_list (walk->probe, helix_walk_soon (walk), &error))
    return helix_walk_unanswered (walk, "list of scanouts", error);
  words = helix_probe_scanouts_words (walk->probe);
  for (guint i = 0; i < all; i++)
    on += helix_probe_scanout_on (walk->probe, i);
  if (meant >= (gint) all)
    helix_walk_fail (walk,
        "there is no scanout %d" BECAUSE "the VM has %u: %s" REMEDY
        "Choose one of them, or give the VM more with max_outputs=N of its "
        "virtio-gpu device",
        meant, all, words);
  else if (meant >= 0 && !helix_probe_scanout_on (walk->probe, (guint) meant))
    helix_walk_fail (walk,
        "scanout %d is off" BECAUSE "the VM's are: %s" REMEDY
        "Choose one that is on, or switch it on: helix scanout %d 1920x1080",
        meant, words, meant);
  else if (on == 0)
    helix_walk_fail (walk,
        "the guest shows nothing" BECAUSE
        "every scanout is off (%s): it has not booted so far, is in VGA mode "
        "(firmware or boot loader on virtio-vga), which is not exported, has "
        "no driver for virtio-gpu, or switched its screen off" REMEDY
        "Look at the guest's console; helix scanout 0 1920x1080 plugs a "
        "monitor in. In VGA mode wait for the guest's driver, or use "
        "virtio-gpu-pci with UEFI",
        words);
  else
    good = helix_walk_ok (walk, "%u of %u on: %s", on, all, words);
  helix_probe_scanouts_json (walk->probe, walk->facts);
  /* Without a picture, check_pipeline () is still of use. */
  for (guint i = 0; i < HELIX_MAX_SCANOUTS; i++)
    if (good && helix_probe_scanout_on (walk->probe, i)
        && (meant < 0 || (guint) meant == i))
      walk->asked |= 1u << i;
  walk->awaited = walk->asked;
  return TRUE;
}

/* ---- do pictures come? ---- */

static gboolean
take_frame (HelixWalk *walk, HelixWatched *w, guint64 began, GError **error)
{
  const struct helix_reader *r = &walk->probe->connection->reader;
  struct helix_rect rects[HELIX_MAX_RECTS];
  struct helix_release release;
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_frame frame;
  const gchar *why;

  if (!helix_unpack_frame (&frame, rects, r->payload, r->payload_size, &why))
    return helix_probe_violation (walk->probe, why, error);
  w->last_ns = walk->probe->connection->heard_ns - began;
  if (w->frames++ == 0)
    w->first_ns = w->last_ns;
  release.pool_id = frame.pool_id;
  release.slot = frame.slot;
  helix_connection_send (walk->probe->connection, message,
      helix_pack_release (message, r->header.channel, &release));
  return TRUE;
}

/* SUBSCRIBE, or UNSUBSCRIBE. The channel says which scanout an answer is
 * about. */
static void
subscribe (HelixWalk *walk, gboolean on)
{
  struct helix_subscribe subscribe = {.rate_den = 1, .slots = SLOTS};
  guint8 message[HELIX_MAX_MESSAGE];

  for (guint i = 0; i < HELIX_MAX_SCANOUTS; i++) {
    uint16_t channel = (uint16_t) (i + 1);

    subscribe.scanout = i;
    if (walk->asked & 1u << i)
      helix_connection_send (walk->probe->connection, message,
          on ? helix_pack_subscribe (message, channel, &subscribe)
             : helix_pack_empty (message, HELIX_UNSUBSCRIBE, channel));
  }
}

/* Watches for about a second: does a picture come, and how many a second after
 * it? The pixels stay where they are; slots go back at once. FALSE: the
 * connection was lost meanwhile; what came before it counts. */
static gboolean
watch (HelixWalk *walk, GError **error)
{
  const HelixConnection *shim = walk->probe->connection;
  guint64 deadline = walk->doctor->deadline, began = helix_now_ns ();
  guint64 end = MIN (began + COUNT_NS, deadline);

  subscribe (walk, TRUE);
  while (helix_now_ns () < end) {
    gint type = helix_probe_next (walk->probe, end, error);
    guint i = shim->reader.header.channel - 1u;
    gboolean watched = i < HELIX_MAX_SCANOUTS && walk->asked & 1u << i;

    if (type < 0
        || (watched && type == HELIX_FRAME
            && !take_frame (walk, &walk->watched[i], began, error)))
      return FALSE;
    if (watched && type == HELIX_ERROR)
      g_strlcpy (walk->watched[i].refused, shim->text,
          sizeof walk->watched[i].refused);
    if (watched && (type == HELIX_FRAME || type == HELIX_ERROR))
      walk->awaited &= ~(1u << i);
    if (helix_now_ns () >= end && walk->awaited != 0)
      end = MIN (began + FIRST_NS, deadline);
  }
  subscribe (walk, FALSE);
  return TRUE;
}

/* After the first frame; 0 while the screen stands still. */
static gdouble
fps_of (const HelixWatched *w)
{
  return w->last_ns > w->first_ns
      ? (w->frames - 1) * 1e9 / (gdouble) (w->last_ns - w->first_ns)
      : 0;
}

static void
watched_json (const HelixWalk *walk, JsonBuilder *json)
{
  helix_json_array (json, "rates");
  for (guint i = 0; i < HELIX_MAX_SCANOUTS; i++) {
    const HelixWatched *w = &walk->watched[i];

    if (!(walk->asked & 1u << i))
      continue;
    helix_json_object (json, NULL);
    helix_json_add (json, JSON_UINT ("scanout", i),
        JSON_UINT ("frames", w->frames), JSON_DOUBLE ("fps", fps_of (w)),
        JSON_MS ("first_ms", w->frames > 0 ? w->first_ns : HELIX_NONE64));
    json_builder_end_object (json);
  }
  json_builder_end_array (json);
}

static gboolean
check_frames (HelixWalk *walk)
{
  g_autoptr (GString) list = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  const HelixWatched *failed = NULL;

  if (walk->asked == 0)
    return TRUE;
  watch (walk, &error);
  for (guint i = 0; i < HELIX_MAX_SCANOUTS; i++) {
    HelixWatched *w = &walk->watched[i];

    if (walk->asked & 1u << i && w->frames == 0 && failed == NULL)
      failed = w;
    if (w->frames == 0)
      continue;
    g_string_append_printf (list, "%sscanout %u: ", list->len ? "; " : "", i);
    if (w->frames == 1)
      g_string_append_printf (list, "a picture after %.0f ms, then still",
          (gdouble) w->first_ns / 1e6);
    else
      g_string_append_printf (list, "%.1f frames a second", fps_of (w));
  }
  if (failed == NULL)
    helix_walk_ok (walk, "%s", list->str);
  else
    helix_walk_fail (walk,
        "no picture of scanout %u" BECAUSE "%s" REMEDY
        "Look at QEMU's messages, and for a guest that hangs in its graphics "
        "driver",
        (guint) (failed - walk->watched),
        *failed->refused    ? failed->refused
            : error != NULL ? error->message
                            : "the shim took the subscription, but nothing "
                              "came: QEMU's main loop is busy or stopped");
  watched_json (walk, walk->facts);
  return TRUE;
}

/* ---- who else watches it? ---- */

/* A client that watches: a finding of its own. */
static void
judge_watcher (HelixWalk *walk, const HelixListed *client)
{
  const struct helix_client *info = &client->info;
  const HelixListed *before = helix_probe_earlier (walk->probe, client);
  gboolean by_scanout = info->scanout != HELIX_NONE32;
  gboolean moves = info->scanout < HELIX_MAX_SCANOUTS
      && walk->watched[info->scanout].frames >= MOVING_FRAMES;
  g_autofree gchar *who = NULL;
  HelixProcess process;

  helix_process_look (&process, (pid_t) info->pid);
  who = g_strdup_printf ("%s, %s,", client->name, process.words);
  if (process.stopped) {
    helix_walk_fail (walk,
        "%s is stopped" BECAUSE "SIGSTOP, or a debugger" REMEDY
        "Continue it (kill -CONT %u)",
        who, info->pid);
  } else if (by_scanout
      && !helix_probe_scanout_on (walk->probe, info->scanout)) {
    g_autofree gchar *list = helix_probe_scanouts_words (walk->probe);

    helix_walk_fail (walk,
        "%s watches scanout %u, which is off" BECAUSE
        "the VM's scanouts are: %s" REMEDY
        "Set scanout of helixqemusrc to one that is on, or switch it on: "
        "helix scanout %u 1920x1080",
        who, info->scanout, list, info->scanout);
  } else if (moves && before != NULL && info->frames == before->info.frames
      && info->connected_ns > SETTLED_NS) {
    helix_walk_fail (walk,
        "%s takes no frames while the screen changes" BECAUSE
        "its pipeline is paused, or something behind helixqemusrc "
        "blocks" REMEDY
        "Set it to PLAYING, and look at the encoder and the sink",
        who);
  } else {
    helix_walk_ok (walk,
        "%s watches %s %u, %" G_GUINT64_FORMAT " frames so far", who,
        by_scanout ? "scanout" : "resource",
        by_scanout ? info->scanout : info->resource_id, info->frames);
  }
  helix_listed_json (client, walk->facts);
  helix_json_add (walk->facts, JSON_UINT ("frames", info->frames));
}

static gboolean
check_pipeline (HelixWalk *walk)
{
  gint meant = walk->doctor->scanout;
  guint watchers = 0, idle = 0, on_it = 0;

  if (!helix_probe_list (walk->probe, helix_walk_soon (walk), NULL))
    return FALSE;
  if (walk->probe->now.clients == NULL) {
    helix_walk_note (walk, "the shim is too old to tell who watches it");
    return TRUE;
  }
  for (guint i = 0; i < walk->probe->now.clients->len; i++) {
    const HelixListed *client =
        &g_array_index (walk->probe->now.clients, HelixListed, i);
    gboolean by_scanout = client->info.scanout != HELIX_NONE32;

    if (client->info.flags & HELIX_CLIENT_YOU)
      continue;
    if (by_scanout || client->info.resource_id != 0) {
      judge_watcher (walk, client);
      watchers++;
    } else {
      idle++;
    }
    /* What a resource is shown on, its owner knows. */
    if (by_scanout ? client->info.scanout == (guint32) meant
                   : client->info.resource_id != 0)
      on_it++;
  }
  if (watchers == 0)
    helix_walk_fail (walk,
        "no host pipeline watches this VM" BECAUSE
        "no program but this one has subscribed to a scanout%s" REMEDY
        "Start one: gst-launch-1.0 helixqemusrc ! x264enc tune=zerolatency ! "
        "helixguestsink; or set it to PLAYING: one that is paused is not "
        "connected",
        idle ? ", though others are connected" : "");
  else if (meant >= 0 && on_it == 0)
    helix_walk_fail (walk,
        "no host pipeline watches scanout %d" BECAUSE
        "the pipelines that there are watch another one" REMEDY
        "Set scanout=%d of helixqemusrc, or of helixsrc in the guest",
        meant, meant);
  return TRUE;
}

const HelixCheck helix_checks_frames[] = {
    {"vm", 10, HELIX_HOST, check_vm},
    {"socket", 11, HELIX_HOST, check_socket},
    {"listen", 12, HELIX_HOST, check_listen},
    {"ping", 13, HELIX_HOST, helix_walk_ping},
    {"shim", 14, HELIX_HOST, check_shim},
    {"scanout", 15, HELIX_HOST, check_scanout},
    {"frames", 16, HELIX_HOST, check_frames},
    {"pipeline", 19, HELIX_HOST, check_pipeline},
    {NULL, 0, 0, NULL},
};
