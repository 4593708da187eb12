//! What the server says when it is ready.

use std::io::Write;

use engine::ColdStoreConfig;

use super::Hosted;
use crate::config::Settings;

/// Prints what a person needs next, and then the line that scripts wait for. A closed standard output is no error.
pub(super) fn print(settings: &Settings, hosted: &[Hosted], new: bool) {
    let text = text(settings, hosted, new);
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn text(settings: &Settings, hosted: &[Hosted], new: bool) -> String {
    let mut lines = Vec::new();
    for one in hosted {
        let id = one.file_system.id();
        match one.address {
            Some(address) => {
                lines.push(format!("{id} is served over NFS on {address}. Mount it:"));
                lines.push(format!(
                    "    sudo mount -t nfs4 -o vers=4.1,port={} {}:/ /mnt",
                    address.port(),
                    address.ip()
                ));
            }
            None => lines.push(format!("{id} is not served: give it a [[mount_target]] in tidefs.toml")),
        }
    }
    lines.push(format!("data:   {}", settings.data.display()));
    lines.push(format!("key:    {}", settings.key_file.display()));
    if new {
        lines.push(
            "        This key was made just now. Whoever loses it loses the data: copy it to a safe place."
                .into(),
        );
    } else {
        lines.push("        Whoever loses the key loses the data: keep a copy in a safe place.".into());
    }
    match &settings.cold {
        ColdStoreConfig::Directory(directory) => {
            lines.push(format!("cold:   {} (a directory)", directory.display()));
            lines.push("        To start with a bucket instead: tidefs serve --bucket s3://NAME/PREFIX --endpoint URL".into());
            lines.push("        with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY set.".into());
        }
        ColdStoreConfig::Bucket { name, prefix, endpoint, .. } => {
            let endpoint = endpoint.as_deref().unwrap_or("AWS");
            lines.push(format!("cold:   s3://{name}/{prefix} at {endpoint}"));
        }
    }
    let default = crate::config::default_data().is_ok_and(|data| data == settings.data);
    let data = if default { String::new() } else { format!(" --data {}", settings.data.display()) };
    lines.push(format!("status: tidefs status{data}"));
    lines.push("tidefs: ready\n".into());
    lines.join("\n")
}
