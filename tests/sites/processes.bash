# shellcheck shell=bash
# Daemons by pid file, and free ports.

alive() { # PIDFILE [NAME]: a zombie is gone; the name is looked at because a pid may have a new owner
  local pid
  pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] || return 1
  grep -q '^State:.[^ZX]' "/proc/$pid/status" 2>/dev/null || return 1
  [ $# -lt 2 ] || [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ]
}

stop() { # PIDFILE...: TERM to all, 15 s for all, then KILL
  local file n
  for file in "$@"; do if alive "$file"; then kill -TERM "$(cat "$file")" 2>/dev/null; fi; done
  for file in "$@"; do
    n=0
    while alive "$file" && [ $n -lt 150 ]; do sleep 0.1; n=$((n + 1)); done
    if alive "$file"; then kill -KILL "$(cat "$file")"; fi
    rm -f "$file"
  done
}

wait_for() { # SECONDS WHAT COMMAND...
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { echo "not ready in time: $what" >&2; exit 1; }
    sleep 0.1
  done
}

free_port() { # a port of loopback that nobody has now
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

keep_ports() { # FILE NAME...: the same ports at every start, NAME=PORT lines
  local name
  [ -s "$1" ] || for name in "${@:2}"; do echo "$name=$(free_port)"; done >"$1"
}
