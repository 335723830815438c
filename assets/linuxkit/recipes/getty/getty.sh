#!/bin/sh
# A login on every console of the kernel's command line.
#
# INSECURE=true: a root shell at once. Otherwise, with /etc/getty.shadow in the image: a login with the password there.
# Otherwise nobody can log in here, and pressing Enter says how to.

if [ "$INSECURE" = true ]; then
    way=open
elif [ -s /hostroot/etc/getty.shadow ]; then
    way=password
    # Somebody may have forgotten the end of the last line.
    { cat /hostroot/etc/getty.shadow && echo; } >/etc/shadow
    chmod 0600 /etc/shadow
else
    way=closed
fi

# serve TERMINAL SPEED KIND: never ends
serve() {
    while :; do
        case $way in
        open) getty -n -l /usr/bin/root-shell "$2" "$1" "$3" ;;
        password) getty "$2" "$1" "$3" ;;
        closed)
            while read -r _; do
                echo "Nobody can log in on this console. Log in by SSH, with your key; or build an image"
                echo "that lets you in here: option getty.password (/etc/getty.shadow) or getty.insecure."
            done <"/dev/$1" >"/dev/$1"
            ;;
        esac
        # A terminal that cannot be opened must not keep the processor busy.
        sleep 1
    done
}

# serve_all TERMINAL SPEED KIND [TERMINAL SPEED KIND]...: never ends
# As a pipeline, whose parts say nothing to each other: a shell starts background jobs deaf to Ctrl-C, and so would be
# everything that a login starts.
serve_all() {
    [ $# -gt 3 ] || serve "$@"
    serve "$1" "$2" "$3" | {
        shift 3
        serve_all "$@"
    }
}

consoles=
for word in $(cat /proc/cmdline); do
    case $word in
    console=*) ;;
    *) continue ;;
    esac
    word=${word#console=}
    terminal=${word%%,*}
    # tty0 is whatever the screen shows at the moment; the login belongs on the first.
    [ "$terminal" != tty0 ] || terminal=tty1
    case "$consoles " in *" $terminal "*) continue ;; esac
    if [ ! -c "/dev/$terminal" ]; then
        echo "getty: the command line has console=$terminal, but there is no such device"
        continue
    fi
    case $terminal in
    tty[0-9]*) speed=38400 kind=linux ;;
    *)
        speed=115200 kind=vt100
        case $word in *,[0-9]*) speed=${word#*,} speed=${speed%%[!0-9]*} ;; esac
        ;;
    esac
    echo "getty: $terminal ($way)"
    consoles="$consoles $terminal $speed $kind"
done

if [ -z "$consoles" ]; then
    echo "getty: the kernel's command line names no console" >&2
    exit 1
fi
# shellcheck disable=SC2086 # three words for each console
serve_all $consoles
