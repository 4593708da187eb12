//! The commented example that `tidefs config example` prints. A test holds it against the defaults.

/// All settings with their defaults.
pub(crate) const EXAMPLE: &str = r#"# tidefs.toml: all settings of `tidefs serve`, with their defaults commented out.
# Flags go before TIDEFS_* variables, and those before this file.
# Read from ~/.config/tidefs/tidefs.toml, or from where --config says.

# Where the file systems live. Use a disk whose writes survive a power loss once they are synced.
# data = "~/.local/share/tidefs"

# The key that everything is sealed with (mode 0600, not below the data). Whoever loses it loses the data: back it up.
# key_file = "~/.config/tidefs/tidefs.key"

# Where the first file system is served over NFS.
# listen = "127.0.0.1:2049"

[cold]
# The Infrequent Access tier: a bucket, or a local directory (the default: "cold" beside the data).
# Credentials of the bucket come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
# bucket = "s3://NAME/PREFIX"
# endpoint = "http://127.0.0.1:9000"
# region = "us-east-1"
# directory = "~/.local/share/tidefs-cold"

[nfs]
# How long a client keeps opens and locks without a sign of life, and how long a restart waits for clients to come back.
# lease_seconds = 90
# Connections at once; more are refused.
# connections_max = 4096

[lifecycle]
# Bytes per second that the daemon may move; "0" is no limit. What moves when is set by `tidefs lifecycle set`.
# bytes_per_second = "0"

[budgets]
# Disk for the journal, and memory for recent metadata, for the index, for data not yet committed, for opened blocks.
# journal = "256MiB"
# overlay = "64MiB"
# index_cache = "128MiB"
# write_buffer = "256MiB"
# block_cache = "256MiB"
# Sizes at which a local segment and a cold object are closed.
# segment = "128MiB"
# object = "32MiB"

# Further file systems of this server, each on an address of its own.
# [[mount_target]]
# file_system = "fs-0123456789abcdef0"
# listen = "127.0.0.1:2050"
"#;
