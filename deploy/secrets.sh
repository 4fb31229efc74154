#!/bin/sh
# Makes the database's password, once. Others on this machine cannot enter the folder; inside of the
# containers the file is read by users whom this machine does not know.
set -eu
cd "$(dirname "$0")"
mkdir -p -m 0700 secrets
[ -s secrets/database_password ] || {
    umask 022
    head -c 24 /dev/urandom | base64 | tr -d '\n' > secrets/database_password
}
