# Fills the mount until it is full, and goes on. /run/share/block is a large random file.
full() { cp /run/share/block "$1" 2> /tmp/error && sync "$1" 2>> /tmp/error; }
echo keep > /mnt/keep
sync /mnt/keep
filled=0
while full "/mnt/fill.$filled"; do
    filled=$((filled + 1))
    if [ "$filled" -gt 200 ]; then echo 'the disk never got full' >&2; exit 1; fi
done
cat /tmp/error
grep -q 'No space left on device' /tmp/error
[ "$filled" -gt 2 ]

# Reads go on.
[ "$(cat /mnt/keep)" = keep ]
echo 3 > /proc/sys/vm/drop_caches
cmp /run/share/block /mnt/fill.0
ls -l /mnt > /dev/null

# What is freed can be used again, if not at once then soon.
rm -f /mnt/fill.*
for number in $(seq 0 $((filled / 2))); do
    for attempt in $(seq 60); do
        if full "/mnt/again.$number"; then break; fi
        if [ "$attempt" = 60 ]; then echo "freed space cannot be used again: $number of $filled" >&2; exit 1; fi
        sleep 1
    done
    cmp /run/share/block "/mnt/again.$number"
done
[ "$(cat /mnt/keep)" = keep ]
