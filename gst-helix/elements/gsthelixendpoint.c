/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gsthelixendpoint.h"

#include "gsthelixfields.h"
#include "helix-token.h"

#define FIELD(name) (offset + G_STRUCT_OFFSET (GstHelixEndpoint, name))

void
gst_helix_endpoint_install (
    GObjectClass *klass, gsize offset, GstHelixMode mode, const gchar *blurb)
{
  const GParamFlags flags =
      G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;
  const gboolean host = mode == GST_HELIX_MODE_LISTEN;

  gst_helix_field_install (klass, GST_HELIX_ENDPOINT_PROP_ADDRESS,
      FIELD (address),
      g_param_spec_string ("address", "Address", blurb,
          host ? HELIX_ADDRESS_DEFAULT_HOST : HELIX_ADDRESS_DEFAULT_GUEST,
          flags | GST_PARAM_DOC_SHOW_DEFAULT));
  gst_helix_field_install (klass, GST_HELIX_ENDPOINT_PROP_MODE, FIELD (mode),
      g_param_spec_enum ("mode", "Mode",
          host ? "Whether to listen at the address or to connect to it"
               : "Whether to connect to the address or to listen at it",
          GST_TYPE_HELIX_MODE, mode, flags));
  gst_helix_field_install (klass, GST_HELIX_ENDPOINT_PROP_TOKEN, FIELD (token),
      g_param_spec_string ("token", "Token",
          host ? "Secret of up to 128 bytes that clients must have (NULL: none "
                 "needed)"
               : "Secret of up to 128 bytes that the other end asks for",
          NULL, flags));
  gst_helix_field_install (klass, GST_HELIX_ENDPOINT_PROP_TOKEN_FILE,
      FIELD (token_file),
      g_param_spec_string ("token-file", "Token file",
          "Path of a file (mode 0600) whose first line is the token, in place "
          "of it",
          NULL, flags));
  if (!host)
    gst_helix_field_install (klass, GST_HELIX_ENDPOINT_PROP_AUTO_RECONNECT,
        FIELD (auto_reconnect),
        g_param_spec_boolean ("auto-reconnect", "Auto reconnect",
            "Keep trying when the other end is missing or lost", TRUE, flags));
}

GstStateChangeReturn
gst_helix_endpoint_change_state (GstElement *element, GstStateChange transition,
    gpointer parent_class, gboolean (*start) (GstElement *element),
    void (*stop) (GstElement *element))
{
  GstStateChangeReturn ret;

  if (transition == GST_STATE_CHANGE_READY_TO_PAUSED && !start (element))
    return GST_STATE_CHANGE_FAILURE;
  ret = GST_ELEMENT_CLASS (parent_class)->change_state (element, transition);
  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY
      || (transition == GST_STATE_CHANGE_READY_TO_PAUSED
          && ret == GST_STATE_CHANGE_FAILURE))
    stop (element);
  return ret;
}

HelixAddress *
gst_helix_endpoint_parse (
    const GstHelixEndpoint *self, gchar **token, GError **error)
{
  g_autoptr (HelixAddress) address = helix_address_parse (self->address, error);

  *token = NULL;
  if (address == NULL
      || !helix_token_find (self->token, self->token_file, token, error))
    return NULL;
  return g_steal_pointer (&address);
}

HelixStreamClient *
gst_helix_endpoint_client (GstElement *element, const GstHelixEndpoint *self,
    HelixStreamClientConfig config)
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *token = NULL;
  g_autoptr (HelixAddress) address =
      gst_helix_endpoint_parse (self, &token, &error);
  HelixStreamClient *client = NULL;

  config.address = address;
  config.token = token;
  config.listen = self->mode == GST_HELIX_MODE_LISTEN;
  config.reconnect = self->auto_reconnect;
  if (address != NULL)
    client = helix_stream_client_new (&config, &error);
  if (client == NULL)
    gst_helix_post (element, GST_MESSAGE_ERROR, error);
  return client;
}
