//! `tidefs config example`. A test holds that its settings are the defaults.

/// Every setting with its default; `#name = value` is a setting, `# text` is a comment.
pub(crate) const EXAMPLE: &str = r##"# tidefs.toml: settings of `tidefs serve`.
#
# Every setting is shown with its default. To change one, take away its leading `#`.
# Flags go over TIDEFS_* variables, these over this file. Check it with: tidefs config check tidefs.toml
# The default place of this file is ~/.config/tidefs/tidefs.toml.

# Journal, index and Standard data. One server for each data directory.
#data = "~/.local/share/tidefs"

# Where the first file system is served by NFS. 127.0.0.1 is for this machine only.
#listen = "127.0.0.1:2049"

# The key that opens everything. Never inside the data directory. WITHOUT IT THE DATA IS LOST: keep a copy elsewhere.
# The default place is beside this file.
#key_file = "~/.config/tidefs/tidefs.key"
# Instead of a key: a file whose first line is a passphrase. Nobody else may be able to read it (chmod 600).
# passphrase_file = "/run/secrets/tidefs"

# What is logged to stderr: error, warn, info, debug or trace, or a filter such as "info,engine=debug".
#log = "info"

# The Infrequent Access tier: a local directory (the default: `cold` in the data directory), or a bucket. With a bucket the
# credentials come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, and from nowhere else.
[cold]
#directory = "~/.local/share/tidefs/cold"
# bucket = "s3://NAME/PREFIX"
# endpoint = "http://127.0.0.1:9000"
# region = "us-east-1"

# Memory and disk budgets of each file system.
[budgets]
# Journal files on the disk; writers are slowed when it fills.
#journal = "512MiB"
# Recent metadata changes in memory.
#overlay = "256MiB"
# Cache of the metadata index.
#index_cache = "256MiB"
# Data that clients have written and not yet committed.
#write_buffer = "256MiB"
# Data blocks that were read or written lately.
#block_cache = "256MiB"
# A local data file is closed at this size, or sooner while there is little data.
#segment = "128MiB"
# An object in the bucket is closed at this size.
#object = "32MiB"

# All local data is read and authenticated now and then, slowly: a disk that forgets is noticed while there is still a backup.
# What is found is in `tidefs status` and in the log.
[scrub]
# From the start of one round to that of the next; "never" turns it off.
#every = "30d"
# Read at most this much per second.
#bytes_per_second = "4MiB"

# Each further file system is served on an address of its own:
# [[mount_target]]
# file_system = "fs-0123456789abcdef0"
# listen = "127.0.0.1:2050"
"##;
