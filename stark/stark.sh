#!/bin/sh
# stark: the first process of the container with the Docker engine, the X server and sound, and what tells of them.
# Each part is a service in a directory of runit's under /etc/sv (docs/stark.md says what is in one).

PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
umask 022

SOURCES=/etc/sv
RUNTIME=/run/stark
SERVICES=/etc/service
LOGS=/var/log/stark
# Seconds that all services together get to stop; whoever stops the container waits for ten.
GRACE=8
# Seconds that a service's check may take.
CHECK_LIMIT=20

usage() {
    cat <<'END_OF_USAGE'
usage: stark [COMMAND]

  wait SERVICE...       wait until these services work; one that this machine does not run counts as such
  ready [--timeout S]   0 when all services work, else 1 and which ones do not; waits for that up to S seconds
  status [--json]       one line for each service: its state, process, seconds in that state, and restarts

Without a command it starts the services, and stops them when it gets SIGTERM. `sv` of runit(8) controls single ones,
for example: sv restart docker
END_OF_USAGE
}

say() {
    echo "stark: $*" >&2
}

# uptime: whole seconds since the machine's start, which nobody sets as they set the clock
uptime() {
    read -r up _ </proc/uptime
    echo "${up%%.*}"
}

names() {
    ls "$SERVICES" 2>/dev/null
}

# value FILE [DEFAULT]: the line in a file of a service's directory
value() {
    line=
    [ ! -r "$1" ] || read -r line <"$1"
    echo "${line:-$2}"
}

# works NAME: whether the service does what it is there for
works() {
    directory=$SERVICES/$1
    [ "$(value "$directory/supervise/stat" down)" = run ] || return 1
    [ ! -e "$directory/check" ] || (cd "$directory" && timeout "$CHECK_LIMIT" ./check) >/dev/null 2>&1
}

# --- The first process

# What a stark before this one has left is worth nothing: its processes are gone, and with them their mounts.
prepare() {
    rm -rf "$RUNTIME" "$SERVICES" /run/docker /run/docker.sock /run/docker.pid
    mkdir -p "$RUNTIME" "$SERVICES" "$LOGS"
    for source in "$SOURCES"/*/; do
        name=${source#"$SOURCES/"}
        name=${name%/}
        [ ! -e "$source/prepare" ] || (cd "$source" && ./prepare) || continue
        directory=$SERVICES/$name
        cp -R "$source" "$directory"
        mkdir -p "$directory/log" "$LOGS/$name"
        [ -e "$directory/finish" ] || ln -s /usr/bin/stark "$directory/finish"
        [ -e "$directory/log/run" ] || ln -s /usr/lib/stark/log "$directory/log/run"
        printf '%s\n' s1000000 n3 N1 >"$LOGS/$name/config"
        # By its patterns svlogd(8) shows lines on our own output, too.
        [ ! -e "$directory/log.config" ] || cat "$directory/log.config" >>"$LOGS/$name/config"
        uptime >"$directory/started"
    done
}

supervise() {
    prepare
    say "services: $(names | tr '\n' ' ')"
    stopping=
    trap 'stopping=yes' TERM INT
    runsvdir -P "$SERVICES" &
    runsvdir=$!
    while [ -z "$stopping" ] && kill -0 "$runsvdir" 2>/dev/null; do
        wait "$runsvdir"
    done
    [ -n "$stopping" ] || {
        say "runsvdir has ended: nobody looks after the services"
        exit 1
    }
    stop_all
    # It takes the rest of runit along: the logs are written to their ends.
    kill -HUP "$runsvdir"
    wait
}

# Those that nobody waits for go first, so that apps end before Docker, and Docker before its containerd.
stop_all() {
    end=$(($(uptime) + GRACE))
    left=$(names)
    while [ -n "$left" ]; do
        needed=
        for name in $left; do
            needed="$needed $(value "$SERVICES/$name/after")"
        done
        wave=
        rest=
        for name in $left; do
            case " $needed " in
            *" $name "*) rest="$rest $name" ;;
            *) wave="$wave $name" ;;
            esac
        done
        # A circle of services that wait for each other.
        [ -n "$wave" ] || {
            wave=$left
            rest=
        }
        patience=$((end - $(uptime)))
        [ $patience -gt 0 ] || patience=1
        # shellcheck disable=SC2046 # a path for each word
        sv -w $patience force-stop $(for name in $wave; do echo "$SERVICES/$name"; done) >/dev/null ||
            say "not stopped in time: $wave"
        left=${rest# }
    done
}

# --- What runsv(8) calls as `finish STATUS SIGNAL`, in a service's directory, when the service has ended. It waits before
# --- runsv starts the service again: 1, 2, 4 … 60 seconds, and 1 second again after a minute of good running.

finish() {
    name=${PWD##*/}
    ran=$(($(uptime) - $(value started 0)))
    delay=$(($(value delay 0) * 2))
    [ $ran -lt 60 ] && [ $delay != 0 ] || delay=1
    [ $delay -le 60 ] || delay=60
    if ! unwanted; then
        how="status $1"
        [ "$1" != -1 ] || how="signal $2"
        say "$name ended with $how after $ran s, starts again in $delay s; its log: $LOGS/$name/current"
        echo $delay >delay
        echo $(($(value restarts 0) + 1)) >restarts
    fi
    while [ $delay -gt 0 ] && ! unwanted; do
        sleep 1
        delay=$((delay - 1))
    done
    uptime >started
}

# unwanted: whether somebody has stopped the service for good
unwanted() {
    case $(value supervise/stat) in *"want down"* | *"want exit"*) return 0 ;; esac
    return 1
}

# --- Its commands

# wait_for SERVICE...
wait_for() {
    # Said by a service's run: kept for the order in which services stop.
    [ ! -d supervise ] || echo "$*" >after
    round=0
    for name in "$@"; do
        until [ ! -d "$SERVICES/$name" ] || works "$name"; do
            # Nobody waits any more: the service has been stopped.
            kill -0 "$PPID" 2>/dev/null || exit 1
            round=$((round + 1))
            [ $round != 20 ] || say "${PWD##*/} waits for $name"
            usleep 250000
        done
    done
}

# ready SECONDS
ready() {
    end=$(($(uptime) + $1))
    while :; do
        failing=
        for name in $(names); do
            works "$name" || failing="$failing $name"
        done
        [ -n "$failing" ] || return 0
        [ "$(uptime)" -lt $end ] || break
        usleep 250000
    done
    status text >&2
    return 1
}

# state NAME: sets $state, $pid and $seconds
state() {
    # "run: /etc/service/docker: (pid 23) 45s; run: log: (pid 22) 45s"
    said=$(sv status "$SERVICES/$1")
    pid=$(expr "$said" : '[^;]*(pid \([0-9]*\))')
    seconds=$(expr "$said" : '[^;]* \([0-9]*\)s')
    case $said in
    run:*) if works "$1"; then state=ready; else state=starting; fi ;;
    finish:*) state=waiting ;;
    *) state=stopped ;;
    esac
}

# status text|json
status() {
    [ "$1" = text ] || printf '['
    comma=
    for name in $(names); do
        state "$name"
        restarts=$(value "$SERVICES/$name/restarts" 0)
        note=$(value "$SERVICES/$name/note")
        if [ "$1" = text ]; then
            printf '%-12s %-9s pid %-7s %6ss  restarts %s%s\n' \
                "$name" "$state" "${pid:--}" "${seconds:-0}" "$restarts" "${note:+  $note}"
        else
            printf '%s{"name":"%s","state":"%s","pid":%s,"seconds":%s,"restarts":%s,"note":"%s"}' \
                "$comma" "$name" "$state" "${pid:-null}" "${seconds:-0}" "$restarts" "$note"
            comma=,
        fi
    done
    [ "$1" = text ] || printf ']\n'
}

[ "${0##*/}" != finish ] || {
    finish "$@"
    exit
}
case $1 in
"") supervise ;;
wait) shift && wait_for "$@" ;;
ready)
    case $2:$3 in
    :) ready 0 ;;
    --timeout:*[!0-9]* | --timeout:) usage >&2 && exit 2 ;;
    --timeout:*) ready "$3" ;;
    *) usage >&2 && exit 2 ;;
    esac
    ;;
status)
    case $2 in
    "") status text ;;
    --json) status json ;;
    *) usage >&2 && exit 2 ;;
    esac
    ;;
-h | --help) usage ;;
*)
    usage >&2
    exit 2
    ;;
esac
