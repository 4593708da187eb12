//! The built program: exit statuses, messages, and what a failed start leaves behind.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[cfg(test)]
mod program;

use std::net::TcpListener;
use std::path::PathBuf;

use program::{Home, Served, json};

#[test]
fn usage_is_2_and_failure_is_1() {
    let home = Home::new();
    for line in [
        "",
        "nonsense",
        "serve --listen 2049",
        "lifecycle set",
        "lifecycle set --to-ia soon",
        "lifecycle explain a",
        "key shred",
        "key rotate --new-key-file a --new-passphrase-file b",
    ] {
        let (status, message) = home.failure(line);
        assert_eq!(status, 2, "{line}: {message}");
    }
    let (status, message) = home.failure("status");
    assert_eq!(status, 1);
    assert!(message.contains("no server answers") && message.contains("tidefs serve --data"), "{message}");
    assert!(home.run("version").status.success());
    assert!(home.run("--help").status.success());
}

#[test]
fn the_printed_example_is_checked_as_right_and_a_wrong_one_is_2() {
    let home = Home::new();
    let example = home.run("config example");
    std::fs::write(home.path("tidefs.toml"), example.stdout).unwrap();
    assert!(home.run("config check tidefs.toml").status.success());
    std::fs::write(home.path("tidefs.toml"), "\nlisten = \"x\"\n").unwrap();
    let (status, message) = home.failure("config check tidefs.toml");
    assert_eq!(status, 2);
    assert!(message.starts_with("tidefs: tidefs.toml: line 2: listen: `x`"), "{message}");
    let (status, _) = home.failure("serve --config tidefs.toml");
    assert_eq!(status, 2);
}

#[test]
fn a_start_that_fails_leaves_nothing() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (status, message) =
        home.failure(&format!("serve --data data --listen {}", taken.local_addr().unwrap()));
    assert_eq!(status, 1);
    assert!(message.contains("the port is taken"), "{message}");
    assert!(!home.path("data").exists() && !home.key().exists());

    let inside = home.failure("serve --data data --key-file data/k --listen 127.0.0.1:0");
    assert_eq!(inside.0, 2);
    assert!(!home.path("data").exists());

    let away = format!(
        "serve --data data --listen 127.0.0.1:0 --bucket s3://pile --endpoint http://{}",
        closed_address()
    );
    let output =
        home.command(&away).env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "b").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!home.path("data").exists() && !home.key().exists());
}

/// An address where nobody listens: it was bound a moment ago.
fn closed_address() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_server_is_asked_tuned_and_stopped() {
    let home = Home::new();
    let server = Served::start(&home);
    let mode = |path: PathBuf| std::os::unix::fs::MetadataExt::mode(&path.metadata().unwrap()) & 0o777;
    assert_eq!((mode(home.key()), mode(home.path("data/control.sock"))), (0o600, 0o600));

    let status = home.status();
    for pointer in [
        "/tiers/0/name",
        "/tiers/0/bytes",
        "/tiers/1/files",
        "/journal/bytes",
        "/requests/put",
        "/requests/get",
        "/requests/list",
        "/requests/delete",
        "/health/state",
        "/mount_targets/0/nfs/in_grace",
        "/lifecycle/next_pass",
    ] {
        assert!(status.pointer(pointer).is_some_and(|value| !value.is_null()), "{pointer}: {status}");
    }
    let set = home.run("lifecycle set --data data --to-ia 12h");
    assert_eq!(String::from_utf8(set.stdout).unwrap(), "policy: to-ia 12h, to-primary never\n");
    assert!(home.run("lifecycle run --data data").status.success());
    assert!(home.run("lifecycle explain --data data /").status.success());
    assert_eq!(home.failure("lifecycle explain --data data /nope").0, 1);
    let plan = String::from_utf8(home.run("gc --data data --dry-run").stdout).unwrap();
    assert!(plan.contains("GARBAGE") && plan.contains("Nothing is to be collected."), "{plan}");
    let done: serde_json::Value = serde_json::from_slice(&home.run("gc --data data --json").stdout).unwrap();
    assert_eq!(done.pointer("/collected/rewritten_segments"), Some(&0.into()), "{done}");
    let (code, message) = home.failure("serve --data data --listen 127.0.0.1:0");
    assert_eq!(code, 1);
    assert!(message.contains("in use"), "{message}");

    assert_eq!(server.terminate(), Some(0));
    assert!(!home.path("data/control.sock").exists());
    let server = Served::start(&home);
    let shown = String::from_utf8(home.run("lifecycle show --data data").stdout).unwrap();
    assert!(shown.contains("to-ia 12h"), "{shown}");
    server.kill();
    // The socket is stale, and the next start replaces it.
    assert!(home.path("data/control.sock").exists());
    assert_eq!(Served::start(&home).terminate(), Some(0));
}

#[test]
fn a_key_that_is_lost_is_never_replaced() {
    let home = Home::new();
    assert_eq!(Served::start(&home).terminate(), Some(0));
    std::fs::rename(home.key(), home.path("saved")).unwrap();
    let (status, message) = home.failure("serve --data data --listen 127.0.0.1:0");
    assert_eq!(status, 1);
    assert!(message.contains("is missing") && !home.key().exists(), "{message}");
    std::fs::rename(home.path("saved"), home.key()).unwrap();
    assert_eq!(Served::start(&home).terminate(), Some(0));
}

#[test]
fn a_file_system_is_verified_with_and_without_a_server_and_mended() {
    let home = Home::new();
    let server = Served::start(&home);
    let clean = home.run("verify --data data --deep --bucket");
    let text = String::from_utf8(clean.stdout).unwrap();
    let errors = String::from_utf8_lossy(&clean.stderr);
    assert!(clean.status.success() && text.ends_with("clean\n"), "{text}{errors}");
    assert_eq!(server.terminate(), Some(0));
    assert!(home.run("verify --data data --deep --bucket").status.success());

    let mut entries = std::fs::read_dir(home.path("data")).unwrap().map(|entry| entry.unwrap().path());
    let file_system = entries.find(|path| path.join("superblock").exists()).unwrap();
    std::fs::write(file_system.join("journal/stray"), b"x").unwrap();
    let found = home.run("verify --data data --json");
    assert_eq!(found.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(report.pointer("/findings/0/kind").unwrap(), "stray-file");
    let plan = String::from_utf8(home.run("verify --data data --repair --dry-run").stdout).unwrap();
    assert!(plan.contains("would remove") && file_system.join("journal/stray").exists(), "{plan}");
    let mended = home.run("verify --data data --repair");
    assert!(mended.status.success(), "{}", String::from_utf8_lossy(&mended.stdout));
    assert!(!file_system.join("journal/stray").exists());

    let manifest = file_system.join("checkpoint/MANIFEST");
    let mut bytes = std::fs::read(&manifest).unwrap();
    bytes.truncate(20);
    std::fs::write(&manifest, bytes).unwrap();
    let broken = home.run("verify --data data --repair");
    assert_eq!(broken.status.code(), Some(1));
    assert!(String::from_utf8(broken.stdout).unwrap().contains("MANIFEST"));
    std::fs::remove_file(home.key()).unwrap();
    assert_eq!(home.failure("verify --data data").0, 2);
    assert_eq!(home.failure("verify --data nowhere").0, 2);
}

fn write_secret(path: PathBuf, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

fn generations(shown: &serde_json::Value) -> Vec<u64> {
    let all = shown.pointer("/generations").and_then(|all| all.as_array()).unwrap();
    all.iter().map(|key| key.get("generation").and_then(|number| number.as_u64()).unwrap()).collect()
}

/// Asks until everything is sealed under the newest key.
fn until_resealed(home: &Home) -> serde_json::Value {
    loop {
        let shown = json(&home.run("key show --data data --json"));
        if shown.pointer("/resealing").is_some_and(serde_json::Value::is_null) {
            return shown;
        }
        std::thread::yield_now();
    }
}

#[test]
fn keys_are_rotated_by_a_server_and_without_one_and_destroyed() {
    let home = Home::new();
    let server = Served::start(&home);
    let shown = String::from_utf8(home.run("key show --data data").stdout).unwrap();
    assert!(shown.contains("generation 1") && shown.contains("tidefs.key"), "{shown}");

    // With a server, to a passphrase.
    write_secret(home.path("secret"), "correct horse\n");
    let rotated =
        String::from_utf8(home.run("key rotate --data data --new-passphrase-file secret").stdout).unwrap();
    assert!(rotated.contains("--passphrase-file"), "{rotated}");
    let shown = until_resealed(&home);
    assert_eq!((generations(&shown), &shown["provider"]), (vec![2], &"passphrase".into()));
    assert_eq!(server.terminate(), Some(0));

    let (status, message) = home.failure("serve --data data --listen 127.0.0.1:0");
    assert!(status == 1 && message.contains("--passphrase-file"), "{message}");
    write_secret(home.path("wrong"), "wrong horse\n");
    let (_, message) = home.failure("serve --data data --listen 127.0.0.1:0 --passphrase-file wrong");
    assert!(message.contains("the passphrase does not open"), "{message}");

    // Without a server, to another key file; the next server seals everything anew.
    let rotate = "key rotate --data data --passphrase-file secret --new-key-file next.key --json";
    assert_eq!(generations(&json(&home.run(rotate))), [2, 3]);
    let inside = home.failure("key rotate --data data --key-file next.key --new-key-file data/k");
    assert!(inside.0 == 2 && inside.1.contains("outside"), "{}", inside.1);
    let server = Served::start_with(&home, "--key-file next.key");
    let shown = until_resealed(&home);
    assert_eq!(generations(&shown), [3]);

    let id = shown["file_system"].as_str().unwrap().to_owned();
    let shred = format!("key shred --data data --yes-destroy {id}");
    let (status, message) = home.failure(&shred);
    assert!(status == 1 && message.contains("stop that server"), "{message}");
    assert_eq!(server.terminate(), Some(0));
    let other = home.failure("key shred --data data --yes-destroy fs-00000000000000000");
    assert!(other.0 == 1 && other.1.contains("holds no file system"), "{}", other.1);
    assert!(home.run(&shred).status.success());
    let (status, message) = home.failure("serve --data data --listen 127.0.0.1:0 --key-file next.key");
    assert!(status == 1 && message.contains("was shredded"), "{message}");
}

#[test]
fn a_first_start_with_a_passphrase_makes_no_key_file() {
    let home = Home::new();
    let line = "serve --data data --listen 127.0.0.1:0 --passphrase-file secret";
    let (status, message) = home.failure(line);
    assert!(status == 1 && message.contains("is missing"), "{message}");
    assert!(!home.path("data").exists());
    write_secret(home.path("secret"), "correct horse");
    assert_eq!(Served::start_with(&home, "--passphrase-file secret").terminate(), Some(0));
    assert!(!home.key().exists());
    assert_eq!(Served::start_with(&home, "--passphrase-file secret").terminate(), Some(0));
}
