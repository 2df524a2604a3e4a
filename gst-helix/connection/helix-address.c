/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-address.h"

#include <string.h>

#include <gst/gst.h>

/* Sets the error and returns FALSE, for the parsers below. */
static gboolean
complain (GError **error, const gchar *text, const gchar *what)
{
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
      "Address '%s': %s. An address is " HELIX_ADDRESS_FORMS ".", text, what);
  return FALSE;
}

/* Decimal digits only: strtoul would take signs and blanks as well. And not
 * g_ascii_string_to_unsigned (): in its first call of a process GLib makes a
 * locale between clearing errno and looking at it, and a lock that another
 * thread holds just then may leave EAGAIN there (GLib 2.74). */
static gboolean
parse_number (const gchar *text, guint64 max, guint32 *number)
{
  guint64 value = 0;

  if (*text == '\0')
    return FALSE;
  for (; g_ascii_isdigit (*text) && value <= max; text++)
    value = value * 10 + (guint64) (*text - '0');
  if (*text != '\0' || value > max)
    return FALSE;
  *number = (guint32) value;
  return TRUE;
}

static gboolean
parse_path (HelixAddress *self, const gchar *rest, GError **error)
{
  if (*rest == '\0')
    return complain (error, self->text, "the path is missing");
  self->path = g_strdup (rest);
  return TRUE;
}

static gboolean
parse_tcp (HelixAddress *self, const gchar *rest, GError **error)
{
  const gchar *port;

  if (*rest == '[') {
    const gchar *end = strchr (rest, ']');

    if (end == NULL)
      return complain (error, self->text, "the ']' is missing");
    self->host = g_strndup (rest + 1, end - rest - 1);
    port = end + 1;
    if (*port != '\0' && *port != ':')
      return complain (error, self->text, "only :PORT may follow the ']'");
  } else {
    port = strchr (rest, ':');
    if (port == NULL)
      port = rest + strlen (rest);
    else if (strchr (port + 1, ':') != NULL)
      return complain (error, self->text,
          "an IPv6 address goes into brackets, as in tcp:[::1]:" G_STRINGIFY (
              HELIX_ADDRESS_DEFAULT_PORT));
    self->host = g_strndup (rest, port - rest);
  }
  if (self->host[0] == '\0')
    return complain (error, self->text, "the host is missing");

  self->port = HELIX_ADDRESS_DEFAULT_PORT;
  if (*port == ':' && !parse_number (port + 1, 65535, &self->port))
    return complain (
        error, self->text, "the port is not a number from 0 to 65535");
  return TRUE;
}

static gboolean
parse_vsock (HelixAddress *self, const gchar *rest, GError **error)
{
  const gchar *colon = strchr (rest, ':');
  g_autofree gchar *cid = NULL;

  if (colon == NULL)
    return complain (error, self->text, "CID or PORT is missing");
  cid = g_strndup (rest, colon - rest);
  if (strcmp (cid, "any") == 0)
    self->cid = HELIX_ADDRESS_CID_ANY;
  else if (!parse_number (cid, G_MAXUINT32, &self->cid))
    return complain (
        error, self->text, "the CID is not a 32-bit number, nor 'any'");
  if (!parse_number (colon + 1, G_MAXUINT32, &self->port))
    return complain (error, self->text, "the port is not a 32-bit number");
  return TRUE;
}

static const struct {
  const gchar *scheme;
  HelixAddressKind kind;
  gboolean (*parse) (HelixAddress *self, const gchar *rest, GError **error);
} schemes[] = {
    {"unix:", HELIX_ADDRESS_UNIX, parse_path},
    {"tcp:", HELIX_ADDRESS_TCP, parse_tcp},
    {"vsock:", HELIX_ADDRESS_VSOCK, parse_vsock},
    {"serial:", HELIX_ADDRESS_SERIAL, parse_path},
};

HelixAddress *
helix_address_parse (const gchar *text, GError **error)
{
  g_autoptr (HelixAddress) self = g_new0 (HelixAddress, 1);

  self->text = g_strdup (text != NULL ? text : "");
  for (guint i = 0; i < G_N_ELEMENTS (schemes); i++) {
    if (!g_str_has_prefix (self->text, schemes[i].scheme))
      continue;
    self->kind = schemes[i].kind;
    if (!schemes[i].parse (
            self, self->text + strlen (schemes[i].scheme), error))
      return NULL;
    return g_steal_pointer (&self);
  }
  complain (error, self->text,
      self->text[0] == '\0' ? "it is empty" : "its kind is unknown");
  return NULL;
}

void
helix_address_free (HelixAddress *self)
{
  if (self == NULL)
    return;
  g_free (self->text);
  g_free (self->path);
  g_free (self->host);
  g_free (self);
}
