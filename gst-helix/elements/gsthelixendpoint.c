/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gsthelixendpoint.h"

#include "helix-token.h"

static gchar *
default_address (const GstHelixEndpoint *self)
{
  const gchar *address = g_getenv ("HELIX_ADDRESS");

  return g_strdup (
      address != NULL && *address != '\0' ? address : self->otherwise);
}

void
gst_helix_endpoint_init (
    GstHelixEndpoint *self, const gchar *address, GstHelixMode mode)
{
  self->otherwise = address;
  self->address = default_address (self);
  self->mode = mode;
}

void
gst_helix_endpoint_specs (
    GParamSpec **properties, const GstHelixEndpointTexts *texts)
{
  const GParamFlags flags =
      G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;

  properties[GST_HELIX_ENDPOINT_PROP_ADDRESS] =
      g_param_spec_string ("address", "Address", texts->address_blurb,
          texts->address, flags | GST_PARAM_DOC_SHOW_DEFAULT);
  properties[GST_HELIX_ENDPOINT_PROP_MODE] = g_param_spec_enum ("mode", "Mode",
      texts->mode_blurb, GST_TYPE_HELIX_MODE, texts->mode, flags);
  properties[GST_HELIX_ENDPOINT_PROP_TOKEN] =
      g_param_spec_string ("token", "Token", texts->token_blurb, NULL, flags);
  properties[GST_HELIX_ENDPOINT_PROP_TOKEN_FILE] = g_param_spec_string (
      "token-file", "Token file",
      "Path of a file (mode 0600) whose first line is the token, in place of "
      "it",
      NULL, flags);
}

void
gst_helix_endpoint_clear (GstHelixEndpoint *self)
{
  g_clear_pointer (&self->address, g_free);
  g_clear_pointer (&self->token, g_free);
  g_clear_pointer (&self->token_file, g_free);
}

gboolean
gst_helix_endpoint_set (GstHelixEndpoint *self, guint id, const GValue *value)
{
  switch (id) {
    case GST_HELIX_ENDPOINT_PROP_ADDRESS:
      g_free (self->address);
      self->address = g_value_get_string (value) != NULL
          ? g_value_dup_string (value)
          : default_address (self);
      return TRUE;
    case GST_HELIX_ENDPOINT_PROP_MODE:
      self->mode = g_value_get_enum (value);
      return TRUE;
    case GST_HELIX_ENDPOINT_PROP_TOKEN:
      g_free (self->token);
      self->token = g_value_dup_string (value);
      return TRUE;
    case GST_HELIX_ENDPOINT_PROP_TOKEN_FILE:
      g_free (self->token_file);
      self->token_file = g_value_dup_string (value);
      return TRUE;
    default:
      return FALSE;
  }
}

gboolean
gst_helix_endpoint_get (const GstHelixEndpoint *self, guint id, GValue *value)
{
  switch (id) {
    case GST_HELIX_ENDPOINT_PROP_ADDRESS:
      g_value_set_string (value, self->address);
      return TRUE;
    case GST_HELIX_ENDPOINT_PROP_MODE:
      g_value_set_enum (value, self->mode);
      return TRUE;
    case GST_HELIX_ENDPOINT_PROP_TOKEN:
      g_value_set_string (value, self->token);
      return TRUE;
    case GST_HELIX_ENDPOINT_PROP_TOKEN_FILE:
      g_value_set_string (value, self->token_file);
      return TRUE;
    default:
      return FALSE;
  }
}

HelixAddress *
gst_helix_endpoint_snapshot (GstElement *element, const GstHelixEndpoint *self,
    gchar **token, gboolean *listen, GError **error)
{
  g_autoptr (HelixAddress) address = NULL;
  g_autofree gchar *own = NULL;
  g_autofree gchar *file = NULL;

  *token = NULL;
  GST_OBJECT_LOCK (element);
  address = helix_address_parse (self->address, error);
  own = g_strdup (self->token);
  file = g_strdup (self->token_file);
  *listen = self->mode == GST_HELIX_MODE_LISTEN;
  GST_OBJECT_UNLOCK (element);
  /* Without the lock: a file system may take its time. */
  if (address == NULL || !helix_token_find (own, file, token, error))
    return NULL;
  return g_steal_pointer (&address);
}

HelixStreamClient *
gst_helix_endpoint_client (GstElement *element, const GstHelixEndpoint *self,
    HelixStreamClientConfig config)
{
  g_autoptr (HelixAddress) address = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree gchar *token = NULL;
  HelixStreamClient *client = NULL;

  address = gst_helix_endpoint_snapshot (
      element, self, &token, &config.listen, &error);
  config.address = address;
  config.token = token;
  if (address != NULL)
    client = helix_stream_client_new (&config, &error);
  if (client == NULL)
    gst_helix_post (element, GST_MESSAGE_ERROR, error);
  return client;
}
