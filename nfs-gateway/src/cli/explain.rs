//! `tidefs lifecycle explain`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use anyhow::{Context, Result};
use hyper::Method;
use lifecycle::Explanation;
use serde::Serialize;

use super::table::{print, print_json, size};
use crate::control::Client;

/// A path within the file system, from its root.
pub(super) fn absolute(path: OsString) -> Result<OsString, String> {
    if path.as_bytes().first() == Some(&b'/') {
        Ok(path)
    } else {
        Err("give the path from the root of the file system, such as /projects/data.csv".to_owned())
    }
}

#[derive(Serialize)]
struct Explained {
    path: String,
    #[serde(flatten)]
    explanation: Explanation,
}

pub(super) async fn run(client: &Client, paths: &[OsString], json: bool) -> Result<()> {
    let mut all = Vec::new();
    for path in paths {
        let query = format!("lifecycle/explain?path={}", hex::encode(path.as_bytes()));
        let shown = shown(path);
        let explanation =
            client.ask(Method::GET, &query, None::<&()>).await.with_context(|| shown.clone())?;
        all.push(Explained { path: shown, explanation });
    }
    if json {
        return print_json(&all);
    }
    all.iter().try_for_each(|one| print(&text(one)))
}

fn shown(path: &OsStr) -> String {
    path.to_string_lossy().into_owned()
}

fn text(explained: &Explained) -> String {
    let Explanation { size: bytes, tiers, last_access, rule, next, when } = &explained.explanation;
    let tier = |share: &lifecycle::explain::TierShare| {
        let name = match share.name {
            engine::Tier::Standard => "Standard",
            engine::Tier::InfrequentAccess => "Infrequent Access",
        };
        format!("{} in {name}", size(share.bytes))
    };
    let tiers: Vec<_> = tiers.iter().map(tier).collect();
    let place = if tiers.is_empty() { String::new() } else { format!(": {}", tiers.join(", ")) };
    let mut out = format!("{}\n  size         {}{place}\n", explained.path, size(*bytes));
    if let Some(access) = last_access {
        out += &format!("  last access  {access}\n");
    }
    out += &format!("  rule         {rule}\n  next         {next}\n");
    if let Some(when) = when {
        out += &format!("  when         {when}\n");
    }
    out
}
