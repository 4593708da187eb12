cp -a /run/share/tree /mnt/tree
cp -a /mnt/tree /mnt/copy
diff -r /run/share/tree /mnt/copy
tar -C /mnt -cf /mnt/tree.tar tree
mkdir /mnt/unpacked
tar -C /mnt/unpacked -xpf /mnt/tree.tar
tar -C /mnt/unpacked -df /mnt/tree.tar
diff -r /run/share/tree /mnt/unpacked/tree
list() { (cd "$1" && find . -printf '%y %m %U:%G %T@ %p\n' | sort); }
diff <(list /mnt/tree) <(list /mnt/copy)
mv /mnt/copy /mnt/moved
[ ! -e /mnt/copy ]
diff -r /mnt/tree /mnt/moved
rm -rf /mnt/moved /mnt/unpacked /mnt/tree.tar
[ "$(ls /mnt)" = tree ]
