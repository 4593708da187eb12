# With client_two.sh. They meet at files below /run/share.
reach() { touch "/run/share/$1"; }
await() { until [ -e "/run/share/$1" ]; do sleep 0.1; done; }
cd /mnt
: > lock
echo first > shared
exec 3<> lock
flock --exclusive 3
reach one-holds-the-lock
await two-was-refused
echo second > shared
flock --unlock 3
await two-has-the-lock
if flock --nonblock lock true; then echo 'a lock of another client was overlooked' >&2; exit 1; fi
[ "$(cat shared)" = third ]
reach one-is-content
