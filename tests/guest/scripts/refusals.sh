# What the file system must refuse, with the error that programs expect.
cd /mnt
refuse() {                      # refuse MESSAGE COMMAND...
    local message=$1; shift
    if "$@" 2> /tmp/error; then echo "not refused: $*" >&2; exit 1; fi
    grep -qF "$message" /tmp/error || { echo "$* said:" >&2; cat /tmp/error >&2; exit 1; }
}
mkdir -p full/inner other
echo text > file
refuse 'Directory not empty' rmdir full
refuse 'File name too long' touch "$(printf 'n%.0s' {1..256})"
refuse 'File exists' mkdir file
refuse 'Is a directory' dd if=/dev/null of=other
refuse 'Not a directory' touch file/below
refuse 'No such file or directory' cat missing
refuse 'subdirectory of itself' mv full full/inner/
refuse 'cannot overwrite' mv -T file other
refuse 'hard link not allowed' ln full linked
chmod 600 file
refuse 'Permission denied' setpriv --reuid 1000 --regid 1000 --clear-groups cat file
refuse 'Permission denied' setpriv --reuid 1000 --regid 1000 --clear-groups touch other/file
refuse 'Operation not permitted' setpriv --reuid 1000 --regid 1000 --clear-groups chmod 777 file
[ "$(ls)" = $'file\nfull\nother' ]
