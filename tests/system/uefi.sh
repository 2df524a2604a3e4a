# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# The cases of UEFI firmware, after lib.sh: the guest writes UEFI variables
# while it draws and while a client makes the shim read the screen at any time.
# Each write makes QEMU poll its block layer on the thread of a virtual
# processor: whatever of ours that polling runs has no GL context.

# write_variables PACKAGE CODE VARIABLES OPTION...: the firmware's two files,
# and options of script/guest. The job is for bash and for busybox's sh.
write_variables () {
  local package=$1 code=$2 variables=$3 resource pictures
  shift 3
  [ -r "$code" ] ||
    fail "$code is missing: install $package (script/bootstrap)"
  cp "$variables" "$work/variables.fd"
  with_qmp
  start_guest --gpu virgl "$@" -- "${shim_options[@]}" \
    -drive "if=pflash,unit=0,format=raw,readonly=on,file=$code" \
    -drive "if=pflash,unit=1,format=raw,file=$work/variables.fd" <<'END'
export HELIX_EVENTS=/tmp/job/events
mount -t efivarfs efivarfs /sys/firmware/efi/efivars || exit
"${programs:-/bin}/helix-draw-2d" --mode 800x600 --frames 1000000 --rate 15 &
drawing=$!
variable=Timeout-8be4df61-93ca-11d2-aa0d-00e098032b8c
written=0
# Four bytes of attributes, then the value. Another value each time: EDK2 does
# not write the same again. No newline in it: bash would write it in two.
until [ -e /tmp/job/finish ]; do
  written=$((written + 1))
  value=$(printf '\\%o\\%o' $((written % 200 + 20)) $((written / 200)))
  # shellcheck disable=SC2059 # bytes by their numbers
  printf "\\7\\0\\0\\0$value" >"/sys/firmware/efi/efivars/$variable" || exit
  [ $((written % 50)) -ne 0 ] ||
    echo "HELIX-EVENT written $written" >>"$HELIX_EVENTS"
done
kill "$drawing"
END

  wait_event "mode" 150
  resource=$(sed -n 's/.* resource \([0-9]*\) .*/\1/p' "$job/events")
  wait_event "written 50\$"
  start show "$watch" --scanout 0 --show "$resource:60" --check
  until_true 180 "300 pictures and 150 written variables" enough
  stop show || fail "the client ended with an error"
  read_stats
  pictures=$(grep -c '^frame ' "$work/show.log")
  echo "$pictures pictures, $(counter shows) SHOWs, $(counter readbacks)" \
    "readbacks while UEFI variables were written"
  finish_guest

  [ "$(counter read-errors)" -eq 0 ] ||
    fail "$(counter read-errors) read errors"
  if grep -a -i -m 3 -E 'eglMakeCurrent|epoxy' "$job/qemu.log"; then
    fail "QEMU lost its GL context"
  fi
  wrong '^damaged' "damaged"
  wrong '^frame .* number -$' "without a whole marker"
  sed -n 's/^frame .* number //p' "$work/show.log" | sort -nc ||
    fail "an old picture came after a newer one"
}

enough () {
  [ "$(grep -c '^frame ' "$work/show.log")" -ge 300 ] && seen "written 150\$"
}

# wrong PATTERN WHAT
wrong () {
  ! grep -m 3 "$1" "$work/show.log" || fail "some pictures are $2"
}
