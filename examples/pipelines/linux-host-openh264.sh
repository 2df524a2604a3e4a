#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Linux host, software encoder OpenH264 (BSD licence):
#
#   gst-launch-1.0 helixqemusrc ! openh264enc ! helixguestsink
#
#   BITRATE  kbit/s (8000)
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

encoder=(
  openh264enc
  # bit/s here, not kbit/s; the default is 128000, far too little for a screen.
  bitrate=$((${BITRATE:-8000} * 1000))
  # The default, "quality", does not look at the bitrate.
  rate-control=bitrate
  # Text and windows, not a camera's picture.
  usage-type=screen
  complexity=low
  # Keyframes come when helixguestsink asks for one.
  gop-size=600
  # A screen that cuts from one window to the next is no reason for one.
  scene-change-detection=false
)

exec gst-launch-1.0 -e helixqemusrc scanout="${SCANOUT:-0}" \
  ! "${encoder[@]}" ! helixguestsink
