//! One server, several file systems, each on a mount target of its own.
use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};
use harness::load::{Budget, Plan, Workload, run};
use harness::process::free_port;
use harness::{Cold, Server, ServerSettings};

const FILES: u64 = 5;
/// What the load generator writes into each file.
const FILE_BYTES: u64 = 4096;

#[test]
fn each_file_system_is_served_on_its_own_port_and_keeps_its_own_files() -> Result<()> {
    let (work, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let mut settings = ServerSettings::within(work.path(), Cold::Directory)?;
    let mut second = ServerSettings::within(other.path(), Cold::Directory)?;
    second.key.clone_from(&settings.key);
    Server::start_with(tempfile::tempdir()?, settings.clone())?.stop()?;
    Server::start_with(tempfile::tempdir()?, second.clone())?.stop()?;

    let (first_id, second_id) = (only_id(&settings)?, only_id(&second)?);
    fs::rename(second.data.join(&second_id), settings.data.join(&second_id))?;
    let port = free_port()?;
    let configuration = work.path().join("tidefs.toml");
    let target = format!("[[mount_target]]\nfile_system = \"{second_id}\"\nlisten = \"127.0.0.1:{port}\"\n");
    fs::write(&configuration, target)?;
    settings.arguments.extend(["--config".into(), configuration.into()]);

    let server = Server::start_with(work, settings)?;
    run(Workload::Create, &plan(server.port(), FILES))?;
    run(Workload::Create, &plan(port, 2 * FILES))?;
    for (id, files) in [(&first_id, FILES), (&second_id, 2 * FILES)] {
        let status = server.json(&["status", "--file-system", id])?;
        let seen = status.pointer("/tiers/0/bytes").and_then(serde_json::Value::as_u64);
        assert_eq!(seen, Some(files * FILE_BYTES), "{id}: {status}");
    }
    Ok(())
}

fn only_id(settings: &ServerSettings) -> Result<String> {
    let names = fs::read_dir(&settings.data)?.collect::<Result<Vec<_>, _>>()?;
    let mut ids = names.iter().filter_map(|entry| entry.file_name().into_string().ok());
    ids.find(|name| name.starts_with("fs-")).context("no file system was made")
}

fn plan(port: u16, files: u64) -> Plan {
    Plan {
        server: (Ipv4Addr::LOCALHOST, port).into(),
        directory: "files".to_owned(),
        file: "file".to_owned(),
        file_size_bytes: 1 << 20,
        connections: 1,
        depth: 1,
        budget: Budget { duration: Duration::from_secs(60), operations: files },
    }
}
