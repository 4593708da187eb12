use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::panic::catch_unwind;

use super::*;

const FORMAT: Format = Format { name: "one", write: Some(|| b"content".to_vec()), read };

fn read(bytes: &[u8]) {
    assert_eq!(bytes, b"content");
}

#[test]
fn a_missing_file_is_written_only_if_that_is_wanted_and_never_again() {
    let directory = tempfile::tempdir().unwrap();
    let check = |missing| problems(directory.path(), &[FORMAT], &[], missing);
    assert_eq!(check(Missing::Fails).len(), 1);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    assert_eq!(check(Missing::IsWritten), [""; 0]);
    assert_eq!(check(Missing::Fails), [""; 0]);
    let path = directory.path().join("one");
    fs::write(&path, "contend").unwrap();
    assert!(catch_unwind(|| problems(directory.path(), &[FORMAT], &[], Missing::IsWritten)).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"contend");
    let unread = Format { read: |_| (), ..FORMAT };
    let told = problems(directory.path(), &[unread], &[], Missing::IsWritten).join("");
    assert_eq!(told, "one: what is written today (7 bytes) differs from the file (7) at byte 6");
}

#[test]
fn a_file_that_nobody_writes_any_more_is_still_read() {
    let directory = tempfile::tempdir().unwrap();
    let old = Format { write: None, ..FORMAT };
    let check = || problems(directory.path(), &[old], &[], Missing::IsWritten);
    assert_eq!(check().len(), 1, "it is not made");
    fs::write(directory.path().join("one"), "content").unwrap();
    assert_eq!(check(), [""; 0]);
    fs::write(directory.path().join("one"), "other").unwrap();
    assert!(catch_unwind(check).is_err());
}

#[test]
fn a_file_of_no_format_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("other"), "").unwrap();
    let check = |others: &[&str]| problems(directory.path(), &[], others, Missing::Fails);
    assert_eq!(check(&[]), ["other is the golden file of no format"]);
    assert_eq!(check(&["other"]), [""; 0]);
}

#[test]
fn rows_come_back() {
    let rows = vec![("empty: with a colon".to_owned(), vec![]), ("two".to_owned(), vec![0, 0xff])];
    assert_eq!(join_rows(&rows), b"empty: with a colon:\ntwo: 00ff\n");
    assert_eq!(split_rows(&join_rows(&rows)), rows);
    assert!(catch_unwind(|| split_rows(b"two: 0f0")).is_err());
}

#[test]
fn a_directory_comes_back_with_its_modes() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let long = "d".repeat(120);
    fs::create_dir_all(from.path().join(&long).join("empty")).unwrap();
    fs::write(from.path().join(&long).join("zeros"), vec![0; 3 << 20]).unwrap();
    fs::write(from.path().join("key"), "secret").unwrap();
    fs::set_permissions(from.path().join("key"), Permissions::from_mode(0o600)).unwrap();
    let archive = archive::pack(from.path()).unwrap();
    assert!(archive.len() < 2000, "{}", archive.len());
    archive::unpack(&archive, to.path()).unwrap();
    assert_eq!(fs::read(to.path().join(&long).join("zeros")).unwrap(), vec![0; 3 << 20]);
    assert!(to.path().join(&long).join("empty").is_dir());
    let key = fs::metadata(to.path().join("key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    assert_eq!(archive::pack(to.path()).unwrap(), archive);
    assert!(archive::unpack(&archive[1..], to.path()).is_err());
}
