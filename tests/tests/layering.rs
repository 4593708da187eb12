//! Dependencies point one way: `nfs-gateway → lifecycle → engine`.
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use harness::tree::files_below;

/// A crate, the crates that must not be among its dependencies, and the names that its sources must not use.
struct Rule {
    directory: &'static str,
    dependencies: &'static [&'static str],
    names: &'static [&'static str],
}

const RULES: [Rule; 3] = [
    Rule {
        directory: "engine",
        dependencies: &[
            "tidefs-lifecycle",
            "tidefs-gateway",
            "axum",
            "clap",
            "hyper",
            "hyper-util",
            "tidefs-tests",
        ],
        names: &["lifecycle", "gateway", "axum", "clap", "hyper", "harness"],
    },
    Rule {
        directory: "lifecycle",
        dependencies: &["tidefs-gateway", "axum", "clap", "hyper", "object_store", "sled", "tidefs-tests"],
        names: &["gateway", "axum", "clap", "hyper", "object_store", "sled", "harness"],
    },
    Rule { directory: "nfs-gateway", dependencies: &["sled", "tidefs-tests"], names: &["sled", "harness"] },
];

fn workspace() -> Result<PathBuf> {
    Ok(Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the crate is in a workspace")?.to_owned())
}

#[test]
fn no_crate_depends_on_a_layer_above_it() -> Result<()> {
    for rule in RULES {
        let path = workspace()?.join(rule.directory).join("Cargo.toml");
        let manifest: toml::Table = fs::read_to_string(&path)?.parse()?;
        let sections = ["dependencies", "dev-dependencies", "build-dependencies"];
        for section in sections {
            for (name, value) in manifest.get(section).and_then(toml::Value::as_table).into_iter().flatten() {
                let package = value.get("package").and_then(toml::Value::as_str).unwrap_or(name);
                // A benchmark is a program of its own.
                let benchmark = section == "dev-dependencies" && package == "clap";
                let allowed = benchmark || !rule.dependencies.contains(&package);
                ensure!(allowed, "{} depends on {package}", path.display());
            }
        }
    }
    Ok(())
}

#[test]
fn no_source_uses_a_layer_above_it() -> Result<()> {
    for rule in RULES {
        let sources = files_below(&workspace()?.join(rule.directory).join("src"))?;
        ensure!(!sources.is_empty(), "{} has no sources", rule.directory);
        for file in sources {
            for (number, line) in fs::read_to_string(&file)?.lines().enumerate() {
                let used = line.trim_start().trim_start_matches("pub ").strip_prefix("use ");
                let root = used.map(|path| path.trim_start_matches("::").split([':', ';', ' ']).next());
                let found = rule.names.iter().find(|name| root == Some(Some(**name)));
                ensure!(found.is_none(), "{}:{} uses {found:?}", file.display(), number + 1);
            }
        }
    }
    Ok(())
}
