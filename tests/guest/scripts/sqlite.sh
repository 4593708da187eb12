cd /mnt
database() { sqlite3 -batch -cmd '.timeout 120000' db "$@"; }
database 'create table t(writer, number, padding)' 'create index i on t(number)'
write() { for number in $(seq 25); do database "insert into t values($1, $number, randomblob(2000))"; done; }
write 1 & one=$!
write 2 & two=$!
wait "$one"
wait "$two"
[ "$(database 'select count(*), count(distinct number) from t')" = '50|25' ]

# A lock that one connection holds keeps the other away, and is gone with it.
coproc holder { sqlite3 -batch db; }
echo 'begin exclusive; delete from t where writer = 1; select 1;' >&"${holder[1]}"
read -r -t 60 -u "${holder[0]}" line
[ "$line" = 1 ]
if sqlite3 -batch db 'delete from t' 2> /tmp/error; then echo 'a locked database was written' >&2; exit 1; fi
grep -q locked /tmp/error
echo 'commit; select 2;' >&"${holder[1]}"
read -r -t 60 -u "${holder[0]}" line
[ "$line" = 2 ]
echo .quit >&"${holder[1]}"
[ "$(database 'select count(*) from t')" = 25 ]
[ "$(database 'pragma integrity_check')" = ok ]
database 'vacuum' 'pragma integrity_check' | grep -qx ok
