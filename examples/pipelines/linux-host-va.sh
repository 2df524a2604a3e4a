#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Linux host with an Intel or AMD GPU, by VA-API:
#
#   gst-launch-1.0 helixqemusrc ! vah264enc ! helixguestsink
#
# Needs GStreamer 1.22 and a VA driver; the element exists only where a driver
# does. With an NVIDIA GPU the same line with nvh264enc: it also takes BGRx, so
# that no conversion happens at all (zerolatency=true rc-mode=cbr-ld-hq).
#
#   BITRATE  kbit/s (8000)
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

if ! gst-inspect-1.0 --exists vah264enc; then
  echo "vah264enc is not there: it needs GStreamer 1.22 or newer, a GPU, and" \
    "its VA driver (vainfo tells)" >&2
  exit 77
fi

encoder=(
  vah264enc
  rate-control=cbr
  bitrate="${BITRATE:-8000}" # kbit/s
  # A B-frame waits for the frame after it.
  b-frames=0
  ref-frames=1
  # 7 is the fastest.
  target-usage=6
  # Keyframes come when helixguestsink asks for one.
  key-int-max=600
)

exec gst-launch-1.0 -e helixqemusrc scanout="${SCANOUT:-0}" \
  ! "${encoder[@]}" ! helixguestsink
