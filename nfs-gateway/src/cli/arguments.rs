//! What can be typed.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};
use engine::FileSystemId;
use lifecycle::{Age, ToPrimary};

use crate::config::{BucketAddress, ByteSize, ColdChoice, KeyChoice, Layer, parse_listen};

const EXAMPLES: &str = "\
Examples:
  tidefs serve                                        serve ~/.local/share/tidefs on 127.0.0.1:2049
  sudo mount -t nfs4 -o vers=4.1,port=2049 127.0.0.1:/ /mnt
  tidefs lifecycle set --to-ia 30d                    move files that were not used for 30 days
  tidefs status                                       sizes by tier, requests, health
  tidefs verify --deep                                reads everything and says what is wrong, if anything

Exit status: 0 done, 1 failed, 2 wrong usage or a bad setting.";

/// A self-hosted Elastic File System: NFS in front, hot files on the local disk, cold ones in a bucket.
#[derive(Debug, Parser)]
#[command(name = "tidefs", version, about, after_help = EXAMPLES, disable_help_subcommand = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve the file systems of a data directory; the first start makes key and file system.
    Serve(Box<ServeFlags>),
    /// Show sizes by tier, journal, backlog, requests, clients, lifecycle and health.
    Status(StatusCommand),
    /// Check everything that a file system says about itself, on a running server or by itself; mend what can be mended.
    Verify(Box<VerifyCommand>),
    /// Show, set and run the policy by which files move between the tiers.
    #[command(subcommand)]
    Lifecycle(LifecycleCommand),
    /// Show, rotate and destroy the keys that everything at rest is sealed with.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Collect garbage now, or show what would be collected. It happens by itself, too.
    Gc(GcCommand),
    /// Print or check the configuration file.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the version.
    Version,
}

const SERVE_EXAMPLES: &str = "\
Examples:
  tidefs serve
  tidefs serve --data /srv/tidefs --listen 0.0.0.0:2049
  AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… \\
    tidefs serve --bucket s3://pile/tidefs --endpoint http://127.0.0.1:9000

Flags go over TIDEFS_* variables, these over tidefs.toml, it over the defaults. Budgets and further mount targets are in
tidefs.toml only: see `tidefs config example`. The line `tidefs: ready` on standard output says that clients may come.
SIGTERM or SIGINT shuts down in order; a second one ends at once. Logs go to standard error (TIDEFS_LOG=info).";

#[derive(Debug, Args)]
#[command(after_help = SERVE_EXAMPLES)]
pub(super) struct ServeFlags {
    #[command(flatten)]
    pub(super) place: PlaceFlags,
    /// Where NFS is served [default: 127.0.0.1:2049] [env: TIDEFS_LISTEN].
    #[arg(long, value_name = "ADDR:PORT", value_parser = parse_listen)]
    pub(super) listen: Option<SocketAddr>,
    #[command(flatten)]
    pub(super) key: KeyFlags,
    #[command(flatten)]
    pub(super) cold: ColdFlags,
}

/// What opens the file systems.
#[derive(Debug, Args)]
#[command(next_help_heading = "Key")]
pub(super) struct KeyFlags {
    /// The key, outside of the data directory [default: tidefs.key beside the configuration file] [env: TIDEFS_KEY_FILE].
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_file")]
    pub(super) key_file: Option<PathBuf>,
    /// A file whose first line is a passphrase, instead of a key [env: TIDEFS_PASSPHRASE_FILE].
    #[arg(long, value_name = "FILE")]
    pub(super) passphrase_file: Option<PathBuf>,
}

/// Where cold files go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Infrequent Access tier")]
pub(super) struct ColdFlags {
    /// A bucket; credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY [env: TIDEFS_BUCKET].
    #[arg(long, value_name = "s3://NAME/PREFIX", conflicts_with = "cold_dir")]
    pub(super) bucket: Option<BucketAddress>,
    /// Of an S3-compatible store, such as http://127.0.0.1:9000 [default: AWS] [env: TIDEFS_ENDPOINT].
    #[arg(long, value_name = "URL", value_parser = crate::config::parse_endpoint, conflicts_with = "cold_dir")]
    pub(super) endpoint: Option<String>,
    /// Region of the bucket [default: us-east-1] [env: TIDEFS_REGION].
    #[arg(long, value_name = "NAME", conflicts_with = "cold_dir")]
    pub(super) region: Option<String>,
    /// A local directory instead of a bucket [default: cold in the data directory] [env: TIDEFS_COLD_DIR].
    #[arg(long, value_name = "DIR")]
    pub(super) cold_dir: Option<PathBuf>,
}

/// Which server.
#[derive(Debug, Args)]
pub(super) struct PlaceFlags {
    /// The data directory [default: $XDG_DATA_HOME/tidefs or ~/.local/share/tidefs] [env: TIDEFS_DATA].
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// The configuration file [default: ~/.config/tidefs/tidefs.toml, if it is there] [env: TIDEFS_CONFIG].
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

/// Which file system of which server, and how it is shown.
#[derive(Debug, Args)]
pub(super) struct TargetFlags {
    #[command(flatten)]
    pub(super) place: PlaceFlags,
    /// The file system, if the server has several.
    #[arg(long, value_name = "fs-…", value_parser = parse_file_system)]
    pub(super) file_system: Option<FileSystemId>,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  tidefs status\n  tidefs status --data /srv/tidefs --json | jq .health")]
pub(super) struct StatusCommand {
    #[command(flatten)]
    pub(super) target: TargetFlags,
}

const VERIFY_EXAMPLES: &str = "\
Examples:
  tidefs verify                                  names, links, counters, segments, objects: seconds to minutes
  tidefs verify --deep                           reads and authenticates every block on the disk and the metadata, too
  tidefs verify --deep --bucket --json           and every object in the bucket (which costs its transfer)
  tidefs verify --repair --dry-run               what a repair would do
  tidefs verify --repair                         mends names, counters and leaks

With a server running on the data directory it is asked to do it, beside its work, and nobody is held up. Without one it is
done by this command, which then needs the same settings as the server: key, and bucket (from tidefs.toml or TIDEFS_BUCKET
and TIDEFS_ENDPOINT). It changes nothing then unless --repair is given.

The metadata index is read and compared with the checkpoints only by a server, since opening it writes to it. Without one --repair
discards it, whatever is found: it is built anew from checkpoints and journal, after the next start at the latest. If one of these is
damaged, such a repair changes nothing. While a server builds it anew it is not compared, which is said (`not judged`).

What is found: `damage` (data or names are lost: the files are named), `counter` (a derived number is wrong), `leak` (space
is taken for nothing), `notice` (bytes of no use are not as they were written: after a crash that is as it should be, else
suspect the disk). A repair never invents data: a block that does not authenticate stays an error (EIO) when it is read.
What is cut off from the root goes to /lost+found.

Exit status: 0 clean (but for notices), 1 something was found (and is still there after a repair) or could not be read, 2 it could not be verified.";

#[derive(Debug, Args)]
#[command(after_help = VERIFY_EXAMPLES)]
pub(super) struct VerifyCommand {
    /// Read every block of the Standard tier, the journal, the checkpoints and, with a server, the index.
    #[arg(long)]
    pub(super) deep: bool,
    /// Read every object of the Infrequent Access tier.
    #[arg(long)]
    pub(super) bucket: bool,
    /// Mend names, counters and leaks, never data; without a server, have the metadata index built anew.
    #[arg(long)]
    pub(super) repair: bool,
    /// With --repair: only say what it would do.
    #[arg(long, requires = "repair")]
    pub(super) dry_run: bool,
    /// Read at most this much data per second [default: as fast as it goes].
    #[arg(long, value_name = "SIZE")]
    pub(super) bytes_per_second: Option<ByteSize>,
    /// Without a server: the local directory of the cold tier [default: as for serve] [env: TIDEFS_COLD_DIR].
    #[arg(long, value_name = "DIR")]
    pub(super) cold_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(super) key: KeyFlags,
    #[command(flatten)]
    pub(super) target: TargetFlags,
}

const GC_EXAMPLES: &str = "\
Examples:
  tidefs gc --dry-run                                 which segments would be rewritten or deleted, and why
  tidefs gc

A segment is deleted when nothing refers to it and the record that says so is in a checkpoint. Where a tier stores more
than 1.4 times what is live, the segments with the most garbage are rewritten first.";

#[derive(Debug, Args)]
#[command(after_help = GC_EXAMPLES)]
pub(super) struct GcCommand {
    #[command(flatten)]
    pub(super) target: TargetFlags,
    /// Change nothing: show what would be done.
    #[arg(long)]
    pub(super) dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum LifecycleCommand {
    /// Show the policy, the last pass and the next one.
    Show(ShowCommand),
    /// Set the policy; what is not named stays as it is.
    Set(SetCommand),
    /// Move everything that is due now, and wait for it.
    Run(RunCommand),
    /// Say which rule holds for files, and what happens to them next and when.
    Explain(ExplainCommand),
}

#[derive(Debug, Args)]
pub(super) struct ShowCommand {
    #[command(flatten)]
    pub(super) target: TargetFlags,
}

const SET_EXAMPLES: &str = "\
Examples:
  tidefs lifecycle set --to-ia 30d
  tidefs lifecycle set --to-ia AFTER_90_DAYS --to-primary on-first-access
  tidefs lifecycle set --to-ia never

An age counts from the last read or write of a file's data; ls, stat and chmod do not count. It is a number with s, m, h
or d, or a word of EFS (AFTER_1_DAY, AFTER_7_DAYS, AFTER_14_DAYS, AFTER_30_DAYS, AFTER_60_DAYS, AFTER_90_DAYS,
AFTER_180_DAYS, AFTER_270_DAYS, AFTER_365_DAYS). A new file system has --to-ia 30d --to-primary never.";

#[derive(Debug, Args)]
#[command(after_help = SET_EXAMPLES, group = ArgGroup::new("policy").required(true).multiple(true).args(["to_ia", "to_primary"]))]
pub(super) struct SetCommand {
    /// Move files to Infrequent Access that were not accessed for this age.
    #[arg(long, value_name = "AGE|never", value_parser = parse_to_ia)]
    pub(super) to_ia: Option<AgeOrNever>,
    /// Move files back to Standard when they are read, or leave them.
    #[arg(long, value_name = "on-first-access|never")]
    pub(super) to_primary: Option<ToPrimary>,
    #[command(flatten)]
    pub(super) target: TargetFlags,
}

/// What `--to-ia` takes. It is no `Option` since clap gives that a meaning of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AgeOrNever(pub(super) Option<Age>);

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tidefs lifecycle run\n  tidefs lifecycle run --bytes-per-second 20MiB\n\n\
If this command is interrupted, the pass goes on in the server."
)]
pub(super) struct RunCommand {
    /// Move at most this much per second [default: as fast as it goes].
    #[arg(long, value_name = "SIZE")]
    pub(super) bytes_per_second: Option<ByteSize>,
    #[command(flatten)]
    pub(super) target: TargetFlags,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  tidefs lifecycle explain /photos/2019/a.jpg\n\n\
PATH begins at the root of the file system, not at the mount point.")]
pub(super) struct ExplainCommand {
    /// Absolute path within the file system; several may be given.
    #[arg(value_name = "PATH", required = true)]
    pub(super) paths: Vec<OsString>,
    #[command(flatten)]
    pub(super) target: TargetFlags,
}

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Show what wraps the keys, which data keys there are, and how far a rotation is.
    Show(KeyShowCommand),
    /// Make a new data key, and seal everything anew under it in the background.
    Rotate(KeyRotateCommand),
    /// Destroy the keys of a file system for ever: nothing opens its data any more.
    Shred(KeyShredCommand),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  tidefs key show\n  tidefs key show --json | jq .resealing")]
pub(super) struct KeyShowCommand {
    #[command(flatten)]
    pub(super) key: KeyFlags,
    #[command(flatten)]
    pub(super) target: TargetFlags,
}

const ROTATE_EXAMPLES: &str = "\
Examples:
  tidefs key rotate
  tidefs key rotate --new-key-file /etc/tidefs/next.key
  tidefs key rotate --new-passphrase-file /run/secrets/tidefs

With a server running it does the work, beside its other work and at most 64 MiB/s; else the next start does. A rotation that is
interrupted goes on at the next start. At its end the older data keys are forgotten: they open nothing any more.";

#[derive(Debug, Args)]
#[command(after_help = ROTATE_EXAMPLES)]
pub(super) struct KeyRotateCommand {
    /// Wrap the keys with the key of this file from now on; it is made if it is not there.
    #[arg(long, value_name = "FILE", conflicts_with = "new_passphrase_file")]
    pub(super) new_key_file: Option<PathBuf>,
    /// Wrap the keys with the passphrase in the first line of this file from now on.
    #[arg(long, value_name = "FILE")]
    pub(super) new_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) key: KeyFlags,
    #[command(flatten)]
    pub(super) target: TargetFlags,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  tidefs key shred --yes-destroy fs-0123456789abcdef0\n\n\
The server must not run. There is no way back.")]
pub(super) struct KeyShredCommand {
    /// The file system whose keys are destroyed.
    #[arg(long, value_name = "fs-…", value_parser = parse_file_system)]
    pub(super) yes_destroy: FileSystemId,
    #[command(flatten)]
    pub(super) place: PlaceFlags,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print a commented configuration file with every setting at its default.
    Example,
    /// Check a configuration file.
    Check {
        /// The file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

impl ServeFlags {
    pub(super) fn into_layer(self) -> Layer {
        let ColdFlags { bucket, endpoint, region, cold_dir } = self.cold;
        Layer {
            listen: self.listen,
            key: self.key.choice(),
            cold: bucket.map(ColdChoice::Bucket).or(cold_dir.map(ColdChoice::Directory)),
            endpoint,
            region,
            ..self.place.into_layer()
        }
    }
}

impl VerifyCommand {
    pub(super) fn layer(&self) -> Layer {
        Layer {
            key: self.key.choice(),
            cold: self.cold_dir.clone().map(ColdChoice::Directory),
            data: self.target.place.data.clone(),
            config: self.target.place.config.clone(),
            ..Layer::default()
        }
    }
}

impl KeyRotateCommand {
    pub(super) fn new_key(&self) -> Option<KeyChoice> {
        let file = self.new_key_file.clone().map(KeyChoice::KeyFile);
        file.or_else(|| self.new_passphrase_file.clone().map(KeyChoice::PassphraseFile))
    }
}

impl KeyFlags {
    pub(super) fn choice(&self) -> Option<KeyChoice> {
        let file = self.key_file.clone().map(KeyChoice::KeyFile);
        file.or_else(|| self.passphrase_file.clone().map(KeyChoice::PassphraseFile))
    }
}

impl PlaceFlags {
    pub(super) fn into_layer(self) -> Layer {
        Layer { data: self.data, config: self.config, ..Layer::default() }
    }
}

fn parse_to_ia(text: &str) -> Result<AgeOrNever, lifecycle::PolicyError> {
    lifecycle::policy::parse_to_ia(text).map(AgeOrNever)
}

fn parse_file_system(text: &str) -> Result<FileSystemId, String> {
    FileSystemId::parse(text).ok_or_else(|| {
        "one looks like fs-0123456789abcdef0; `tidefs status` shows those that there are".to_owned()
    })
}
