# Fills the mount with what real trees have. /run/share holds a source tree and a big random file.
cp -a /run/share/tree /mnt/tree
cp /run/share/big /mnt/big

truncate -s 300M /mnt/sparse
printf 'in the middle' | dd of=/mnt/sparse bs=1 seek=123456789 conv=notrunc status=none
[ "$(stat -c %s /mnt/sparse)" = 314572800 ]
[ "$(stat -c %b /mnt/sparse)" -lt 2048 ]

mkdir /mnt/links
echo 'many names' > /mnt/links/first
ln /mnt/links/first /mnt/links/second
ln /mnt/links/first /mnt/tree/third
ln -s ../tree /mnt/links/to-directory
ln -s "$(printf 'dangling\n\xff')" /mnt/links/dangling
[ "$(stat -c %h /mnt/links/second)" = 3 ]

mkdir /mnt/names
cd /mnt/names
long=$(printf 'n%.0s' {1..255})
for name in ' spaces at both ends ' $'a\nnewline' $'not-utf-8-\xff\xfe\x80' "$long" '-dash' '*?[' '...' $'\t' 'ünïcödé' 'back\slash' '"quotes'\'; do
    printf '%s' "$name" > "./$name"
done
directory=$(printf 'd%.0s' {1..255})
mkdir -p "$directory/$directory/$directory"
echo deep > "$directory/$directory/$directory/file"

mkdir /mnt/modes
cd /mnt/modes
for mode in 0000 0111 0200 0400 0604 0755 1644 2755 4755 6777; do
    echo "$mode" > "mode-$mode"
    chmod "$mode" "mode-$mode"
done
chown 12345:54321 mode-0604
mkdir sticky set-group
chmod 1777 sticky
chmod 2750 set-group
touch -d '1999-12-31 23:59:59.123456789' mode-0400
mkfifo fifo
: > empty
