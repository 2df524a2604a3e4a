/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * plugin-helix:
 *
 * Brings the screen of a virtual machine to the encoders of its host
 * (helixqemusrc) and the encoded video back into the machine.
 *
 * Since: 0.1
 */
#include <gst/gst.h>

#include "gsthelixelements.h"

static gboolean
plugin_init (GstPlugin *plugin)
{
  gboolean registered = FALSE;

  registered |= GST_ELEMENT_REGISTER (helixqemusrc, plugin);
  registered |= GST_ELEMENT_REGISTER (helixguestsink, plugin);
  registered |= GST_ELEMENT_REGISTER (helixsrc, plugin);
  registered |= GST_DEVICE_PROVIDER_REGISTER (helixdeviceprovider, plugin);
#ifdef HELIX_RESOURCE_SINK
  registered |= GST_ELEMENT_REGISTER (helixresourcesink, plugin);
#endif
  return registered;
}

GST_PLUGIN_DEFINE (GST_VERSION_MAJOR, GST_VERSION_MINOR, helix,
    "Screens of virtual machines, to the host's encoders and back", plugin_init,
    HELIX_PACKAGE_VERSION, "LGPL", PACKAGE, "Unknown package origin")
