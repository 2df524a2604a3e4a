# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Core files of crashed programs, for debugging. Sourced: cores_here before the
# programs are started, cores_keep when they are gone.

cores_most=4            # are kept, the newest ones
cores_bytes=$((1 << 30)) # each; QEMU's has no guest memory (script/guest)
# Until cores_here has been called there is nothing to keep, and no reason.
cores_folder='' cores_why='' cores_pattern=core

# cores_here FOLDER: programs that are started from here on leave their cores in
# FOLDER, the working directory from then on, or where the kernel is told to;
# cores_why says why they do not.
cores_here () {
  local hard
  mkdir -p "$1" && cd "$1" || return
  hard=$(ulimit -H -c)
  if [ "$hard" = unlimited ] || [ "$hard" -gt $((cores_bytes / 1024)) ]; then
    hard=$((cores_bytes / 1024))
  fi
  ulimit -S -c "$hard"
  cores_folder=$PWD cores_why=''
  read -r cores_pattern 2>/dev/null </proc/sys/kernel/core_pattern ||
    cores_pattern=core
  case $cores_pattern in
    '|'*) cores_why="the kernel hands cores to ${cores_pattern#|}" ;;
    /*)
      : >"$cores_folder/.since"
      [ -w "${cores_pattern%/*}/" ] ||
        cores_why="the kernel writes cores to $cores_pattern, where this user cannot"
      ;;
  esac
  [ "$hard" != 0 ] || cores_why="the limit of their size is 0 (ulimit -H -c)"
}

# is_core FILE: an ELF file (its magic) of the type ET_CORE (4).
is_core () {
  [ "$(od -An -t x1 -N 4 "$1" | tr -d ' ')" = 7f454c46 ] &&
    [ "$(od -An -t u2 -j 16 -N 2 "$1" | tr -d ' ')" = 4 ]
}

# The cores of this user's programs since cores_here. Other files may be in the
# folder, and in that of core_pattern those of other users and programs.
cores_found () {
  local core folder=$cores_folder newer=() name=${cores_pattern##*/}
  if [[ $cores_pattern = /* ]]; then
    folder=${cores_pattern%/*}/ newer=(-newer "$cores_folder/.since")
  fi
  # What the kernel puts in place of %p and the like is not known, and it may
  # add the pid.
  find "$folder" -maxdepth 1 -type f -user "$(id -u)" \
    -name "${name//\%?/*}*" "${newer[@]}" 2>/dev/null |
    while IFS= read -r core; do
      if is_core "$core"; then
        echo "$core"
      fi
    done
}

# cores_program CORE: the path of what it is of.
cores_program () {
  local path=''
  if command -v gdb >/dev/null; then
    path=$(LC_ALL=C.UTF-8 gdb -batch -nx -c "$1" -ex 'info auxv' 2>/dev/null |
      sed -n 's/.*AT_EXECFN.*"\(.*\)"$/\1/p')
  fi
  echo "${path:-a program that gdb would name}"
}

# cores_keep NAME LOGS: moves them to LOGS/cores, and prints of each where it
# is, which program's, and where that was.
cores_keep () {
  local core kept program n=0
  [ -n "$cores_folder" ] || return 0
  while IFS= read -r core; do
    n=$((n + 1))
    kept=$2/cores/$1.$n.core
    mkdir -p "$2/cores"
    mv -f "$core" "$kept" || continue
    program=$(cores_program "$kept")
    echo "core: $kept, of $program"
    [ -x "$program" ] || continue
    # The thread that crashed first.
    timeout 120 gdb -batch -nx -ex backtrace -ex 'echo all threads:\n' \
      -ex 'thread apply all backtrace 40' "$program" "$kept" \
      >"${kept%.core}.backtrace" 2>&1
    sed -n '/^all threads:/q; /^Program term\|^#/s/^/  /p' \
      "${kept%.core}.backtrace" | head -n 24 | cut -c 1-160
  done < <(cores_found)
  [ $n -eq 0 ] || find "$2/cores" -name '*.core' -printf '%T@ %p\n' |
    sort -rn | sed -n "$((cores_most + 1)),\$s/^[^ ]* //p" |
    while IFS= read -r core; do rm -f "$core" "${core%.core}.backtrace"; done
}
