# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# A guest that is nothing but an initramfs: without a shared folder its state
# can be saved and migrated. It draws a text console on a 2D GPU, a line each
# 50 ms. Sourced after lib.sh.

# plain_initramfs FILE: sets kernel.
plain_initramfs () {
  local folder=${work:?}/plain module name version='' busybox modprobe
  while read -r kernel; do # the newest that has its modules
    version=${kernel#/boot/vmlinuz-}
    [ ! -d "/lib/modules/$version/kernel" ] || break
  done < <(find /boot -maxdepth 1 -name 'vmlinuz-*' -readable | sort -rV)
  busybox=$(command -v busybox) || fail "no busybox: install busybox-static"
  modprobe=$(PATH=$PATH:/usr/sbin:/sbin command -v modprobe) ||
    fail "no modprobe: install kmod"
  [ -d "/lib/modules/$version/kernel" ] ||
    fail "no kernel with modules in /boot"
  mkdir -p "$folder/bin" "$folder/modules"
  cp "$busybox" "$folder/bin/busybox"
  while read -r module; do
    name=$(basename "$module")
    case $name in
      *.xz) xz -dc "$module" >"$folder/modules/${name%.xz}" ;;
      *.zst) zstd -qdc "$module" >"$folder/modules/${name%.zst}" ;;
      *) cp "$module" "$folder/modules/$name" ;;
    esac || fail "cannot read $module"
    echo "${name%.[xz]*}" >>"$folder/modules/order"
  done < <("$modprobe" --show-depends -S "$version" -a virtio_pci virtio-gpu \
    2>/dev/null | awk '$1 == "insmod" && !seen[$2]++ { print $2 }')
  cat >"$folder/init" <<'INIT'
#!/bin/busybox sh
bb=/bin/busybox
$bb mkdir -p /proc /dev
$bb mount -t proc proc /proc
$bb mount -t devtmpfs devtmpfs /dev
while read -r module; do
  $bb insmod "/modules/$module"
done </modules/order
line=0
while :; do
  line=$((line + 1))
  echo "line $line" >/dev/tty0
  echo "HELIX-LINE $line" >/dev/ttyS0
  $bb usleep 50000
done
INIT
  chmod 0755 "$folder/init" "$folder/bin/busybox"
  (cd "$folder" && find . | "$busybox" cpio -o -H newc 2>/dev/null | gzip -1) \
    >"$1" || fail "cannot make the initramfs"
  rm -rf "$folder"
}

# start_plain NAME QEMU-ARGUMENT...: console in NAME.console. The kernel's test
# of its timer fails, and the boot with it, when the host is busy.
start_plain () {
  local name=$1
  shift
  start "$name" "$HELIX_QEMU" -L /usr/share/qemu -L /usr/share/seabios \
    -machine pc -accel tcg -cpu max -m 256 -nodefaults -display none \
    -kernel "$kernel" -initrd "$work/plain.gz" \
    -append "console=ttyS0 quiet loglevel=4 no_timer_check" \
    -serial "file:$work/$name.console" -device virtio-gpu-pci \
    -device "helix-export,id=helix,path=$HELIX_SOCKET" "$@"
}

drawn () { # NAME
  grep -a -q -s '^HELIX-LINE' "$work/$1.console"
}
