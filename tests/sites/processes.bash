# shellcheck shell=bash
# Daemons by pid file, ports that stay the same, and one call at a time.

alive() { # PIDFILE [NAME]: a zombie is gone; the name is looked at because a pid may have a new owner
  local pid
  pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] || return 1
  grep -q '^State:.[^ZX]' "/proc/$pid/status" 2>/dev/null || return 1
  [ $# -lt 2 ] || [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ]
}

stop() { # NAME PIDFILE...: TERM to all that are still NAME, 15 s for all, then KILL
  local name=$1 file n
  shift
  for file in "$@"; do if alive "$file" "$name"; then kill -TERM "$(cat "$file")" 2>/dev/null || true; fi; done
  for file in "$@"; do
    n=0
    while alive "$file" "$name" && [ $n -lt 150 ]; do sleep 0.1; n=$((n + 1)); done
    if alive "$file" "$name"; then kill -KILL "$(cat "$file")" || true; fi
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

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; } # PORT

# keep_ports FILE NAME[:COUNT]...: NAME=PORT lines, the same ports at every start. COUNT ports in a row, else one.
# Below 32768 no outgoing connection takes them while the site is down. CHECK=1 replaces those that are taken now.
keep_ports() {
  python3 - "$@" <<'P'
import os, pathlib, random, socket, sys

def free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

file = pathlib.Path(sys.argv[1])
kept = dict(line.split("=") for line in file.read_text().split()) if file.exists() else {}
ports, used = {}, set()
for wanted in sys.argv[2:]:
    name, _, count = wanted.partition(":")
    def block(first):
        return set(range(first, first + int(count or 1)))
    first = int(kept.get(name, 0))
    while not first or (block(first) & used) or (
        (name not in kept or os.environ.get("CHECK")) and not all(map(free, block(first)))
    ):
        kept.pop(name, None)
        first = random.randrange(20000, 32000)
    ports[name] = first
    used |= block(first)
file.write_text("".join(f"{name}={port}\n" for name, port in ports.items()))
P
}

one_at_a_time() { # LOCKFILE SCRIPT ARGUMENTS...: runs the script again under a lock that its daemons do not inherit
  [ "${SITE_LOCK-}" != "$1" ] || return 0
  SITE_LOCK=$1 exec flock --close "$@"
}
