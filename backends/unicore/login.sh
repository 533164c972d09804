#!/bin/bash
# login.sh before|after SECONDS: the login-node commands of an attempt, in its directory, once however often it is run.
# The log is <what>.log, the end <what>.exit.
umask 077
cd -- "$(dirname -- "$0")" || exit 1
what=$1 limit=$2
[ -s "$what.sh" ] || exit 1
mkdir -- "$what.started" 2>/dev/null || exit 0
here=$PWD
unpack() {
  [ ! -d code ] || return 0
  local archive
  archive=$(echo code-*.tar.gz)
  mkdir -p -- inputs outputs code.part && echo "${archive:5:64}  $archive" | sha256sum --check --status &&
    tar -xzf "$archive" -C code.part --no-same-owner --no-same-permissions && chmod -R u+rwX -- code.part &&
    mv -T -- code.part code && rm -f -- "$archive"
}
if ! unpack >>"$what.log" 2>&1 || ! cd code; then
  echo 1 >"$here/$what.exit"
  exit 0
fi
# A login shell, for there `module` and the paths of the site are set.
# shellcheck disable=SC2016  # the inner shell expands its own arguments
timeout -k 10 "$limit" bash -lc '[ ! -e "$1/env" ] || . "$1/env"; set -e; . "$1/$2.sh"' - "$here" "$what" \
  </dev/null >>"$here/$what.log" 2>&1
echo $? >"$here/$what.exit.part"
mv -T -- "$here/$what.exit.part" "$here/$what.exit"
