# With client_one.sh.
reach() { touch "/run/share/$1"; }
await() { until [ -e "/run/share/$1" ]; do sleep 0.1; done; }
cd /mnt
await one-holds-the-lock
[ "$(cat shared)" = first ]
if flock --nonblock lock true; then echo 'a lock of another client was overlooked' >&2; exit 1; fi
reach two-was-refused
exec 3<> lock
flock --timeout 120 --exclusive 3
# What was written before the lock was let go is what an open after it must see.
[ "$(cat shared)" = second ]
echo third > shared
reach two-has-the-lock
await one-is-content
