rsync -aH /run/share/tree /mnt/
diff -r /run/share/tree /mnt/tree
rsync -aH --itemize-changes /run/share/tree /mnt/ > /tmp/second
if [ -s /tmp/second ]; then echo 'the second run moved:' >&2; head /tmp/second >&2; exit 1; fi
rsync -aH --checksum --itemize-changes /run/share/tree /mnt/ > /tmp/third
[ ! -s /tmp/third ]
file=$(cd /mnt && find tree -type f | sort | sed -n 1p)
echo changed >> "/mnt/$file"
rsync -aH --delete --itemize-changes /run/share/tree /mnt/ > /tmp/fourth
grep -qF "$file" /tmp/fourth
diff -r /run/share/tree /mnt/tree
