# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What the cases share. A case is a bash script that sources this file, starts
# a guest and pipelines, waits for events (never for time to pass) and ends
# with 0, with 77 where it cannot run on this machine, else with a reason.
set -uo pipefail

tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$(realpath "${HELIX_BUILD:-$tree/build}")
case_name=$(basename "$0")
check=$build/tests/system/helix-check-video
watch=$build/tests/system/helix-watch

fail () {
  echo "$case_name: $*"
  exit 1
}

skip () {
  echo "SKIP: $*"
  exit 77
}

[ -n "${HELIX_QEMU:-}" ] || fail "HELIX_QEMU is unset: start it by" \
  "tests/system/run $case_name"
HELIX_QEMU=$(realpath "$(command -v "$HELIX_QEMU")") ||
  fail "there is no program $HELIX_QEMU"
[ -x "$check" ] || fail "$check is missing: build first (script/build)"
. "$tree/script/cores.sh"

# Short: the path of a UNIX socket has 108 bytes.
work=$(mktemp -d "${TMPDIR:-/tmp}/helix.XXXXXX")
job=$work/job
mkdir -p "$job"
export HELIX_SOCKET=$work/helix.sock
# Where shims are found: no other's, and none of ours by others.
export XDG_RUNTIME_DIR=$work/runtime
mkdir -m 0700 "$XDG_RUNTIME_DIR"
export GST_PLUGIN_PATH=$build/gst-helix
export GST_REGISTRY=${HELIX_REGISTRY:-$work/registry.bin}
processes=()
# What is started leaves its core there.
cores_here "$work/cores" || fail "cannot make $work/cores"

# Kept when something went wrong, for whoever has to find out what.
clean_up () {
  local status=$? pid
  for pid in "${processes[@]}"; do
    kill -CONT "$pid" 2>/dev/null
    kill "$pid" 2>/dev/null
  done
  wait
  cores_keep "$case_name" "$tree/build-logs"
  if [ $status -ne 0 ] && [ $status -ne 77 ]; then
    [ -z "$cores_why" ] || echo "cores of programs are not kept: $cores_why"
    tails
    if [ -n "${HELIX_LOGS:-}" ]; then
      rm -rf "${HELIX_LOGS:?}/$case_name"
      cp -r "$work" "$HELIX_LOGS/$case_name" &&
        echo "all files: $HELIX_LOGS/$case_name"
    fi
  fi
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 143' TERM INT HUP

tails () {
  local file
  for file in "$work"/*.log "$job"/*.log "$job/events"; do
    [ -s "$file" ] || continue
    echo "--- ${file#"$work/"}, last lines"
    tail -n 12 "$file" | cut -c 1-300
  done
}

# until_true SECONDS WHAT COMMAND...: fails loudly if it does not become true.
until_true () {
  local limit=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    alive
    [ $SECONDS -lt $limit ] || fail "gave up waiting for $what"
    sleep 0.1
  done
}

# A guest or pipeline that ended is not worth waiting for.
alive () {
  local i
  # The others end because of it: it is named first.
  if [ -n "${names[$guest_name]:-}" ] && [ -s "$job/qemu.pid" ] &&
    ! kill -0 "$(<"$job/qemu.pid")" 2>/dev/null; then
    fail "QEMU ended early (qemu.log)"
  fi
  for i in "${!names[@]}"; do
    kill -0 "${names[$i]}" 2>/dev/null || fail "$i ended early"
  done
}
declare -A names=()
guest_name=guest

# start NAME COMMAND...: in the background, output to NAME.log.
start () {
  local name=$1
  shift
  "$@" >"$work/$name.log" 2>&1 </dev/null &
  processes+=($!)
  names[$name]=$!
}

# stop NAME: as Ctrl-C would; the status is the program's.
stop () {
  local pid=${names[$1]} status
  unset "names[$1]"
  kill -INT "$pid" 2>/dev/null
  wait "$pid"
  status=$?
  return $status
}

guest_prelude=$tree/tests/system/guest/prelude.sh

# More variables for the job, as NAME=VALUE.
guest_environment=()

# start_guest OPTION... <<JOB: the job follows the guest's prelude.
start_guest () {
  cp "$GST_REGISTRY" "$job/registry.bin"
  rm -f "$job/qemu.pid"
  local variable environment=()
  for variable in "HELIX_TREE=$tree" "HELIX_BUILD=$build" \
    "GUEST_ADDRESS=${guest_address:-}" "${guest_environment[@]}"; do
    environment+=(--env "$variable")
  done
  {
    cat "$guest_prelude"
    cat
  } >"$job/run.sh"
  start "$guest_name" "$tree/script/guest" --qemu "$HELIX_QEMU" --job "$job" \
    --share "$build" --timeout "${guest_timeout:-240}" "${environment[@]}" \
    "$@"
}

# The job ends by itself when it sees the file `finish`.
finish_guest () {
  local name=$guest_name pid status
  pid=${names[$name]}
  unset "names[$name]"
  : >"$job/finish"
  wait "$pid"
  status=$?
  [ $status -eq 0 ] || fail "the guest's job ended with status $status"
}

seen () {
  grep -q -s "^HELIX-EVENT $1" "$job/events"
}

# registered DIRECTORY: the links to $HELIX_SOCKET in it.
registered () {
  find "$1" -lname "$HELIX_SOCKET"
}

# wait_event TEXT [SECONDS]: a line of the guest's that begins so.
wait_event () {
  until_true "${2:-240}" "the guest's event '$1'" seen "$1"
}

checked () { # file, rules...
  local file=$1
  shift
  [ -s "$file" ] && verdict=$("$check" "$@" "$file" 2>"$work/check.log")
}

# wait_video FILE SECONDS RULE...: until the file keeps helix-check-video's
# rules. What it holds was written by the guest: whatever is on its way must
# arrive without anybody drawing on.
wait_video () {
  local file=$1 limit=$((SECONDS + $2))
  shift 2
  verdict=
  until checked "$file" "$@"; do
    alive
    if [ $SECONDS -ge $limit ]; then
      echo "$verdict"
      fail "${file#"$work/"} is not as it should be: $(<"$work/check.log")"
    fi
    sleep 0.5
  done
  echo "${file##*/}: $verdict"
}

# ms of CLOCK_MONOTONIC, to 10.
now_ms () {
  local up
  read -r up _ </proc/uptime
  echo "${up/./}0"
}

# allowed_ms MS: that long, or so much longer as the machine is asked for more
# than it has processors.
allowed_ms () {
  awk -v ms="$1" -v processors="$(nproc)" '
    { over = $1 / processors; printf "%d\n", ms * (over > 1 ? over : 1) }' \
    /proc/loadavg
}

# kill_now NAME: it gets no chance to say goodbye.
kill_now () {
  local pid=${names[$1]}
  unset "names[$1]"
  kill -KILL "$pid"
  wait "$pid" 2>/dev/null
}

# A TCP port of 127.0.0.1 that nobody listens on.
free_port () {
  local port
  while :; do
    port=$((RANDOM % 20000 + 20000))
    (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}

# user_net / serial_net: which way the video goes back; sets guest_options.
user_net () {
  local port
  port=$(free_port)
  export HELIX_ADDRESS=tcp:127.0.0.1:$port
  guest_address=tcp:10.0.2.2:$port
  guest_options=(--net)
  sink=(helixguestsink)
}

serial_net () {
  unset HELIX_ADDRESS
  guest_address=serial:/dev/virtio-ports/org.helix.stream
  guest_options=(--serial-port "$work/port.sock")
  sink=(helixguestsink "address=unix:$work/port.sock" mode=connect)
}

# with_qmp: the shim, and a way to ask QEMU about it; sets shim_options, which
# follow `--` of start_guest.
with_qmp () {
  rm -f "$work"/qmp.*
  mkfifo "$work/qmp.in" "$work/qmp.out"
  exec 8<>"$work/qmp.in" 9<>"$work/qmp.out"
  qmp_ready=no
  shim_options=(-device "helix-export,id=helix,path=$HELIX_SOCKET"
    -chardev "pipe,id=qmp,path=$work/qmp" -mon chardev=qmp,mode=control)
}

# qmp JSON: sets reply. Events and the greeting are passed over.
qmp () {
  if [ "$qmp_ready" = no ]; then
    qmp_ready=yes
    qmp '{"execute":"qmp_capabilities"}'
  fi
  echo "$1" >&8
  while read -r -t 20 reply <&9; do
    case $reply in
      *'"return":'*) return ;;
      *'"error":'*) fail "QEMU refuses $1: $reply" ;;
    esac
  done
  fail "QEMU did not answer $1 within 20 s"
}

# read_stats: the shim's counters as they are now, for counter.
read_stats () {
  qmp '{"execute":"qom-get","arguments":{"property":"stats",'\
'"path":"/machine/peripheral/helix"}}'
  stats=$reply
}

# counter NAME: its value when read_stats was called.
counter () {
  sed -n "s/.*[\" ]$1=\([0-9]*\).*/\1/p" <<<"$stats"
}

counts () { # NAME VALUE
  read_stats
  [ "$(counter "$1")" -ge "$2" ]
}

# count_on NAME N: until the shim has counted N more.
count_on () {
  read_stats
  until_true 120 "$2 more in the shim's counter $1" \
    counts "$1" $(($(counter "$1") + $2))
}

# says FILE TEXT COUNT: so many of its lines begin so.
says () {
  [ "$(grep -c "^$2" "$1")" -ge "$3" ]
}

# until_said FILE TEXT COMMAND...: until the file has one more line that begins
# so than it had before the command.
until_said () {
  local file=$1 text=$2 before
  before=$(grep -c "^$text" "$file")
  shift 2
  "$@"
  until_true 60 "another '$text' in ${file##*/}" \
    says "$file" "$text" $((before + 1))
}

# The encoder of all but the literal lines: no picture waits for the next.
encoder=(x264enc tune=zerolatency speed-preset=ultrafast bitrate=6000)

# start_host NAME [PROPERTY-OF-HELIXQEMUSRC...]
start_host () {
  local name=$1
  shift
  start "$name" gst-launch-1.0 helixqemusrc "$@" ! "${encoder[@]}" \
    ! "${sink[@]}"
}

# check_loop LAST RULE...: after the guest's last frame, without any further
# drawing, the video is there, whole and in order.
check_loop () {
  local last=$1
  shift
  wait_event "drawn $last"
  wait_video "$job/out.h264" 20 --min-frames $((last / 2)) --last "$last" \
    --max-colour-error "$colour_error" "$@"
  finish_guest
  stop host || fail "the host's pipeline ended with an error"
  sed 's/^/guest: /' "$job/report"
}

# Of 255: what limited-range 4:2:0 and a fast encoder may do to a colour.
colour_error=12
