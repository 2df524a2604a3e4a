#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# On the host: the VM's screen in a window, without an encoder. It shows
# whether the shim and the screen are well before anything else is looked at.
#
#   VIDEO_SINK  the window (autovideosink), for example ximagesink
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

# videoconvert does nothing where the window takes the screen's own format.
# sync=false: a frame is shown when it comes.
exec gst-launch-1.0 -e helixqemusrc scanout="${SCANOUT:-0}" ! videoconvert \
  ! "${VIDEO_SINK:-autovideosink}" sync=false
