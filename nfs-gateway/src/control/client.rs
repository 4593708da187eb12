//! The command line's way to the server.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::{Failure, RunLine, SOCKET};

/// Speaks to the server of a data directory, about one of its file systems.
pub(crate) struct Client {
    socket: PathBuf,
    id: String,
}

impl Client {
    /// Finds the server, and the file system that is meant: the only one, unless it is named.
    pub(crate) async fn find(data: &Path, file_system: Option<&str>) -> Result<Client> {
        let mut client = Client { socket: data.join(SOCKET), id: String::new() };
        let ids: Vec<String> = client.call(Method::GET, "/v1/file-systems", None::<&()>).await?;
        client.id = match (file_system, ids.as_slice()) {
            (Some(wanted), ids) if ids.iter().any(|id| id == wanted) => wanted.to_owned(),
            (Some(wanted), ids) => {
                bail!("this server has no file system {wanted}; it has {}", ids.join(", "))
            }
            (None, [only]) => only.clone(),
            (None, ids) => bail!(
                "this server has several file systems; choose one with --file-system: {}",
                ids.join(", ")
            ),
        };
        Ok(client)
    }

    /// Asks about the file system; the answer is JSON.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T> {
        self.call(method, &format!("/v1/file-systems/{}/{path}", self.id), body).await
    }

    /// Runs a lifecycle pass, and hands each line on as it comes.
    pub(crate) async fn run(&self, mut on_line: impl FnMut(RunLine) -> Result<()>) -> Result<()> {
        let path = format!("/v1/file-systems/{}/lifecycle/run", self.id);
        let mut response = self.send(Method::POST, &path, None::<&()>).await?;
        let mut text = Vec::new();
        while let Some(frame) = response.frame().await {
            let frame = frame.context(
                "the server went away in the middle of the pass; it goes on when the server is back",
            )?;
            text.extend_from_slice(frame.data_ref().map(Bytes::as_ref).unwrap_or_default());
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = text.drain(..=end).collect();
                on_line(serde_json::from_slice(&line)?)?;
            }
        }
        Ok(())
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T> {
        let response = self.send(method, path, body).await?;
        let body = response.into_body().collect().await?.to_bytes();
        Ok(serde_json::from_slice(&body)?)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Response<Incoming>> {
        let stream = UnixStream::connect(&self.socket).await.with_context(|| {
            format!(
                "no server answers on {}; start it with `tidefs serve`, or name its data directory with --data",
                self.socket.display()
            )
        })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let response = sender.send_request(request).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let body = response.into_body().collect().await?.to_bytes();
        let failure: Failure = serde_json::from_slice(&body)
            .with_context(|| format!("the server answered: {}", String::from_utf8_lossy(&body)))?;
        bail!("{}", failure.message)
    }
}
