#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# In the guest: the encoded screen into a file, nothing decoded or encoded.
#
#   guest-to-file.sh [FILE]     .mp4, .mkv or .h264 (screen.mp4)
#
#   FRAMES  end after so many units (never: end it with Ctrl-C)
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

file=${1:-screen.mp4}
# The guest may change its mode. With avc, which h264parse takes if nobody says
# otherwise, the file has the parameters of the first one only: matroskamux ends
# the pipeline, mp4mux writes pictures that no player can decode.
in_band="video/x-h264,stream-format=avc3"
case $file in
  *.mp4) muxer=(! "$in_band" ! mp4mux faststart=true) ;;
  *.mkv) muxer=(! "$in_band" ! matroskamux) ;;
  *.h264) muxer=(! "video/x-h264,stream-format=byte-stream") ;;
  *)
    echo "$file: the name must end in .mp4, .mkv or .h264" >&2
    exit 2
    ;;
esac

# -e: on Ctrl-C the file is finished before the pipeline ends.
exec gst-launch-1.0 -e helixsrc num-buffers="${FRAMES:--1}" ! h264parse \
  "${muxer[@]}" ! filesink location="$file"
