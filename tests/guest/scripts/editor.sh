# What editors do: write beside, sync, rename over; while somebody else has the old file open.
cd /mnt
echo old > text
exec 3< text
echo new > .text.swp
sync .text.swp
mv -f .text.swp text
[ "$(cat text)" = new ]
[ "$(cat <&3)" = old ]
exec 3<&-

export HOME=/tmp
vim -Nu NONE -es -c 'set backup writebackup backupcopy=no' -c 'normal ggOby vim' -c wq text < /dev/null
[ "$(cat text)" = $'by vim\nnew' ]
[ "$(cat text~)" = new ]
sed -i 's/vim/sed/' text
[ "$(head -n 1 text)" = 'by sed' ]

# A file that is removed while it is open goes on until it is closed.
echo kept > removed
exec 4<> removed
rm removed
[ "$(cat <&4)" = kept ]
echo more >&4
exec 4>&-
[ ! -e removed ]

# Truncated, extended, appended to, and written in the middle.
printf 0123456789 > parts
truncate -s 5 parts
truncate -s 8 parts
printf XY | dd of=parts bs=1 seek=1 conv=notrunc status=none
printf end >> parts
[ "$(od -An -c parts | tr -d ' \n')" = '0XY34\0\0\0end' ]
