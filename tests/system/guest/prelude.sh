# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What every job in the guest begins with: where things are, how to wait, how
# to end. The harness writes job.env.
set -u
. /tmp/job/job.env
export HELIX_EVENTS=/tmp/job/events
export GST_PLUGIN_PATH=$HELIX_BUILD/gst-helix
# The host scanned the same files: scanning again would take a minute here.
export GST_REGISTRY=/tmp/job/registry.bin GST_REGISTRY_UPDATE=no
export GST_REGISTRY_FORK=no
programs=$HELIX_BUILD/tests/system/guest

event () {
  echo "HELIX-EVENT $*" >>"$HELIX_EVENTS"
}

# Programs in the background that nothing can do without.
needed=()

# await TEST-EXPRESSION...: e.g. await -s out.h264; three minutes at most.
await () {
  local _ pid
  for _ in {1..3600}; do
    # shellcheck disable=SC2244 # the test is the caller's
    [ "$@" ] && return
    for pid in "${needed[@]}"; do
      kill -0 "$pid" 2>/dev/null && continue
      echo "guest: a program ended early, while waiting for: $*" >&2
      exit 1
    done
    sleep 0.05
  done
  echo "guest: gave up waiting for: $*" >&2
  exit 1
}

# end PID...: each ends by SIGINT, as a user at the keyboard would do it.
end () {
  local pid status=0
  for pid in "$@"; do
    kill -INT "$pid" 2>/dev/null
    wait "$pid" || status=$?
  done
  return $status
}

# receive OPTION...: in the background; $receiver is its process.
receive () {
  "$programs/helix-receive" --address "$GUEST_ADDRESS" "$@" &
  receiver=$!
  needed+=("$receiver")
}

# loop DRAWING...: receives into out.h264 while the program draws. Its second
# frame waits until the first has come all the way round; its last one stays
# on the screen until the harness has seen enough.
loop () {
  receive --h264 /tmp/job/out.h264 --report /tmp/job/report
  "$@" --hold --go /tmp/job/go &
  drawing=$!
  needed+=("$drawing")
  await -s /tmp/job/out.h264
  : >/tmp/job/go
  await -e /tmp/job/finish
  end "$drawing" "$receiver"
}
