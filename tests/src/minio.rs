//! A real MinIO on free ports of the loopback, with one bucket.
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as ObjectPath;
use object_store::signer::{Method, Signer};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::deadline::poll_until;
use crate::prerequisites::minio_binary;
use crate::process::{Process, free_port};

const START_LIMIT: Duration = Duration::from_secs(60);
const URL_LIFETIME: Duration = Duration::from_secs(600);

/// The name of the bucket that is made.
pub const BUCKET: &str = "tides";
const USER: &str = "tidefs-test";
const PASSWORD: &str = "tidefs-test-secret";

/// A running MinIO; dropping it ends it and removes its data.
#[derive(Debug)]
pub struct Minio {
    port: u16,
    console_port: u16,
    process: Option<Process>,
    work: TempDir,
}

/// What stands in the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketContent {
    /// Number of objects.
    pub objects: u64,
    /// The sum of their sizes.
    pub bytes: u64,
}

impl Minio {
    /// Starts it, waits until it serves, and makes the bucket.
    pub fn start() -> Result<Minio> {
        let work = tempfile::tempdir()?;
        let mut minio = Minio { port: free_port()?, console_port: free_port()?, process: None, work };
        minio.restart()?;
        minio.make_bucket(BUCKET)?;
        Ok(minio)
    }

    /// Starts it again, on the same port with the same data.
    pub fn restart(&mut self) -> Result<()> {
        self.kill();
        let binary = minio_binary()?;
        let (address, console) =
            (format!("127.0.0.1:{}", self.port), format!("127.0.0.1:{}", self.console_port));
        let process = Process::start("minio", self.work.path(), Signal::KILL, &binary, |command| {
            command
                .args(["server", "--quiet", "--address", &address, "--console-address", &console])
                .arg(self.work.path().join("data"))
                .env("MINIO_ROOT_USER", USER)
                .env("MINIO_ROOT_PASSWORD", PASSWORD)
                .env("MINIO_PROMETHEUS_AUTH_TYPE", "public")
                .env("HOME", self.work.path())
        })?;
        let process = self.process.insert(process);
        poll_until("MinIO serves", START_LIMIT, || {
            if let Some(status) = process.ended()? {
                bail!("MinIO ended at its start: {status}");
            }
            Ok(request(self.port, "GET", "/minio/health/live").ok().filter(|reply| reply.status == 200))
        })?;
        Ok(())
    }

    /// Ends it at once, as a failure would; its data stays for [`Minio::restart`].
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Where it is, as `--endpoint` takes it.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The environment with which a server may use the bucket.
    pub fn credentials(&self) -> [(&'static str, &'static str); 3] {
        [("AWS_ACCESS_KEY_ID", USER), ("AWS_SECRET_ACCESS_KEY", PASSWORD), ("AWS_REGION", "us-east-1")]
    }

    /// The directory with everything that MinIO keeps.
    pub fn data(&self) -> &Path {
        self.work.path()
    }

    /// Makes a bucket.
    pub fn make_bucket(&self, name: &str) -> Result<()> {
        // No client of buckets is at hand, but a signed URL of the empty object name is one of the bucket.
        let store = self.store(name)?;
        let root = ObjectPath::default();
        let url = runtime()?.block_on(store.signed_url(Method::PUT, &root, URL_LIFETIME))?;
        let target = format!("{}?{}", url.path(), url.query().unwrap_or_default());
        let reply = request(self.port, "PUT", &target)?;
        if reply.status != 200 {
            bail!("MinIO made no bucket {name}: {} {}", reply.status, reply.body);
        }
        Ok(())
    }

    /// Counts the objects below a prefix of the bucket (the empty one for all).
    pub fn content(&self, prefix: &str) -> Result<BucketContent> {
        let store = self.store(BUCKET)?;
        let prefix = ObjectPath::from(prefix);
        let sizes = store.list(Some(&prefix)).map_ok(|object| object.size).try_collect::<Vec<u64>>();
        let sizes = runtime()?.block_on(sizes)?;
        Ok(BucketContent { objects: u64::try_from(sizes.len())?, bytes: sizes.iter().sum() })
    }

    /// The bytes that MinIO has sent in answers since its start, by its own metrics.
    pub fn bytes_sent(&self) -> Result<f64> {
        let reply = request(self.port, "GET", "/minio/v2/metrics/node")?;
        let lines = reply.body.lines().filter(|line| line.starts_with("minio_s3_traffic_sent_bytes"));
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(values.sum())
    }

    /// Its bucket as an object store.
    pub fn store(&self, bucket: &str) -> Result<AmazonS3> {
        Ok(AmazonS3Builder::new()
            .with_endpoint(self.endpoint())
            .with_allow_http(true)
            .with_region("us-east-1")
            .with_bucket_name(bucket)
            .with_access_key_id(USER)
            .with_secret_access_key(PASSWORD)
            .build()?)
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

struct Reply {
    status: u16,
    body: String,
}

/// One request without a body to a server of the loopback.
fn request(port: u16, method: &str, target: &str) -> Result<Reply> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "{method} {target} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).context("no HTTP answer")?.parse()?;
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest)?;
    let rest = String::from_utf8_lossy(&rest);
    let body = rest.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    Ok(Reply { status, body })
}
