# Writes what is on the mount to /run/share/$1: all attributes that last, and the content of each file.
cd /mnt
find . -mindepth 1 -printf '%y %m %n %U:%G %s %T@ [%l] %p\0' | LC_ALL=C sort -z > "/run/share/$1"
find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum -z >> "/run/share/$1"
( cd tree && find . -type f -print0 | xargs -0 sha256sum ) > "/run/share/$1.tree"
