#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# macOS host, VideoToolbox:
#
#   gst-launch-1.0 helixqemusrc ! vtenc_h264 ! helixguestsink
#
# is all it takes. This adds what makes it quick; docs/MACOS.md has the rest.
#
#   BITRATE  kbit/s (8000)
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

if ! gst-inspect-1.0 --exists vtenc_h264; then
  echo "vtenc_h264 is not there: it comes with GStreamer on macOS only" >&2
  exit 77
fi

encoder=(
  vtenc_h264
  # VideoToolbox may otherwise take its time for quality.
  realtime=true
  # The default makes B-frames and holds frames back for them.
  allow-frame-reordering=false
  # kbit/s. Before GStreamer 1.26.1 do not change it while it runs.
  bitrate="${BITRATE:-8000}"
  # frames and ns: keyframes come when helixguestsink asks for one.
  max-keyframe-interval=600
  max-keyframe-interval-duration=10000000000
)

exec gst-launch-1.0 -e helixqemusrc scanout="${SCANOUT:-0}" \
  ! "${encoder[@]}" ! helixguestsink
