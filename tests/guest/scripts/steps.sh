# Writes and renames for ever; each step that is acknowledged is printed. Step I has the line I repeated, cut at
# its size, so that a torn or mixed content shows. The last file grows by one line at each step.
set +o pipefail                 # `yes` is ended by its reader
step=0
while :; do
    step=$((step + 1))
    size=$((step * 7919 % 150000 + 1))
    yes "$step" | head -c "$size" > /tmp/content
    dd if=/tmp/content of="/mnt/new.$step" bs=64k conv=fsync status=none
    echo "written $step"
    mv -f "/mnt/new.$step" "/mnt/slot.$((step % 8))"
    echo "renamed $step"
    echo "line $step" >> /mnt/grown
    sync /mnt/grown
    echo "grown $step"
done
