#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Linux host, software encoder x264:
#
#   gst-launch-1.0 helixqemusrc ! x264enc ! helixguestsink
#
# is all it takes, but with x264enc's defaults each change is seen 0.8 s late.
# This adds what makes it quick.
#
#   BITRATE  kbit/s (8000)
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

encoder=(
  x264enc
  # No lookahead, no B-frames, no frame threads: a unit leaves with its frame.
  tune=zerolatency
  # Faster and larger: superfast costs about 6 ms a 1080p frame on two cores.
  speed-preset=superfast
  bitrate="${BITRATE:-8000}" # kbit/s
  # ms of bitrate that one frame may borrow: bounds the time a keyframe takes.
  vbv-buf-capacity=300
  # helixguestsink asks for a keyframe when somebody joins or has lost
  # something; besides that one in 10 s at 60 frames a second is plenty.
  key-int-max=600
)

exec gst-launch-1.0 -e helixqemusrc scanout="${SCANOUT:-0}" \
  ! "${encoder[@]}" ! helixguestsink
