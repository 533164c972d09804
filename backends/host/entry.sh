#!/bin/bash
# The one script through which the gateway works on a host, as the user of a connection. A site may allow just this
# one, as a forced command: then the words come in SSH_ORIGINAL_COMMAND. Words are percent-encoded, `%` is empty.
#
#   entry.sh VERB ROOT [RUN [ATTEMPT]] [WORD...]      ROOT: the work directory; $NAME and ${NAME} in it are expanded
#
# `layout` and `start` take several calls in one command, for on a login node each process is dear, and answer them in
# frames: `mantik-answer INDEX CODE SIZE SIZE`, stdout and stderr of these sizes. Exit codes, of a call as of a command:
# 0 done, 64 usage, 65 there is no such file, 66 a path leaves its directory, 75 try again, 1 failed.
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
into_root() { cd -P -- "$1" 2>/dev/null || { [ -d "$(dirname -- "$1")" ] && exit 65; echo "mantik: cannot enter $1" >&2; exit 75; }; }
run_name() { [[ $1 =~ ^[0-9A-Za-z][0-9A-Za-z-]*$ ]] || usage "bad run $1"; }
attempt_name() { [[ $1 =~ ^[0-9]+$ ]] || usage "bad attempt $1"; }
hash_name() { [[ $1 =~ ^[0-9a-f]{64}$ ]] || usage "bad hash $1"; }
answer() { # INDEX CODE STDOUT STDERR: the answer of one call of several; fails when nobody reads it any more
  printf 'mantik-answer %s %s %s %s\n%s%s\n' "$1" "$2" ${#3} ${#4} "$3" "$4" 2>/dev/null
}
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
  # What calls left that were killed: nobody is at it any more.
  find . -mindepth 1 -maxdepth 1 -name '.lay.*' -mmin +1440 -exec rm -rf -- {} +
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
  hash_name "$2"
  [[ $3 =~ ^([0-9]+|-)$ && $4 =~ ^[0-9]+$ ]] || usage "bad offset or size"
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

# What an attempt needs is made aside, in $ASIDE, and comes into its place by one rename: the code, and the attempt with
# its files and its ticket, are there as a whole or not at all. A tar on stdin brings, for each call,
#   new/RUN/N/NAME          the files of the attempt; when it is due, the ticket, with its other name `laid`
#   of/RUN -> ../code/SHA   which code it has: so one `cp` makes it for all of them, since it names a copy by its source
layout() { # ROOT (RUN N SHA ticket|then)...
  local -a calls=("${@:2}") copy=() new=()
  local -A refused=() why=() first=()
  local here i sha
  [ ${#calls[@]} -gt 0 ] && [ $((${#calls[@]} % 4)) -eq 0 ] || usage "a layout has four words"
  into_root "$1"
  own "$1"
  here=$PWD
  make_aside
  tar -xmf - -C "$ASIDE" --no-same-owner || exit 1
  for ((i = 0; i < ${#calls[@]}; i += 4)); do
    set -- "${calls[@]:i:4}"
    as_said "$@" || usage "the files of $1 are not as said"
    [ ! -d "$1/code" ] || continue
    if [ -z "${why[$3]+set}" ]; then unpack "$3"; why[$3]=$REPLY; fi
    if [ -n "${why[$3]}" ]; then refused[$i]=1; answer $((i / 4)) "${why[$3]%% *}" '' "${why[$3]#* }"; continue; fi
    if [ -z "${first[$3]-}" ]; then first[$3]=$1; else copy+=("$ASIDE/of/$1"); fi
    [ -e "$1" ] || new+=("$ASIDE/new/$1")
  done
  [ ${#copy[@]} -eq 0 ] || cp -a -H -t "$ASIDE/new" -- "${copy[@]}" || exit 1
  for sha in "${!first[@]}"; do mv -t "$ASIDE/new/${first[$sha]}" -- "$ASIDE/code/$sha/"* || exit 1; done
  # One that came there meanwhile, by another call, is not replaced: its directory is not empty.
  [ ${#new[@]} -eq 0 ] || mv -t . -- "${new[@]}" 2>/dev/null
  for ((i = 0; i < ${#calls[@]}; i += 4)); do
    [ -z "${refused[$i]-}" ] || continue
    set -- "${calls[@]:i:4}"
    if { [ ! -e "$ASIDE/new/$1" ] && [ -d "$1/$2" ]; } || REPLY=$(complete_run "$1" "$2" "$4" 2>&1); then
      answer $((i / 4)) 0 "$here/$1/$2" ''
    else
      answer $((i / 4)) 1 '' "$REPLY"
    fi
  done
}

make_aside() { # of `layout`: the directories of all calls, in one go
  local -a make=()
  local -A runs=()
  local i
  ASIDE=.lay.$HOSTNAME.$$.$RANDOM
  for ((i = 0; i < ${#calls[@]}; i += 4)); do
    set -- "${calls[@]:i:4}"
    run_name "$1"; attempt_name "$2"; hash_name "$3"
    [ -z "${runs[$1]-}" ] || usage "$1 comes twice"
    runs[$1]=1
    make+=("$ASIDE/code/$3/"{code,inputs,outputs})
  done
  trap 'rm -rf -- "$ASIDE"' EXIT
  mkdir -p -- "${make[@]}" || exit 1
}

as_said() { # RUN N SHA ticket|then: what the tar brought for it
  [ "$ASIDE/of/$1" -ef "$ASIDE/code/$3" ] || return 1
  case $4 in
    ticket) [ "$ASIDE/new/$1/$2/ticket" -ef "$ASIDE/new/$1/$2/laid" ] ;;
    then) [ ! -e "$ASIDE/new/$1/$2/laid" ] ;;
    *) return 1 ;;
  esac
}

unpack() { # SHA: its code into $ASIDE, once for all runs; REPLY is empty, or an exit code and why not
  if [ ! -e "cache/$1.tar.gz" ]; then REPLY='65 '; return; fi
  REPLY=$({ tar -xzf "cache/$1.tar.gz" -C "$ASIDE/code/$1/code" --no-same-owner --no-same-permissions &&
    chmod -R u+rwX -- "$ASIDE/code/$1/code"; } 2>&1) && REPLY='' || REPLY="1 $REPLY"
}

complete_run() { # RUN N ticket|then: what the run lacks, of what lies in $ASIDE; an earlier call was here
  local from=$ASIDE/new/$1 f
  local -a files=()
  if [ ! -e "$1" ] && [ -d "$from/code" ]; then mv -T -- "$from" "$1" && return; fi
  mkdir -p -- "$1/inputs" "$1/outputs" || return 1
  [ -d "$1/code" ] || mv -T -- "$from/code" "$1/code" 2>/dev/null || [ -d "$1/code" ] ||
    { echo "mantik: the code could not be laid out"; return 1; }
  if [ ! -e "$1/$2" ] && mv -T -- "$from/$2" "$1/$2" 2>/dev/null; then return 0; fi
  if [ ! -e "$1/$2/laid" ]; then
    for f in "$from/$2"/*; do
      case ${f##*/} in laid | ticket | submitted) ;; *) files+=("$f") ;; esac
    done
    mv -f -t "$1/$2" -- "${files[@]}" || return 1
  fi
  cd -- "$1/$2" || return 1
  [ "$3" != ticket ] || lay_ticket || { echo "mantik: the ticket could not be laid"; return 1; }
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
# Each submit command has a file `submitted/<k>`, and who makes it issues the command. After the answer k another one
# may follow only when that answer says that surely nothing was submitted: then k+1 has exactly one maker again.
# The file has its room from the start, so that a full disk loses no answer: from byte 0 the exit code as a line of 10,
# from 16 stdout, from 1024 stderr. The code comes last, and is no line before.
AT_ONCE=3 # submit commands of one `start` that run side by side

start() { # ROOT SIZE WORD{SIZE} (RUN N K SIZE WORD{SIZE})...: the answers of submits K, each issued unless it was
  # The first words are of all their command lines, the others of one.
  local -a files=() words=() own_words=() spans=() drop=() given=() jobs=() later=()
  local i reader=yes
  into_root "$1"
  [[ $2 =~ ^[0-9]+$ ]] && [ "$2" -le $(($# - 2)) ] || usage "bad size $2"
  words=("${@:3:$2}")
  shift $(($2 + 2))
  while [ $# -gt 0 ]; do
    [ $# -ge 4 ] || usage "a submit has four words"
    run_name "$1"; attempt_name "$2"
    [[ $3 =~ ^[0-9]+$ ]] || usage "bad number $3"
    [[ $4 =~ ^[0-9]+$ ]] && [ "$4" -le $(($# - 4)) ] || usage "bad size $4"
    files+=("$1/$2/submitted/$3")
    spans+=("${#own_words[@]}:$4")
    own_words+=("${@:5:$4}")
    shift $(($4 + 4))
  done
  submit_command
  # What was begun is brought to its end, although the gateway may have gone; then nothing more is begun.
  trap '' HUP PIPE
  for ((i = 0; i < ${#files[@]}; i++)); do
    [ ${#jobs[@]} -lt "$AT_ONCE" ] || finish
    [ -n "$reader" ] || break
    begin "$i"
  done
  while [ ${#jobs[@]} -gt 0 ]; do finish; done
  [ -n "$reader" ] || return 0
  # At last, so that two commands never wait for each other.
  for i in ${later[@]+"${later[@]}"}; do
    await_answer "${files[i]}"
    answer "$i" 0 "$REPLY" ''
  done
}

submit_command() { # of `start`: the first words name the program, behind `env -u NAME... NAME=VALUE...`
  local i
  [ "${words[0]-}" != launch ] || return 0
  program "${words[@]}"
  [[ $REPLY == 'sbatch '* ]] || usage "not allowed: ${words[*]}"
  for ((i = 0; i < ${#words[@]}; i++)); do
    case ${words[i]} in
      env) ;;
      -u) i=$((i + 1)); drop+=("${words[i]}") ;;
      *=*) given+=("${words[i]}") ;;
      *) break ;;
    esac
  done
  words=("${words[@]:i}")
  # `unset` and `export` would evaluate what stands in brackets.
  set -- ${drop[@]+"${drop[@]}"} ${given[@]+"${given[@]%%=*}"}
  [ $# -eq 0 ] || [[ " $*" =~ ^(\ [A-Za-z_][A-Za-z0-9_]*)*$ ]] || usage "bad name of a variable: $*"
}

begin() { # of `start`, INDEX: issues a submit, or answers why not
  local file=${files[$1]}
  local attempt=${file%/submitted/*}
  if [ ! -d "$attempt" ]; then
    answer "$1" 65 '' '' || reader=
  elif [ -e "$file" ]; then
    later+=("$1")
  elif [ ! -e "$attempt/ticket" ]; then
    answer "$1" 0 "noticket"$'\n'"$(cd -- "$attempt" && fences)" '' || reader=
  elif claim "$file"; then
    # Each stream goes on from its own place.
    exec 4<>"$file" 5<>"$file"
    printf '%16s' '' >&4
    printf '%1024s' '' >&5
    local from=${spans[$1]%:*} size=${spans[$1]#*:}
    run_submit "$attempt" ${own_words[@]+"${own_words[@]:from:size}"} >&4 2>&5 4>&- 5>&- </dev/null &
    exec 4>&- 5>&-
    jobs+=("$1:$!")
  elif [ -n "$REPLY" ]; then
    answer "$1" 1 '' "$REPLY" || reader=
  else
    later+=("$1")
  fi
}

finish() { # of `start`: the submit that began first comes to its end, and is answered
  local index=${jobs[0]%:*}
  wait "${jobs[0]#*:}"
  printf '%-9s\n' $? 1<>"${files[index]}"
  jobs=("${jobs[@]:1}")
  recorded fresh "${files[index]}"
  answer "$index" 0 "$REPLY" '' || reader=
}

claim() { # FILE: we make it, with room for the answer. Fails with what hinders us in REPLY; empty: it was there
  REPLY=
  [ -d "${1%/*}" ] || mkdir -p -- "${1%/*}" 2>/dev/null
  if ! make_once "$1" 2>/dev/null; then
    [ ! -e "$1" ] && REPLY=$(make_once "$1" 2>&1) || return 1
  fi
  # Without room for the answer the command is not run at all.
  if make_room "$1" 2>/dev/null || REPLY=$(make_room "$1" 2>&1); then return 0; fi
  rm -f -- "$1"
  return 1
}

make_room() { printf '%2048s' '' 1<>"$1"; } # FILE. bash 5.2 takes `1<>` within `$( )` for `<>`

make_once() { # FILE: of several that make it at once one succeeds
  local made=0
  set -C
  : >"$1" || made=1
  set +C
  return "$made"
}

run_submit() { # ATTEMPT WORD...: in a process of its own, which becomes the command
  cd -- "$1" || exit 1
  shift
  if [ "${words[0]}" = launch ]; then launch; return; fi
  [ ${#drop[@]} -eq 0 ] || unset -v "${drop[@]}"
  [ ${#given[@]} -eq 0 ] || export "${given[@]}"
  exec "${words[@]}" "$@"
}

recorded() { # KIND FILE -> REPLY: `answer KIND CODE SIZE`, stdout of that size, stderr. Fails while it is open
  local code='' out='' err=''
  REPLY=open
  {
    IFS= read -r -N 10 code
    IFS= read -r -N 6 _
    IFS= read -r -d '' -n 1008 out
    IFS=' ' read -r -d '' -n 65536 err
  } 2>/dev/null <"$2"
  [[ $code =~ ^([0-9]+)\ *$'\n' ]] || return 1
  # The room is full: what was said may be cut within the job's id, so that the last line does not count.
  if [ ${#out} -eq 1008 ] && [[ $out != *' ' ]]; then
    case $out in *$'\n'*) out=${out%$'\n'*} ;; *) out= ;; esac
  fi
  out=${out%"${out##*[! ]}"}
  REPLY="answer $1 ${BASH_REMATCH[1]} ${#out}"$'\n'"$out$err"
}

await_answer() { # FILE -> REPLY: another call of ours may be at it just now; an answer that will never come is `open`
  local turn
  for ((turn = 0; turn < 150; turn++)); do
    if recorded recorded "$1"; then return; fi
    [ $(($(date +%s) - $(stat -c %Y "$1" 2>/dev/null || echo 0))) -lt 15 ] || return
    sleep 0.1
  done
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
case $0 in /*) SELF=$0 ;; *) SELF=$PWD/$0 ;; esac
declare -a words=()
if [ -n "${SSH_ORIGINAL_COMMAND-}" ] && [ $# -eq 0 ]; then
  read -r -a raw <<<"$SSH_ORIGINAL_COMMAND"
  set -- "${raw[@]:1}"
fi
if [[ $* == *%* ]]; then
  for word in "$@"; do decode "$word"; words+=("$REPLY"); done
  set -- "${words[@]}"
fi
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
