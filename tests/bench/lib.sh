# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What the parts of the benchmark share: which arms there are, how one is
# measured. Each measurement is one line of JSON, appended to $HELIX_RAW.
# script/bench sets the environment.

programs=$HELIX_BUILD/tests/bench
sim=$HELIX_BUILD/qemu-shim/sim/helix-shim-sim
preload=$programs/helix-bench-alloc.so
warmup=1

say () {
  printf '%s\n' "$*" >&2
}

# wanted ARM SCENE: as --only chose.
wanted () {
  local arm=${HELIX_ONLY%%,*} scene=${HELIX_ONLY#*,}
  [ -z "$HELIX_ONLY" ] && return
  [[ $HELIX_ONLY == *,* ]] || scene=
  [ -z "$arm" ] || [ "$arm" = "$1" ] || return
  [ -z "$scene" ] || [ "$scene" = "$2" ]
}

# await_line FILE TEXT PID: until the program has said it; false if it ended.
await_line () {
  local _
  for _ in {1..400}; do
    grep -q -s "$2" "$1" && return
    kill -0 "$3" 2>/dev/null || return
    # Every twentieth of a second, outside of what is measured.
    sleep 0.05
  done
  return 1
}

# keep WHAT COMMAND...: appends the line of JSON that the command prints.
keep () {
  local what=$1 line
  shift
  if line=$(timeout -k 5 "$((${length%.*} + 60))" "$@" 2>"$work/keep.log") &&
    [ -n "$line" ]; then
    printf '%s\n' "$line" >>"$HELIX_RAW"
    return
  fi
  say "FAILED: $what: $(tail -n 2 "$work/keep.log" | tr '\n' ' ')"
  printf '%s: %s\n' "$what" "$(tail -n 5 "$work/keep.log")" >>"$HELIX_FAILED"
  return 1
}

# count_in FILE: sets `counting`, in front of a command: its large allocations
# are counted there. No function, because that would be a process in between.
count_in () {
  rm -f "$1"
  # shellcheck disable=SC2034 # the caller's
  counting=(env "LD_PRELOAD=$preload" "HELIX_BENCH_ALLOC=$1")
}

# note_machine FILE: what the report says of it. What else the machine does
# makes every figure worse: it is part of that.
note_machine () {
  local before after ticks foreign
  before=$(awk '/^cpu / { print $5 }' /proc/stat)
  # The idle share is measured over these 2 s.
  sleep 2
  after=$(awk '/^cpu / { print $5 }' /proc/stat)
  ticks=$((2 * $(getconf CLK_TCK) * $(nproc)))
  foreign=$((100 - (after - before) * 100 / ticks))
  [ "$foreign" -ge 0 ] || foreign=0
  {
    echo "date $(date -u +%Y-%m-%d)"
    echo "commit ${HELIX_COMMIT:-unknown}"
    echo "cpu $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
    echo "cpus $(nproc)"
    echo "memory $(awk '/^MemTotal/ { print int ($2 / 1048576 + 0.5) }' \
      /proc/meminfo) GiB"
    echo "kernel $(uname -r)"
    echo "system $(. /etc/os-release 2>/dev/null && echo "$PRETTY_NAME")"
    echo "gstreamer ${HELIX_GSTREAMER:-unknown}"
    echo "foreign_cpu_percent $foreign"
    echo "rounds $HELIX_ROUNDS"
    echo "seconds $HELIX_SECONDS"
    echo "quick ${HELIX_QUICK:-false}"
  } >"$1"
  [ "$foreign" -le 5 ] ||
    say "bench: WARNING: something else uses $foreign % of this machine"
}
