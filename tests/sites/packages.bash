# shellcheck shell=bash
# Debian packages, installed when we may; else the exact command is said.

need_packages() { # NAME...
  local missing=() name
  for name in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  local root=()
  if [ "$(id -u)" != 0 ]; then
    if ! sudo -n true 2>/dev/null; then
      echo "These Debian packages are missing. Install them, then run this again:" >&2
      echo "  sudo apt-get install --no-install-recommends ${missing[*]}" >&2
      exit 1
    fi
    root=(sudo)
  fi
  echo "installing ${missing[*]}" >&2
  # Maintainer scripts must not start daemons: the sites start their own, with their own settings.
  local policy=/usr/sbin/policy-rc.d made=
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
    "${root[@]}" chmod 755 "$policy"
    made=1
  fi
  local log code=0
  log=$(mktemp)
  if ! { "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" ||
    { "${root[@]}" apt-get update -q &&
      "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"; }
  } >"$log" 2>&1; then
    tail -20 "$log" >&2
    code=1
  fi
  [ -z "$made" ] || "${root[@]}" rm -f "$policy"
  rm -f "$log"
  return "$code"
}
