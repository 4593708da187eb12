//! What a started server tells the person who started it.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use engine::{ColdStoreConfig, FileSystemId};

use super::Server;
use crate::config::{KeyChoice, Settings};

/// The line that says that clients may come; scripts wait for it.
pub(super) fn ready() {
    say("tidefs: ready");
}

/// Where everything is and what to type next.
pub(super) fn started(
    settings: &Settings,
    server: &Server,
    first: Option<FileSystemId>,
    is_first_start: bool,
) {
    let mut lines = Vec::new();
    let version = env!("CARGO_PKG_VERSION");
    lines.push(match is_first_start {
        true => format!("tidefs {version}: made a new file system"),
        false => format!("tidefs {version}"),
    });
    for id in server.ids() {
        let Some(served) = server.file_system(id) else { continue };
        for (address, _) in served.nfs_status() {
            lines.push(format!("  {id} is served on {address}; mount it with"));
            lines.push(format!("    {}", mount_command(address, first == Some(id))));
        }
    }
    let data = settings.data.display();
    let key = settings.key.path().display();
    lines.push(format!("  data    {data}"));
    lines.push(format!("  key     {key}"));
    lines.push(
        "          Losing the key loses the data. Keep a copy on another machine, such as by".to_owned(),
    );
    lines.push(match settings.key {
        KeyChoice::KeyFile(_) => format!("          scp {key} ANOTHER-MACHINE:tidefs.key.backup"),
        KeyChoice::PassphraseFile(_) => "          writing the passphrase down".to_owned(),
    });
    lines.extend(cold(&settings.cold));
    lines.push(format!("  status  tidefs status --data {data}"));
    lines.push(format!("  tune    tidefs lifecycle show --data {data}"));
    say(&lines.join("\n"));
}

fn cold(cold: &ColdStoreConfig) -> Vec<String> {
    match cold {
        ColdStoreConfig::Directory(directory) => vec![
            format!("  cold    {} (files not used for long move there)", directory.display()),
            "          For a bucket, before anything has moved: AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… \\"
                .to_owned(),
            "          tidefs serve --bucket s3://NAME/PREFIX --endpoint http://127.0.0.1:9000".to_owned(),
        ],
        ColdStoreConfig::Bucket { name, prefix, endpoint, .. } => {
            let at = endpoint.as_ref().map_or_else(String::new, |endpoint| format!(" at {endpoint}"));
            vec![format!("  cold    s3://{name}/{prefix}{at} (files not used for long move there)")]
        }
    }
}

fn mount_command(address: SocketAddr, is_first: bool) -> String {
    let host = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
        IpAddr::V6(ip) if ip.is_unspecified() => format!("[{}]", Ipv6Addr::LOCALHOST),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let directory = if is_first { "/mnt" } else { "/mnt/OTHER" };
    format!("sudo mount -t nfs4 -o vers=4.1,port={} {host}:/ {directory}", address.port())
}

/// Nobody may read what is said; the server serves all the same.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_command_can_be_typed_as_it_is() {
        let command = |address: &str| mount_command(address.parse().unwrap(), true);
        assert_eq!(command("127.0.0.1:2049"), "sudo mount -t nfs4 -o vers=4.1,port=2049 127.0.0.1:/ /mnt");
        assert_eq!(command("0.0.0.0:9"), "sudo mount -t nfs4 -o vers=4.1,port=9 127.0.0.1:/ /mnt");
        assert_eq!(command("[::]:9"), "sudo mount -t nfs4 -o vers=4.1,port=9 [::1]:/ /mnt");
    }
}
