#!/bin/sh
# Applies every /etc/sysctl.d/*.conf in the order of their names, those of the image, then the machine's: lines "key = value" as in sysctl.d(5), where a "-"
# before the key lets it be missing. Says which line cannot be applied, goes on, and ends with status 1.

status=0
for file in /etc/sysctl.d/*.conf /hostroot/etc/sysctl.d/*.conf; do
    [ -r "$file" ] || continue
    number=0
    while IFS= read -r line || [ -n "$line" ]; do
        number=$((number + 1))
        line=${line#"${line%%[![:space:]]*}"}
        case $line in
        "" | "#"* | ";"*) continue ;;
        *=*) ;;
        *)
            echo "$file:$number: not \"key = value\": $line" >&2
            status=1
            continue
            ;;
        esac
        key=${line%%=*}
        key=${key%"${key##*[![:space:]]}"}
        value=${line#*=}
        value=${value#"${value%%[![:space:]]*}"}
        value=${value%"${value##*[![:space:]]}"}
        optional=
        case $key in
        -*)
            optional=yes
            key=${key#-}
            ;;
        esac
        # The first of "." and "/" in a key is its separator; the other one then stands for itself.
        path=$key
        case ${key%%/*} in
        *.*) path=$(echo "$key" | tr ./ /.) ;;
        esac
        if [ ! -e "/proc/sys/$path" ]; then
            [ -n "$optional" ] || {
                echo "$file:$number: this kernel has no parameter $key" >&2
                status=1
            }
        elif ! { echo "$value" >"/proc/sys/$path"; } 2>/dev/null; then
            echo "$file:$number: the kernel does not take $key = $value" >&2
            status=1
        fi
    done <"$file"
done
exit $status
