#!/bin/sh
# rngd.sh auto|hwrng|rdrand|jitter: feeds the kernel's random numbers from a hardware generator (a virtio one in most
# machines), from the processor's own, or from the jitter of its timing. auto takes the first of them that works.

# Opening is not enough: /dev/hwrng is there without a generator behind it, too.
have_hwrng() {
    dd if=/dev/hwrng of=/dev/null bs=16 count=1 2>/dev/null
}

have_rdrand() {
    grep -q -w rdrand /proc/cpuinfo
}

fail() {
    echo "rngd: $*" >&2
    exit 1
}

# feed PROGRAM ARGUMENTS... : the shell stays, because neither program ends on SIGTERM as a container's first process.
feed() {
    "$@" &
    trap 'kill $!' TERM
    wait $!
    exit
}

source=${1:-auto}
if [ "$source" = auto ]; then
    source=jitter
    ! have_rdrand || source=rdrand
    ! have_hwrng || source=hwrng
fi

# Since Linux 5.18 the pool holds 256 bits; with rngd's own mark of 2048 it would feed it without end.
case $source in
hwrng)
    have_hwrng || fail "this machine has no hardware generator (/dev/hwrng); try rdrand or jitter"
    read -r generator </sys/class/misc/hw_random/rng_current
    echo "rngd: feeding from the hardware generator $generator"
    feed rngd --foreground --fill-watermark=256 --no-tpm=1 --no-drng=1 --rng-device=/dev/hwrng
    ;;
rdrand)
    have_rdrand || fail "this processor has no rdrand; try hwrng or jitter"
    echo "rngd: feeding from the processor (rdrand)"
    feed rngd --foreground --fill-watermark=256 --no-tpm=1 --rng-device=/nonexistent
    ;;
jitter)
    echo "rngd: feeding from timing jitter"
    feed jitterentropy-rngd -v
    ;;
*) fail "no such source: $source (auto, hwrng, rdrand or jitter)" ;;
esac
