#!/bin/sh
# storage.sh PLACE LIMIT: gives Docker a place for its images and containers, mounted on /var/lib/docker.
#   PLACE  disk: a disk, or nothing; memory; auto: a disk where there is one, else memory
#   LIMIT  how much memory that may be: a share (50%), or MiB (1024)
#
# A disk is used if it holds our own file system, known by its label. One that is blank gets that file system. Anything
# else on a disk is somebody's data, even where nobody can tell what: such a disk is left alone.

LABEL=thanos-docker
PLACE=/var/lib/docker
# Where other components find out; one line for people.
STATE=/run/thanos/docker-storage
# In sectors of 512 bytes: smaller disks are for other things.
SMALLEST=131072

say() {
    echo "storage: $*"
}

# find_ours: sets $disk to the disk or partition with our file system
find_ours() {
    disk=
    for entry in /sys/class/block/*; do
        device=/dev/${entry##*/}
        # Low-level probing: nothing is remembered from another time, and two signatures on one disk are an error.
        [ "$(blkid -p -o value -s LABEL "$device" 2>/dev/null)" = $LABEL ] || continue
        [ "$(blkid -p -o value -s TYPE "$device" 2>/dev/null)" = ext4 ] || continue
        [ -z "$disk" ] || {
            say "$device is labelled $LABEL as well: $disk is used"
            continue
        }
        disk=$device
    done
    [ -n "$disk" ]
}

# find_blank: sets $disk to the first disk with nothing on it
find_blank() {
    for entry in /sys/block/*; do
        [ -e "$entry" ] || continue
        case ${entry##*/} in loop* | ram* | zram* | fd* | sr* | nbd* | dm-* | md*) continue ;; esac
        [ "$(cat "$entry/removable" "$entry/ro")" = "0
0" ] || continue
        read -r sectors <"$entry/size"
        [ "$sectors" -ge $SMALLEST ] || continue
        disk=/dev/${entry##*/}
        is_blank "$entry" && return 0
        case " $others " in *" $disk "*) ;; *) others="$others $disk" ;; esac
    done
    disk=
    return 1
}

# is_blank ENTRY: whether $disk has no partitions, no user, no known signature, and zeros wherever one looks
is_blank() {
    for part in "$1"/*/partition "$1"/holders/*; do
        [ ! -e "$part" ] || return 1
    done
    blkid -p "$disk" >/dev/null 2>&1
    # Nothing was found; other values mean that something was, or too much of it, or that the disk cannot be read.
    [ $? = 2 ] || return 1
    # Encrypted data has no signature. Looked at are the first 4 MiB, the last one, and 16 places between them.
    mebibytes=$((sectors / 2048))
    is_zero 0 4 && is_zero $((mebibytes - 1)) 2 || return 1
    place=1
    while [ $place -le 16 ]; do
        is_zero $((mebibytes * place / 17)) 1 || return 1
        place=$((place + 1))
    done
}

# is_zero START COUNT: whether these MiB of $disk are zeros; what cannot be read is none
is_zero() {
    size=$(dd if="$disk" bs=1048576 skip="$1" count="$2" 2>/dev/null | wc -c)
    rest=$(dd if="$disk" bs=1048576 skip="$1" count="$2" 2>/dev/null | tr -d '\000' | wc -c)
    [ "$size" -gt 0 ] && [ "$rest" = 0 ]
}

format() {
    say "$disk is blank: it gets a file system for Docker's data"
    # Without a terminal mke2fs gives up where it would ask.
    said=$(mke2fs -q -t ext4 -L $LABEL -m 0 -i 8192 -e remount-ro "$disk" </dev/null 2>&1) || {
        say "$disk cannot be formatted: $said"
        status=1
        return 1
    }
}

# use_disk: checks and mounts $disk
use_disk() {
    said=$(e2fsck -p "$disk" 2>&1)
    # 1: mended. 2: mended, and only a mounted root file system would ask for a reboot.
    [ $? -le 2 ] || {
        say "the file system on $disk is damaged, and is left as it is; repair it with e2fsck -f. It says:"
        echo "$said"
        return 1
    }
    mount -t ext4 -o noatime "$disk" $PLACE || return 1
    # The disk may have become larger.
    said=$(resize2fs "$disk" 2>&1) || say "$disk: $said"
}

use_memory() {
    case $1 in
    *%) size=$1 ;;
    *) size=${1}m ;;
    esac
    mount -t tmpfs -o "mode=0711,size=$size" docker $PLACE
}

# find PLACE: sets $disk to a disk that use_disk can use
find() {
    others=
    tries=0
    until find_ours; do
        if find_blank; then
            format
            return
        fi
        # Some disks turn up seconds after their drivers. Only who insists on one waits for it.
        tries=$((tries + 1))
        case $1:$tries in auto:* | disk:30) break ;; esac
        sleep 1
    done
    [ -z "$others" ] || [ -n "$disk" ] || say "left alone, as they hold something:$others"
    [ -n "$disk" ]
}

status=0
mkdir -p $PLACE "${STATE%/*}"
used=
[ "$1" = memory ] || ! find "$1" || if use_disk; then used=disk; else status=1; fi
case $used:$1 in
disk:*) state="disk $disk" ;;
:disk)
    say "there is no disk for Docker's data, and the profile wants one (stark.storage)"
    state=none
    status=1
    ;;
*)
    use_memory "$2" || status=1
    state="memory $2"
    ;;
esac
echo "$state" >$STATE
say "Docker's data: $state"
exit $status
