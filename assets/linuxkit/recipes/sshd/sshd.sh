#!/bin/sh
# sshd.sh [OPTION…]: starts sshd with the machine's own host key, and says on the console which one that is.

KEY=/etc/ssh/ssh_host_ed25519_key
# What QEMU was given with -fw_cfg: so the key is known to the console before the first connection, and in no image.
GIVEN=/sys/firmware/qemu_fw_cfg/by_name/opt/thanos-tui/ssh_host_ed25519_key/raw

umask 077
mkdir -p /run/sshd
[ -e /var/log/lastlog ] || : >/var/log/lastlog # sshd complains to every visitor where it is missing
chmod 0755 /run/sshd # sshd refuses one that others may write to
if [ -r "$GIVEN" ]; then
    cat "$GIVEN" >"$KEY"
    if ! ssh-keygen -y -P "" -f "$KEY" >"$KEY.pub"; then
        echo "thanos: the ssh host key from the firmware cannot be used: sshd makes one of its own" >/dev/console
        rm -f "$KEY"
    fi
fi
if [ ! -e "$KEY" ]; then
    ssh-keygen -q -t ed25519 -N "" -C "" -f "$KEY"
fi
read -r type key _ <"$KEY.pub"
echo "thanos: ssh host key: $type $key" >/dev/console

# Since 9.8 OpenSSH shuts out addresses whose logins failed; behind QEMU's own network everybody has this one.
if grep -q persourcepenaltyexemptlist /usr/sbin/sshd; then
    set -- -o PerSourcePenaltyExemptList=10.0.2.2 "$@"
fi

exec /usr/sbin/sshd -D -e "$@"
