# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Which accelerator a guest gets. That /dev/kvm opens and that a paused machine
# answers does not say that a guest runs: under some hypervisors (nested
# virtualisation) the guest's kernel never comes up. So the guest itself is
# tried, once: its own kernel and first process must say hello.

kvm_device=${HELIX_KVM_DEVICE:-/dev/kvm} # tests name another one
# Seconds. A guest under KVM says hello within two, on a busy machine later.
kvm_limit=${HELIX_KVM_LIMIT:-20}

# says_hello QEMU-COMMAND...: whether that guest says hello in time. It ends
# then, or when the time is up, or with this script.
says_hello () {
  local said=1 guest pid line left limit=$((SECONDS + kvm_limit))
  exec {guest}< <(exec setpriv --pdeathsig KILL "$@" </dev/null 2>/dev/null)
  pid=$!
  while left=$((limit - SECONDS)) && [ $left -gt 0 ] &&
    IFS= read -r -t $left line <&"$guest"; do
    case $line in
      *'helix guest: hello'*) said=0 && break ;;
    esac
  done
  exec {guest}<&-
  kill -KILL "$pid" 2>/dev/null
  wait "$pid" 2>/dev/null
  return $said
}

# A name for what the verdict depends on: QEMU, kernel, initramfs, processor,
# the host's kernel, and the device as it is since this machine was started.
verdict_name () { # qemu kernel initramfs
  {
    stat -L -c '%n %s %Y' "$@"
    stat -L -c '%t %T %i %Z' "$kvm_device"
    uname -srm
    grep -m 3 -E '^(vendor_id|model name|flags|CPU .*|Features)' /proc/cpuinfo
  } | sha256sum | cut -c 1-16
}

# choose_accelerator ARCH QEMU KERNEL INITRAMFS FOLDER QEMU-ARGUMENT...: sets
# accelerator to kvm or tcg, and why_tcg to the reason for tcg. The arguments
# boot the guest that says hello; the verdict stays in FOLDER.
choose_accelerator () {
  local arch=$1 qemu=$2 kernel=$3 initramfs=$4 folder=$5 verdict new
  shift 5
  accelerator=tcg why_tcg=''
  if [ "$arch" != "$(uname -m)" ]; then
    why_tcg="this machine is no $arch"
  elif [ ! -e "$kvm_device" ]; then
    why_tcg="this machine has no $kvm_device"
  elif ! { : <>"$kvm_device"; } 2>/dev/null; then
    why_tcg="user $(id -un) may not open $kvm_device. Add the user to its"
    why_tcg+=" group (sudo usermod -aG $(stat -L -c %G "$kvm_device")"
    why_tcg+=" $(id -un)) and log in again"
  elif ! "$qemu" -accel help 2>/dev/null | grep -qx kvm; then
    why_tcg="$qemu was built without KVM"
  else
    verdict=$folder/kvm-$(verdict_name "$qemu" "$kernel" "$initramfs")
    # A busy machine may have been too slow for KVM's guest, too.
    find "$folder" -path "$verdict" -mmin +60 -exec grep -qx tcg {} \; \
      -delete 2>/dev/null
    if [ ! -s "$verdict" ]; then
      mkdir -p "$folder"
      new=$verdict.$$
      if says_hello "$qemu" -accel kvm "$@"; then
        echo kvm >"$new"
      else
        echo tcg >"$new"
      fi
      mv "$new" "$verdict"
    fi
    accelerator=$(<"$verdict")
    [ "$accelerator" = kvm ] ||
      why_tcg="a guest does not boot under KVM on this machine ($verdict)"
  fi
}
