# Two processes, one lock.
cd /mnt
: > lock
exec 3<> lock
flock --exclusive 3
if flock --nonblock lock true; then echo 'a lock was given twice' >&2; exit 1; fi
flock --timeout 60 lock touch got-it & waiter=$!
[ ! -e got-it ]
flock --unlock 3
wait "$waiter"
[ -e got-it ]
flock --shared 3
flock --shared --nonblock lock true
if flock --exclusive --nonblock lock true; then echo 'a shared lock was overlooked' >&2; exit 1; fi
exec 3>&-
flock --exclusive --nonblock lock true

# Counting under a lock from several processes loses nothing.
echo 0 > counter
count() {
    for _ in $(seq 20); do
        flock lock bash -c 'read -r n < counter; echo $((n + 1)) > counter'
    done
}
pids=()
for _ in 1 2 3; do count & pids+=($!); done
for pid in "${pids[@]}"; do wait "$pid"; done
[ "$(cat counter)" = 60 ]
