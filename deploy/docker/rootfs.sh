#!/bin/sh
# Makes the whole file system of an image: one binary, the shared libraries it needs, name look-up, certificates.
#
#   rootfs.sh BINARY DESTINATION
#
# Works on any glibc Debian; the Dockerfile runs it in its build stage, so that the final stage is FROM scratch.
set -eu
binary=$1
destination=$2

copy() {
    mkdir -p "$destination$(dirname "$1")"
    cp -L "$1" "$destination$1"
}

mkdir -p "$destination/usr/bin" "$destination/etc" "$destination/tmp" "$destination/var/lib/yagura"
chmod 1777 "$destination/tmp"
chown 65532:65532 "$destination/var/lib/yagura"
cp "$binary" "$destination/usr/bin/"

# The third word of `name => /path (address)`, or the first of `/path (address)` for the loader itself.
ldd "$binary" | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }' | while read -r library; do
    copy "$library"
done
# Loaded at run time by getaddrinfo, so ldd does not name them.
for library in libnss_files.so.2 libnss_dns.so.2 libresolv.so.2; do
    path=$(ldconfig -p | awk -v name="$library" '$1 == name { print $NF; exit }')
    [ -n "$path" ] && copy "$path"
done
printf 'hosts: files dns\n' >"$destination/etc/nsswitch.conf"
printf 'root:x:0:0:root:/:/\nyagura:x:65532:65532:yagura:/:/\n' >"$destination/etc/passwd"
printf 'root:x:0:\nyagura:x:65532:\n' >"$destination/etc/group"
[ -e /etc/ssl/certs/ca-certificates.crt ] && copy /etc/ssl/certs/ca-certificates.crt
exit 0
