#!/bin/bash
# The one script through which the gateway works on a host, as the user of a connection. A site may allow just this
# one, as a forced command: then the words come in SSH_ORIGINAL_COMMAND. Words are percent-encoded, `%` is empty.
#
#   entry.sh VERB ROOT [RUN [ATTEMPT]] [WORD...]      ROOT: the work directory; $NAME and ${NAME} in it are expanded
#
# Exit codes: 0 done, 64 usage, 65 there is no such file, 66 a path leaves its directory, 75 try again, 1 failed.
set -u
umask 077
LOCALE=${LC_ALL-}
export LC_ALL=C
usage() { echo "mantik: $*" >&2; exit 64; }
fail() { echo "mantik: $*" >&2; exit 1; }

decode() { # WORD -> REPLY
  if [ "$1" = % ]; then REPLY=; return; fi
  printf -v REPLY '%b' "${1//%/\\x}"
}

expand() { # TEMPLATE -> REPLY: variables only, nothing is run
  local rest=$1 out='' name
  while [[ $rest =~ ^([^$]*)\$(\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))(.*)$ ]]; do
    name=${BASH_REMATCH[3]}${BASH_REMATCH[4]}
    out+=${BASH_REMATCH[1]} rest=${BASH_REMATCH[5]}
    # Many sites set $SCRATCH and the like for login shells only; what their profile prints comes before.
    [ -n "${!name-}" ] || printf -v "$name" %s "$(bash -lc 'printf "\n%s" "${!1-}"' - "$name" 2>/dev/null </dev/null | tail -n 1)"
    [ -n "${!name-}" ] || fail "the work directory $1 uses \$$name, which is not set here"
    out+=${!name}
  done
  [[ $rest != *'$'* ]] || fail "the work directory $1 may hold \$NAME and \${NAME}, no other \$"
  REPLY=$out$rest
  [[ $REPLY == /* ]] || fail "the work directory $1 is no absolute path here: $REPLY"
}

# ------------------------------------------------------------------ where things are
into_root() { cd -- "$1" 2>/dev/null || { [ -d "$(dirname -- "$1")" ] && exit 65; echo "mantik: cannot enter $1" >&2; exit 75; }; }
run_name() { [[ $1 =~ ^[0-9A-Za-z][0-9A-Za-z-]*$ ]] || usage "bad run $1"; }
attempt_name() { [[ $1 =~ ^[0-9]+$ ]] || usage "bad attempt $1"; }
into_attempt() { # ROOT RUN N
  run_name "$2"; attempt_name "$3"; into_root "$1"
  cd -- "$2/$3" 2>/dev/null || exit 65
}
inside() { # PATH: REPLY is the real path, below the present directory
  local top real
  top=$(pwd -P) || exit 65
  real=$(realpath -e -- "$1" 2>/dev/null) || exit 65
  [[ $real == "$top" || $real == "$top"/* ]] || { echo "mantik: $1 leaves its directory" >&2; exit 66; }
  REPLY=$real
}
fences() { local f; for f in fence.*; do [ -e "$f" ] && printf '%s\n' "${f#fence.}"; done; return 0; }

# ------------------------------------------------------------------ check, stage
own() { # DIRECTORY that we are in: who else may write in it could change the job scripts of this account
  [ -O . ] ||
    fail "the work directory $1 belongs to $(stat -c %U .), not to $(id -un); set another one, such as \$HOME/mantik"
  [ -z "$(find . -maxdepth 0 -perm /022)" ] ||
    fail "other accounts may write in the work directory $1; run \`chmod go-w\` on it there, or set another one"
}
check() { # ROOT
  mkdir -p -- "$1" || exit 1
  cd -- "$1" || exit 1
  own "$1"
  local probe=.probe.$$
  if ! printf '%4096s' '' >"$probe"; then rm -f "$probe"; fail "cannot write in $1"; fi
  rm -f "$probe"
  echo "user=$(id -un)"; echo "host=$(hostname)"; echo "root=$(pwd -P)"
  echo "bytes=$(($(df -Pk . | awk 'NR==2{print $4}') * 1024))"
  echo "inodes=$(df -Pi . 2>/dev/null | awk 'NR==2{print $4}')"
  echo "filesystem=$(stat -f -c %T . 2>/dev/null)"
  echo "cpus=$(nproc 2>/dev/null)"
  echo "memory=$(awk '/^MemTotal:/{print $2*1024}' /proc/meminfo 2>/dev/null)"
}

staged() { # SHA: complete, or how many bytes are there
  if [ -e "cache/$1.tar.gz" ]; then touch -c "cache/$1.tar.gz"; echo complete; return; fi
  echo "part $(stat -c %s -- "cache/$1.part" 2>/dev/null || echo 0)"
}

stage() { # ROOT SHA OFFSET SIZE, bytes on stdin. Two that upload the same at once write the same bytes in the same places
  [[ $2 =~ ^[0-9a-f]{64}$ && $3 =~ ^([0-9]+|-)$ && $4 =~ ^[0-9]+$ ]] || usage "bad hash, offset or size"
  mkdir -p -- "$1/cache" || exit 1
  cd -- "$1" || exit 1
  if [ -e "cache/$2.tar.gz" ] || [ "$3" = - ]; then staged "$2"; return; fi
  local part=cache/$2.part
  dd of="$part" bs=256K oflag=seek_bytes seek="$3" conv=notrunc iflag=fullblock status=none || exit 1
  [ "$(stat -c %s -- "$part" 2>/dev/null || echo 0)" -ge "$4" ] || { staged "$2"; return; }
  if [ "$(sha256sum <"$part" 2>/dev/null | cut -d' ' -f1)" = "$2" ]; then
    mv -T -- "$part" "cache/$2.tar.gz" 2>/dev/null
  elif [ ! -e "cache/$2.tar.gz" ]; then
    rm -f -- "$part"; echo corrupt; return
  fi
  staged "$2"
}

# ------------------------------------------------------------------ prepare
# A ticket is laid once in the life of an attempt: its inode gets the name `laid` exactly once, and only who did that
# moves its other name to `ticket`. So no ticket can come back after it was renamed to a fence, whoever is late.
lay_ticket() {
  local mine left
  mine=t.$HOSTNAME.$$
  if [ ! -e laid ]; then
    # That the second step fails means that another call did it for us, see below.
    if : >"$mine" && ln -- "$mine" laid 2>/dev/null; then mv -T -- "$mine" ticket 2>/dev/null; else rm -f -- "$mine"; fi
  fi
  # Whoever laid it may have died between the two steps: its temporary name is the ticket.
  for left in t.*; do [ "$left" -ef laid ] && mv -T -- "$left" ticket 2>/dev/null; done
  [ -e laid ]
}

layout() { # ROOT RUN N SHA LINEAGE ticket|then: code and files of the attempt, a tar of them on stdin; its ticket
  run_name "$2"; attempt_name "$3"; run_name "$5"
  into_root "$1"
  own "$1"
  [ -d "$2/code" ] || [ -e "cache/$4.tar.gz" ] || exit 65
  mkdir -p -- "$2/inputs" "$2/outputs" "$2/$3" "lineage/$5/checkpoint" || exit 1
  if [ ! -d "$2/code" ]; then
    local part=$2/code.part.$$
    mkdir -- "$part" || exit 1
    tar -xzf "cache/$4.tar.gz" -C "$part" --no-same-owner --no-same-permissions || { rm -rf -- "$part"; exit 1; }
    chmod -R u+rwX -- "$part"
    mv -T -- "$part" "$2/code" 2>/dev/null || rm -rf -- "$part"
    [ -d "$2/code" ] || fail "the code could not be laid out"
  fi
  cd -- "$2/$3" || exit 1
  if [ -e laid ]; then cat >/dev/null; else tar -xf - --no-same-owner || { rm -f -- env; exit 1; }; fi
  [ "${6-}" != ticket ] || lay_ticket || fail "the ticket could not be laid"
  pwd -P
}

# Login-node commands go on without us, once; on a login node beside ours their process cannot be seen, so that only
# their exit file or the time limit ends the wait.
detached() { # ROOT RUN N before|after LIMIT: running, or `exit CODE` and the last of their log
  into_attempt "$1" "$2" "$3"
  local what=$4
  [ -s "$what.sh" ] || { echo 'exit 0'; return; }
  if [ ! -e "$what.exit" ] && mkdir "$what.started" 2>/dev/null; then
    (
      cd ../code || exit 1
      if [ -n "$LOCALE" ]; then LC_ALL=$LOCALE; else unset LC_ALL; fi
      here=$PWD
      here=${here%/code}/$3
      # shellcheck disable=SC2016  # the inner shell expands its own arguments
      # A login shell, for there `module` and the paths of the site are set.
      setsid bash -c '
        timeout -k 10 "$1" bash -lc "[ ! -e \"\$1/env\" ] || . \"\$1/env\"; set -e; . \"\$1/\$2.sh\"" - "$2" "$3" \
          </dev/null >>"$2/$3.log" 2>&1
        echo $? >"$2/$3.exit.part"; mv -T "$2/$3.exit.part" "$2/$3.exit"' - "$5" "$here" "$what" \
        </dev/null >/dev/null 2>&1 &
      echo "$(hostname) $!" >"$here/$what.started/process"
    )
  fi
  if [ -e "$what.exit" ]; then echo "exit $(cat "$what.exit")"; tail -c 4000 "$what.log" 2>/dev/null; return; fi
  local host pid age
  read -r host pid 2>/dev/null <"$what.started/process" || { host=; pid=; }
  age=$(($(date +%s) - $(stat -c %Y "$what.started")))
  if { [ "$host" = "$(hostname)" ] && [ "$age" -gt 2 ] && ! kill -0 "$pid" 2>/dev/null && [ ! -e "$what.exit" ]; } ||
    [ "$age" -gt $(($5 + 60)) ]; then
    echo 'exit 137'; tail -c 4000 "$what.log" 2>/dev/null; return
  fi
  echo running
}

ticket() { into_attempt "$1" "$2" "$3"; lay_ticket || fail "the ticket could not be laid"; }

# ------------------------------------------------------------------ start, revoke
# Each submit command has a directory `submitted/<k>`, and who makes it issues the command. After the answer k another
# one may follow only when that answer says that surely nothing was submitted: then k+1 has exactly one maker again.
reply() { # KIND DIRECTORY: `answer KIND CODE SIZE`, stdout of that size, stderr
  local code
  if ! read -r code <"$2/code"; then echo open; return; fi
  echo "answer $1 $code $(stat -c %s -- "$2/out")"; cat -- "$2/out" "$2/err"
}

start() { # ROOT RUN N K ARGV...: the answer of submit K, which is issued unless it was
  into_attempt "$1" "$2" "$3"
  [[ $4 =~ ^[0-9]+$ ]] || usage "bad number $4"
  local dir=submitted/$4
  shift 4
  if [ "$1" != launch ]; then
    program "$@"
    [[ $REPLY == 'sbatch '* ]] || usage "not allowed: $*"
  fi
  # What was begun is brought to its end, although the gateway may have gone.
  trap '' HUP PIPE
  if [ ! -d "$dir" ]; then
    if [ ! -e ticket ]; then echo noticket; fences; return; fi
    mkdir -p submitted || exit 1
    if mkdir "$dir" 2>/dev/null; then
      # Without room for the answer the command is not run at all.
      if ! { : >"$dir/out" && : >"$dir/err" && printf '%4096s' '' >"$dir/code.part"; }; then rm -rf -- "$dir"; exit 1; fi
      if [ "$1" = launch ]; then launch; else "$@"; fi >"$dir/out" 2>"$dir/err" </dev/null
      printf '%-9s\n' $? 1<>"$dir/code.part" && mv -T -- "$dir/code.part" "$dir/code"
      reply fresh "$dir"
      return
    fi
    [ -d "$dir" ] || mkdir -- "$dir" || exit 1
  fi
  # Another call of ours may be at it just now; an answer that will never come is `open`.
  for _ in $(seq 150); do
    [ ! -e "$dir/code" ] || break
    [ $(($(date +%s) - $(stat -c %Y "$dir"))) -lt 15 ] || break
    sleep 0.1
  done
  if [ -e "$dir/code" ]; then reply recorded "$dir"; else echo open; fi
}

revoke() { # ROOT RUN N: `fences` and their names; `gone` when the directory provably is not there
  run_name "$2"; attempt_name "$3"
  if ! { cd -- "$1" && ls; } >/dev/null 2>&1; then echo "mantik: cannot list $1" >&2; exit 75; fi
  cd -- "$2/$3" 2>/dev/null || {
    if [ -e "$2/$3" ]; then exit 75; fi
    echo gone; return
  }
  lay_ticket || exit 75
  mv -T -- ticket fence.revoked 2>/dev/null
  echo fences; fences
}

# ------------------------------------------------------------------ evidence
evidence() { # ROOT, lines `RUN/N` on stdin: per attempt its fences, exit file and log; few processes however many
  into_root "$1"
  shopt -s nullglob
  local dir f text
  local -a logs=() seen=()
  while IFS= read -r dir; do
    [[ $dir =~ ^[0-9A-Za-z-]+/[0-9]+$ ]] || continue
    [ -d "$dir" ] || { printf 'gone %s\n' "$dir"; continue; }
    seen=("$dir"/fence.*)
    for f in "${seen[@]}"; do printf 'fence %s %s\n' "$dir" "${f##*/fence.}"; done
    for f in exit site_exit time_limit disk_full; do
      [ -e "$dir/$f" ] || continue
      text=
      IFS= read -r -d '' -n 1000 text 2>/dev/null <"$dir/$f"
      read -r -a seen <<<"${text//$'\n'/ }"
      printf '%s %s %s\n' "$f" "$dir" "${seen[*]}"
    done
    if [ -e "$dir/mantik.log" ]; then logs+=("$dir/mantik.log"); fi
  done
  [ ${#logs[@]} -eq 0 ] || printf '%s\0' "${logs[@]}" | xargs -0 stat -L -c 'log %n %s %i' -- 2>/dev/null
  echo end
}

# ------------------------------------------------------------------ files
area() { # ROOT RUN N attempt|run
  into_attempt "$1" "$2" "$3"
  case $4 in attempt) ;; run) cd .. || exit 65 ;; *) usage "bad area $4" ;; esac
}
read_file() { # ROOT RUN N AREA PATH OFFSET LIMIT
  area "$1" "$2" "$3" "$4"; inside "$5"; [ -f "$REPLY" ] || exit 65
  # Tokens and secrets are for the job alone.
  [[ ! $REPLY =~ /$2/[0-9]+/env$ ]] || exit 65
  exec dd if="$REPLY" bs=256K iflag=skip_bytes,count_bytes skip="$6" count="$7" status=none
}
stat_file() { # ROOT RUN N AREA PATH
  area "$1" "$2" "$3" "$4"; inside "$5"
  find "$REPLY" -maxdepth 0 -printf '%s %y %T@ %i\n'
}
list_files() { # ROOT RUN N AREA PATH
  area "$1" "$2" "$3" "$4"; inside "$5"; [ -d "$REPLY" ] || exit 65
  find "$REPLY" -mindepth 1 -maxdepth 1 -printf '%s %y %T@ %i %f\0'
}
remove() { # ROOT RUN N AREA
  run_name "$2"; attempt_name "$3"; into_root "$1"
  case $4 in attempt) hollow "$2/$3" ;; run) stop_commands "./${2:?}"/[0-9]*; rm -rf -- "./${2:?}" ;; *) usage "bad area $4" ;; esac
}
hollow() { # RUN/N: nothing stays but the seized fence, so that a gateway that wakes up late lays no ticket again
  cd -- "$1" 2>/dev/null || return 0
  stop_commands .
  # Without room for a ticket there never was one; then nothing of the attempt can run, and its files make room.
  if ! lay_ticket 2>/dev/null; then cd .. && rm -rf -- "./${1##*/}"; return; fi
  mv -T -- ticket fence.revoked 2>/dev/null
  find . -mindepth 1 -maxdepth 1 ! -name laid ! -name 'fence.*' -exec rm -rf -- {} +
}
stop_commands() { # ATTEMPT...: login-node commands that still run on this host
  local attempt host pid code
  for attempt in "$@"; do
    [ ! -e "$attempt/before.exit" ] || continue
    read -r host pid 2>/dev/null <"$attempt/before.started/process" || continue
    code=$(readlink "/proc/$pid/cwd" 2>/dev/null) || continue
    # The number may be another process's by now: ours works in the code of this run.
    [ "$host" = "$(hostname)" ] && [ "$code" = "$(realpath -- "$attempt/../code" 2>/dev/null)" ] || continue
    signal_session "$pid" TERM ''
  done
}
forget() { into_attempt "$1" "$2" "$3"; rm -f -- env; }

# ------------------------------------------------------------------ a scheduler's commands
program() { # ARGV -> REPLY: the program behind `env -u NAME... NAME=VALUE...`, and its first plain word
  local name='' word=''
  while [ $# -gt 0 ]; do
    case $1 in
      env) ;;
      -u) shift ;;
      *=*) ;;
      *) break ;;
    esac
    shift
  done
  name=${1-}
  while [ $# -gt 1 ] && [ -z "$word" ]; do shift; [[ $1 == -* ]] || word=$1; done
  # Some sites put their scheduler into the path of login shells only.
  command -v "$name" >/dev/null || PATH=$(bash -lc 'printf "\n%s" "$PATH"' 2>/dev/null </dev/null | tail -n 1):$PATH
  REPLY="$name $word"
}
scheduler() { # ARGV: only what asks or cancels; submitting is `start`
  program "$@"
  case $REPLY in
    'squeue '* | 'sacct '* | 'scancel '* | 'sinfo '* | 'sshare '* | 'scontrol show' | 'scontrol ' | 'sacctmgr show') ;;
    *) usage "not allowed: $*" ;;
  esac
  exec "$@" </dev/null
}

# ------------------------------------------------------------------ this machine as a site
started() { # PID -> REPLY: boot id, pid and start time, which together no other process ever has
  local line
  line=$(<"/proc/$1/stat") 2>/dev/null || return 1
  line=${line##*) }
  # shellcheck disable=SC2086  # fields, split on purpose
  set -- "$1" $line
  [ "$2" != Z ] && [ "$2" != X ] || return 1
  REPLY=$(</proc/sys/kernel/random/boot_id).$1.${21}
}
signal_session() { # SESSION SIGNAL 'PID...': all of a session but those
  local f line pid
  for f in /proc/[0-9]*/stat; do
    { line=$(<"$f"); } 2>/dev/null || continue
    pid=${line%% *} line=${line##*) }
    # shellcheck disable=SC2086  # fields, split on purpose
    set -- "$1" "$2" "$3" $line
    [ "$7" = "$1" ] && [[ " $3 " != *" $pid "* ]] && kill "-$2" "$pid" 2>/dev/null
  done
  return 0
}
launch() { # starts the supervisor of job.sh in a session of its own, as the file `submit` says; prints the job's id
  local -a keep=() how=()
  local name seconds=0
  mapfile -t how <submit
  [ "${how[0]-}" != timeout ] || seconds=${how[1]}
  [ -z "$LOCALE" ] || keep+=("LC_ALL=$LOCALE")
  for name in HOME USER LOGNAME PATH LANG TZ TMPDIR SHELL; do
    [ -n "${!name-}" ] && keep+=("$name=${!name}")
  done
  env -i "${keep[@]}" setsid bash "$SELF" supervise "$seconds" </dev/null >/dev/null 2>&1 &
  for _ in $(seq 200); do
    [ -e submitted/job ] && { cat submitted/job; return 0; }
    sleep 0.05
  done
  return 75
}
supervise() { # SECONDS: in the attempt's directory; outlives the gateway and records how the job ended
  trap '' HUP INT; trap : TERM
  bash job.sh </dev/null >>mantik.log 2>&1 &
  local pid=$! code watch=
  started "$pid" || REPLY=$(</proc/sys/kernel/random/boot_id).$pid.0
  echo "$REPLY" >submitted/job.part; mv -T submitted/job.part submitted/job
  if [ "$1" -gt 0 ]; then
    (
      trap '' TERM
      sleep "$1"; : >time_limit
      signal_session $$ TERM "$$ $BASHPID"; sleep 10; signal_session $$ KILL "$$ $BASHPID"
    ) &
    watch=$!
  fi
  while :; do wait "$pid"; code=$?; kill -0 "$pid" 2>/dev/null || break; done
  [ -z "$watch" ] || kill -KILL "$watch" 2>/dev/null
  echo "$code $(date +%s)" >site_exit.part; mv -T site_exit.part site_exit
  signal_session $$ KILL $$
}
job() { # ROOT RUN N: the id that the supervisor recorded, or the fence; nothing when there is none
  run_name "$2"; attempt_name "$3"; into_root "$1"
  cd -- "$2/$3" 2>/dev/null || return 0
  if [ -e submitted/job ]; then cat submitted/job; else fences | grep -v '^revoked$'; fi
  return 0
}
processes() { # ids on stdin; prints those that live
  local id pid
  while IFS= read -r id; do
    pid=${id#*.} pid=${pid%%.*}
    [[ $pid =~ ^[0-9]+$ ]] && started "$pid" && [ "$REPLY" = "$id" ] && echo "$id"
  done
  echo end
}
stop_process() { # ID: TERM to its session, KILL after the grace; the supervisor lives to record it
  local pid=${1#*.} session
  pid=${pid%%.*}
  started "$pid" && [ "$REPLY" = "$1" ] || return 0
  session=$(<"/proc/$pid/stat") 2>/dev/null || return 0
  read -r _ _ _ session _ <<<"${session##*) }"
  [ -n "$session" ] && [ "$session" -gt 1 ] || return 0
  signal_session "$session" TERM "$session"
  # shellcheck disable=SC2016  # the inner shell expands its own arguments
  setsid bash -c 'sleep "$1"; exec bash "$2" kill_session "$3"' - 10 "$SELF" "$session" </dev/null >/dev/null 2>&1 &
}

# ------------------------------------------------------------------ the door
SELF=$(realpath -- "$0")
declare -a words=()
if [ -n "${SSH_ORIGINAL_COMMAND-}" ] && [ $# -eq 0 ]; then
  read -r -a raw <<<"$SSH_ORIGINAL_COMMAND"
  set -- "${raw[@]:1}"
fi
for word in "$@"; do decode "$word"; words+=("$REPLY"); done
set -- "${words[@]}"
verb=${1-}; shift || usage "a verb is needed"
case $verb in
  supervise) supervise "$@"; exit ;;
  kill_session) signal_session "$1" KILL "$1"; exit ;;
  processes) processes; exit ;;
  stop) stop_process "$@"; exit ;;
  boot) cat /proc/sys/kernel/random/boot_id; exit ;;
  run) scheduler "$@" ;;
esac
[ $# -ge 1 ] || usage "a work directory is needed"
expand "$1"; root=$REPLY; shift
set -- "$root" "$@"
case $verb in
  check) check "$@" ;;
  stage) stage "$@" ;;
  layout) layout "$@" ;;
  detached) detached "$@" ;;
  ticket) ticket "$@" ;;
  start) start "$@" ;;
  revoke) revoke "$@" ;;
  evidence) evidence "$@" ;;
  job) job "$@" ;;
  read) read_file "$@" ;;
  stat) stat_file "$@" ;;
  list) list_files "$@" ;;
  remove) remove "$@" ;;
  forget) forget "$@" ;;
  *) usage "no such verb: $verb" ;;
esac
