/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way to the stream, which host and guest go alike: connection, PONG,
 * WELCOME.
 */
#include "helix-doctor.h"

#include <string.h>
#include <sys/socket.h>

#include <gst/gst.h>

#include "helix-probe.h"
#include "helix-platform.h"
#include "helix-process.h"
#include "helix-transport.h"

/* Who serves an address, as far as this machine can tell. */
static void
look_at_server (const HelixAddress *address, gint fd, HelixProcess *process)
{
  uid_t uid;

  memset (process, 0, sizeof *process);
  if (address->kind == HELIX_ADDRESS_UNIX && fd >= 0)
    helix_process_of_peer (process, fd, &uid);
  else if (address->kind == HELIX_ADDRESS_TCP
      && (g_str_has_prefix (address->host, "127.")
          || g_str_equal (address->host, "localhost")
          || g_str_equal (address->host, "::1")
          || g_str_equal (address->host, "0.0.0.0")))
    helix_process_of_port (process, address->port);
}

/* What to do so that somebody serves the stream. */
static void
remedy_start (const HelixDoctor *self, HelixFinding *f)
{
  if (self->side == HELIX_HOST)
    helix_finding_remedy (f,
        "Start the host's pipeline: gst-launch-1.0 helixqemusrc ! x264enc "
        "tune=zerolatency ! helixguestsink address=%s; or say --address if it "
        "serves elsewhere",
        self->address);
  else
    helix_finding_remedy (f,
        "Start the host's pipeline there, and see helix doctor on the host; "
        "or say --address if it serves elsewhere");
}

/* The sentence of a transport's error without the address in front, without
 * the remedy, if there is a better one, and without the last full stop. */
static gchar *
cause_of (const gchar *message, const gchar *address, gboolean cut)
{
  gchar *cause, *end;

  if (g_str_has_prefix (message, address)
      && g_str_has_prefix (message + strlen (address), ": "))
    message += strlen (address) + 2;
  cause = g_strdup (message);
  end = cut ? strstr (cause, ". ") : NULL;
  if (end == NULL && g_str_has_suffix (cause, "."))
    end = cause + strlen (cause) - 1;
  if (end != NULL)
    *end = '\0';
  return cause;
}

static gint
connect_to (
    const HelixDoctor *self, const HelixAddress *address, HelixReport *report)
{
  guint64 now = helix_now_ns (), until = helix_doctor_soon (self);
  g_autoptr (GError) error = NULL;
  g_autofree gchar *cause = NULL;
  gboolean nobody;
  HelixFinding *f;
  gint fd = helix_transport_connect (address, self->cancel,
      until > now ? (gint) ((until - now) / 1000000) : 1, &error);

  if (fd >= 0) {
    f = helix_report_add (report, HELIX_CHECK_CONNECT, HELIX_VERDICT_OK,
        "%s takes connections", address->text);
    helix_json_text (f->facts, "address", address->text);
    return fd;
  }
  f = helix_report_add (report, HELIX_CHECK_CONNECT, HELIX_VERDICT_FAIL,
      "cannot connect to %s", address->text);
  /* The transport's remedy is for an element's user. Where nobody serves, we
   * know better; about names and ports it knows better. */
  nobody = strstr (error->message, "no server") != NULL;
  cause = cause_of (error->message, address->text, nobody);
  helix_finding_because (f, "%s", cause);
  helix_json_text (f->facts, "address", address->text);
  if (nobody)
    remedy_start (self, f);
  return -1;
}

static void
explain_silence (
    const HelixDoctor *self, const HelixProcess *server, HelixFinding *f)
{
  if (server->stopped) {
    helix_finding_because (f, "that process is stopped (SIGSTOP)");
    helix_finding_remedy (
        f, "Continue it (kill -CONT %ld)", (long) server->pid);
  } else if (g_str_has_prefix (server->name, "qemu")
      && self->side == HELIX_HOST) {
    helix_finding_because (f,
        "QEMU serves that socket itself: it is the host's end of a virtio "
        "port, where helixguestsink mode=connect belongs");
    helix_finding_remedy (
        f, "Run helix doctor in the guest; from here that leg cannot be seen");
  } else if (server->pid > 0) {
    helix_finding_remedy (f,
        "If that is the host's pipeline, it hangs: start it again. If not, "
        "give helixguestsink another address");
  } else {
    helix_finding_remedy (f,
        "If the host's pipeline serves there, it is stopped or hangs. If not, "
        "another program has the port: give helixguestsink another address");
  }
}

/* `asked`: HELLO was said, so it is the token; else it is the user. */
static void
explain_auth (const HelixDoctor *self, gboolean asked, HelixFinding *f)
{
  if (asked)
    helix_finding_remedy (f,
        "%s the token that helixguestsink has (its property token-file)",
        self->token != NULL ? "Put into --token-file"
                            : "Say --token-file with");
  else if (self->side == HELIX_HOST)
    helix_finding_remedy (
        f, "Or run helix doctor as the user who runs helixguestsink");
  else
    helix_finding_remedy (f,
        "Or run helixguestsink as the user who runs QEMU, by whose network "
        "this guest connects");
}

static void
explain (const HelixDoctor *self, guint probe, const HelixProcess *server,
    const GError *error, guint code, HelixReport *report)
{
  g_autofree gchar *words = helix_process_words (server);
  HelixFinding *f =
      helix_report_add (report, probe, HELIX_VERDICT_FAIL, "no %s from %s%s%s",
          probe == HELIX_CHECK_ANSWER ? "PONG" : "WELCOME", self->address,
          server->pid > 0 ? ", which is " : "", server->pid > 0 ? words : "");

  helix_finding_because (f, "%s", error->message);
  helix_json_uint (f->facts, "pid", server->pid);
  helix_json_text (f->facts, "error", code ? helix_error_name (code) : NULL);
  if (error->code == HELIX_PROBE_ERROR_SILENT) {
    explain_silence (self, server, f);
  } else if (error->code == HELIX_PROBE_ERROR_REFUSED
      && code == HELIX_ERROR_AUTH) {
    explain_auth (self, probe == HELIX_CHECK_STREAM, f);
  } else if (error->code == HELIX_PROBE_ERROR_UNASKED) {
    helix_finding_remedy (f,
        "If that is the host's pipeline, set token-file of its helixguestsink "
        "to the same token, or leave --token-file out. If not, another program "
        "has that address");
  } else if (error->code == HELIX_PROBE_ERROR_UNPROVED) {
    helix_finding_remedy (f,
        "Another program poses as helixguestsink there: find out which, and "
        "end it");
  } else if (error->code == HELIX_PROBE_ERROR_REFUSED
      && code == HELIX_ERROR_BUSY) {
    helix_finding_remedy (
        f, "End a client, or raise max-clients of helixguestsink");
  } else if (error->code == HELIX_PROBE_ERROR_REFUSED
      && code == HELIX_ERROR_ROLE) {
    helix_finding_remedy (f,
        "That is a shim's socket, or a helixguestsink that is too old to be "
        "asked: check the address, and the versions");
  } else if (error->code == HELIX_PROBE_ERROR_CLOSED) {
    helix_finding_remedy (f,
        "If the host's pipeline serves there, look at its messages. If not, "
        "another program has that address: give helixguestsink another one");
  } else if (error->code == HELIX_PROBE_ERROR_OLD) {
    helix_finding_remedy (
        f, "Use the same release of gst-helix on the host and in the guest");
  } else {
    helix_finding_remedy (f,
        "Another program has that address: give helixguestsink, and the "
        "guest, another one");
  }
}

static gboolean
ping (const HelixDoctor *self, HelixProbe *probe, const HelixAddress *address,
    HelixReport *report)
{
  g_autoptr (GError) error = NULL;
  HelixProcess server;
  HelixFinding *f;
  guint64 round_trip;

  if (!helix_probe_ping (
          probe, helix_doctor_soon (self), &round_trip, &error)) {
    look_at_server (address, probe->fd, &server);
    explain (
        self, HELIX_CHECK_ANSWER, &server, error, probe->refusal.code, report);
    return FALSE;
  }
  f = helix_report_add (report, HELIX_CHECK_ANSWER, HELIX_VERDICT_OK,
      "PONG after %.1f ms", (gdouble) round_trip / 1e6);
  helix_json_ms (f->facts, "round_trip_ms", round_trip);
  return TRUE;
}

static gboolean
greet (const HelixDoctor *self, HelixProbe *probe, const HelixAddress *address,
    guint32 role, HelixReport *report)
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *words = NULL;
  HelixProcess server;
  HelixFinding *f;

  if (!helix_probe_hello (probe, (enum helix_role) role, self->token,
          helix_doctor_soon (self), &error)) {
    look_at_server (address, probe->fd, &server);
    explain (
        self, HELIX_CHECK_STREAM, &server, error, probe->refusal.code, report);
    return FALSE;
  }
  /* The server does not say which process it is; on its own machine, the
   * system does. */
  look_at_server (address, probe->fd, &server);
  words = helix_process_words (&server);
  f = helix_report_add (report, HELIX_CHECK_STREAM, HELIX_VERDICT_OK,
      "%s%s%s, protocol version %u",
      *probe->name ? probe->name : "a nameless server",
      server.pid > 0 ? ", " : "", server.pid > 0 ? words : "",
      probe->welcome.version);
  helix_json_text (f->facts, "name", probe->name);
  helix_json_uint (f->facts, "pid", server.pid);
  helix_json_uint (f->facts, "version", probe->welcome.version);
  return TRUE;
}

HelixProbe *
helix_doctor_join (const HelixDoctor *self, guint32 role, HelixReport *report)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HelixAddress) address =
      helix_address_parse (self->address, &error);
  g_autoptr (HelixProbe) probe = NULL;
  gboolean serial, good;
  HelixFinding *f;
  gint fd;

  if (address == NULL) {
    f = helix_report_add (report, HELIX_CHECK_CONNECT, HELIX_VERDICT_FAIL,
        "%s is no address", self->address);
    helix_finding_remedy (f, "Addresses are " HELIX_ADDRESS_FORMS);
    return NULL;
  }
  fd = connect_to (self, address, report);
  if (fd < 0)
    return NULL;
  serial = helix_transport_outlives_session (address);
  probe = helix_probe_new (fd, serial);
  /* On a virtio port a PING may fall into half a message of whoever was there
   * before us; only HELLO gets through. */
  if (serial)
    good = greet (self, probe, address, role, report)
        && ping (self, probe, address, report);
  else
    good = ping (self, probe, address, report)
        && greet (self, probe, address, role, report);
  return good ? g_steal_pointer (&probe) : NULL;
}
