#!/bin/sh
# secrets.sh DIRECTORY: makes the secrets that the examples with replicas read, those that are not there yet.
#
# Keep server_keys, and apart from backups of the database: what is encrypted in it is lost without them.
set -eu
[ $# -eq 1 ] || { echo "usage: secrets.sh DIRECTORY" >&2; exit 2; }
umask 077
mkdir -p "$1"
cd "$1"
random() { head -c 33 /dev/urandom | base64 | tr '+/' '-_'; }
make() { [ -e "$1" ] || printf '%s' "$2" >"$1"; }
make database_password "$(random)"
make database_url "postgresql://longshore:$(cat database_password)@postgres/longshore"
make s3_secret "$(random)"
make s3.env "ROOT_ACCESS_KEY=longshore
ROOT_SECRET_KEY=$(cat s3_secret)
"
make server_keys "$(random)
"
make root_secret "$(random)"
# docker compose mounts the files as they are, and the server's user in the image, 10001, has to read them
chown 10001 database_url s3_secret server_keys root_secret 2>/dev/null ||
    { chmod 711 . && chmod 644 database_url s3_secret server_keys root_secret; }
echo "the root key is AKIALONGSHOREROOT222, its secret is in $(pwd)/root_secret"
