# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Packages of another release or architecture, without a change to the machine:
# the archive and the keys are those that this machine's apt is configured with,
# lists and downloads are in a folder of their own.

# This machine's entry for its own release in the Debian archive, as "URI
# keyring" ("-" = apt's default keyrings). Both formats of sources are read;
# -security, -updates and third parties have other suites.
archive_entry () {
  local codename parts list
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  [ -n "$codename" ] || return 1
  parts=$(apt-config shell d Dir::Etc::sourceparts/d | sed "s/^d='\(.*\)'$/\1/")
  list=$(apt-config shell f Dir::Etc::sourcelist/f | sed "s/^f='\(.*\)'$/\1/")
  {
    for file in "$parts"/*.sources; do
      [ ! -r "$file" ] || { cat "$file"; echo; }
    done
  } | awk -v codename="$codename" '
    function emit (  i, n, s) {
      n = split(suites, s, " ")
      for (i = 1; i <= n; i++)
        if (s[i] == codename && enabled != "no" && (" " types " ") ~ / deb / &&
            (" " components " ") ~ / main / && !done) {
          split(uris, u, " ")
          print u[1], key == "" ? "-" : key
          done = 1
        }
      types = uris = suites = components = key = enabled = ""
    }
    /^[ \t]*$/ { emit(); next }
    /^#/ || /^[ \t]/ { next }
    {
      field = tolower($1); value = $0; sub(/^[^:]*:[ \t]*/, "", value)
      if (field == "types:") types = value
      else if (field == "uris:") uris = value
      else if (field == "suites:") suites = value
      else if (field == "components:") components = value
      else if (field == "enabled:") enabled = tolower(value)
      else if (field == "signed-by:" && value ~ /^\//) key = value
    }
    END { emit() }' | grep . && return 0
  for file in "$list" "$parts"/*.list; do
    [ ! -r "$file" ] || { cat "$file"; echo; }
  done | awk -v codename="$codename" '
    $1 == "deb" {
      key = "-"; i = 2
      if ($i ~ /^\[/) {
        for (; i <= NF; i++) {
          word = $i; gsub(/[\[\]]/, "", word)
          if (word ~ /^signed-by=/) { key = word; sub(/.*=/, "", key) }
          if ($i ~ /\]$/) { i++; break }
        }
      }
      if ($(i + 1) == codename && $(i + 2) == "main") {
        print $i, key; exit
      }
    }' | grep .
}

# A private apt: own lists, own cache, none of the machine's hooks and pins.
#   private_apt FOLDER SUITE [ARCHITECTURE]
private_apt () {
  local entry uri key dir=$1
  entry=$(archive_entry) || return
  uri=${entry% *}
  key=${entry##* }
  # Keys of other releases than this one are in the whole keyring.
  if [ "$key" = - ] && [ -r /usr/share/keyrings/debian-archive-keyring.gpg ]
  then
    key=/usr/share/keyrings/debian-archive-keyring.gpg
  fi
  mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/empty"
  {
    printf 'Types: deb deb-src\nURIs: %s\nSuites: %s\nComponents: main\n' \
      "$uri" "$2"
    [ "$key" = - ] || printf 'Signed-By: %s\n' "$key"
  } >"$dir/private.sources"
  mkdir -p "$dir/parts"
  mv "$dir/private.sources" "$dir/parts/"
  cat >"$dir/apt.conf" <<END
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear Acquire::IndexTargets::deb::DEP-11;
#clear Acquire::IndexTargets::deb::DEP-11-icons;
#clear Acquire::IndexTargets::deb::DEP-11-icons-small;
#clear Acquire::IndexTargets::deb::Contents-deb;
#clear Acquire::IndexTargets::deb-src::Contents-dsc;
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "$dir/parts";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "$dir/empty";
Dir::State::Lists "$dir/lists";
Dir::Cache "$dir/cache";
Acquire::Languages "none";
Acquire::Retries "3";
APT::Sandbox::User "$(id -un)";
APT::Get::List-Cleanup "true";
END
  [ -z "${3:-}" ] || cat >>"$dir/apt.conf" <<END
#clear APT::Architectures;
APT::Architecture "$3";
APT::Architectures { "$3"; };
Dir::State::status "$dir/status";
END
  : >"$dir/status"
}

# apt_do FOLDER COMMAND...: one of apt's commands, with that private apt.
apt_do () {
  local dir=$1 tool=$2
  shift 2
  "$tool" -c "$dir/apt.conf" "$@"
}
