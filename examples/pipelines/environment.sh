# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Sourced by the pipelines beside it: lets GStreamer find the plugin of this
# checkout's build when it is not installed. What the pipelines share:
#
#   HELIX_SOCKET   path of the shim's socket   (helixqemusrc)
#   HELIX_ADDRESS  where the host end listens  (helixguestsink, helixsrc)
#   SCANOUT        which screen of the VM, from 0
#
# The elements read the first two themselves; what they do when both are unset
# is in docs/ELEMENTS.md.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${HELIX_BUILD:-$here/../../build}
if [ -d "$build/gst-helix" ]; then
  export GST_PLUGIN_PATH="$build/gst-helix${GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH}"
fi
