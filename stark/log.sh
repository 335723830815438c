#!/bin/sh
# Run by runsv(8) in the directory log of a service: keeps its output under /var/log/stark, in files that are rotated.

service=${PWD%/log}
exec svlogd -tt "/var/log/stark/${service##*/}"
