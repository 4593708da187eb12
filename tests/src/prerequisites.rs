//! What the tests need of the machine. What is missing is named, together with the way to leave its tests out.
use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use rustix::process::geteuid;

/// The first file of this name in `PATH`.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

/// Checks that a guest can be booted.
pub fn check_guest() -> Result<()> {
    const LEAVE_OUT: &str = "`make test GUEST=no` leaves out the tests with a real Linux client";
    if !geteuid().is_root() {
        bail!("a guest needs root (for its network device); run as root, or {LEAVE_OUT}");
    }
    if !Path::new("/dev/net/tun").exists() {
        bail!("a guest needs /dev/net/tun; load the module tun, or {LEAVE_OUT}");
    }
    for (program, package) in
        [("linux.uml", "user-mode-linux"), ("ip", "iproute2"), ("cc", "gcc"), ("insmod", "kmod")]
    {
        if find_program(program).is_none() {
            bail!(
                "a guest needs {program} of the Debian package {package}; `make test` installs it as root, or {LEAVE_OUT}"
            );
        }
    }
    Ok(())
}

/// Checks that a program is there that a test runs inside of the guest.
pub fn check_program(name: &str, package: &str) -> Result<()> {
    if find_program(name).is_none() {
        bail!("the test needs {name} of the Debian package {package}; `make test` installs it as root");
    }
    Ok(())
}

/// The MinIO binary: `MINIO_BIN`, else the one that `make test` has built, else the one in `PATH`.
pub fn minio_binary() -> Result<PathBuf> {
    let given = env::var_os("MINIO_BIN").map(PathBuf::from);
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .map(|cache| cache.join("tidefs/bin/minio"));
    let candidates = given.into_iter().chain(cache).chain(find_program("minio"));
    match candidates.into_iter().find(|candidate| candidate.is_file()) {
        Some(binary) => Ok(binary),
        None => bail!(
            "MinIO is missing; `make test` builds it with go, MINIO_BIN names one that is there, \
             `make test MINIO=no` leaves out the tests with a real object store"
        ),
    }
}

/// The server under test: `TIDEFS_BIN`, else the one that was built together with this test.
pub fn tidefs_binary() -> Result<PathBuf> {
    if let Some(given) = env::var_os("TIDEFS_BIN") {
        return Ok(PathBuf::from(given));
    }
    built_binary("tidefs")
}

/// A binary of this workspace that is run inside of the guest, which has some directories of its own.
pub fn guest_binary(name: &str) -> Result<PathBuf> {
    let binary = built_binary(name)?;
    for own in ["/tmp", "/run", "/dev/shm"] {
        if binary.starts_with(own) {
            bail!(
                "{} cannot be seen by a guest, which has a {own} of its own; build elsewhere (CARGO_TARGET_DIR)",
                binary.display()
            );
        }
    }
    Ok(binary)
}

/// A binary of this workspace that was built together with this program.
pub fn built_binary(name: &str) -> Result<PathBuf> {
    let this = env::current_exe()?;
    let built = this.ancestors().skip(1).take(2).map(|directory| directory.join(name));
    match built.into_iter().find(|candidate| candidate.is_file()) {
        Some(binary) => Ok(binary),
        None => bail!("the binary {name} is not built; run `make build` (or name a tidefs with TIDEFS_BIN)"),
    }
}
