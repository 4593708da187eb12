//! An object store of the loopback that takes every PUT and overlooks `If-None-Match`: what tidefs must refuse.
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

type Objects = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A running store; dropping it ends it.
#[derive(Debug)]
pub struct StoreWithoutConditions {
    port: u16,
    objects: Objects,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl StoreWithoutConditions {
    /// Starts it on a free port.
    pub fn start() -> Result<StoreWithoutConditions> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let objects = Objects::default();
        let ending = Arc::new(AtomicBool::new(false));
        let (shared, end) = (objects.clone(), ending.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::SeqCst) {
                    break;
                }
                let objects = shared.clone();
                // A connection that breaks is its client's concern.
                std::thread::spawn(move || stream.map(|stream| serve(stream, &objects)));
            }
        });
        Ok(StoreWithoutConditions { port, objects, ending, thread: Some(thread) })
    }

    /// Where it is, as `--endpoint` takes it.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The names of the objects that it holds.
    pub fn names(&self) -> Vec<String> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

impl Drop for StoreWithoutConditions {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        // The listener is woken by a last connection.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(stream: TcpStream, objects: &Objects) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split_whitespace();
        let (method, target) =
            (words.next().context("no method")?.to_owned(), words.next().context("no target")?.to_owned());
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        answer(&mut writer, &method, &target, body, objects)?;
    }
}

fn answer(
    writer: &mut TcpStream,
    method: &str,
    target: &str,
    body: Vec<u8>,
    objects: &Objects,
) -> Result<()> {
    const DATE: &str = "Thu, 01 Jan 2026 00:00:00 GMT";
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut objects = objects.lock().unwrap_or_else(PoisonError::into_inner);
    let (status, content) = match method {
        "PUT" => {
            objects.insert(path.to_owned(), body);
            ("200 OK", Vec::new())
        }
        "DELETE" => {
            objects.remove(path);
            ("204 No Content", Vec::new())
        }
        _ if query.contains("list-type") => (
            "200 OK",
            b"<?xml version=\"1.0\"?><ListBucketResult><Name>b</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>".to_vec(),
        ),
        _ => match objects.get(path) {
            Some(content) => ("200 OK", content.clone()),
            None => ("404 Not Found", Vec::new()),
        },
    };
    let length = content.len();
    write!(
        writer,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nETag: \"1\"\r\nLast-Modified: {DATE}\r\n\r\n"
    )?;
    if method != "HEAD" {
        writer.write_all(&content)?;
    }
    Ok(())
}
