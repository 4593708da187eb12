//! The other side of the control socket.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::SOCKET_NAME;
use super::api::ApiError;

/// Longest answer other than a stream.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("no server answers for {}; start it with `tidefs serve --data {}`, or name the right directory with --data", data.display(), data.display())]
    NoServer { data: PathBuf },
    #[error("{} may be used only by the user that runs the server; use his account, or sudo", socket.display())]
    NotAllowed { socket: PathBuf },
    #[error("cannot talk to the server at {}: {problem}; look at its log", socket.display())]
    Broken { socket: PathBuf, problem: String },
    #[error("{message}")]
    Refused { error: String, message: String },
}

/// Talks to the server of a data directory.
pub(crate) struct Client {
    data: PathBuf,
    socket: PathBuf,
}

impl Client {
    pub(crate) fn new(data: &Path) -> Self {
        Client { data: data.to_owned(), socket: data.join(SOCKET_NAME) }
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let response = self.send(Method::GET, path, Vec::new()).await?;
        self.read(response).await
    }

    pub(crate) async fn put<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        let response = self.send(Method::PUT, path, self.encode(body)?).await?;
        self.read(response).await
    }

    pub(crate) async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        let response = self.send(Method::POST, path, self.encode(body)?).await?;
        self.read(response).await
    }

    /// Sends a request whose answer is lines of JSON, and gives them one by one.
    pub(crate) async fn post_lines<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        mut each: impl FnMut(T),
    ) -> Result<(), ClientError> {
        let response = self.send(Method::POST, path, self.encode(body)?).await?;
        let mut body = response.into_body();
        let mut rest = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.broken(error))?;
            rest.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                each(serde_json::from_slice(&line).map_err(|error| self.broken(error))?);
            }
            if rest.len() > ANSWER_BYTES_MAX {
                return Err(self.broken("a line without an end"));
            }
        }
        Ok(())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>, ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
                ClientError::NoServer { data: self.data.clone() }
            }
            std::io::ErrorKind::PermissionDenied => ClientError::NotAllowed { socket: self.socket.clone() },
            _ => self.broken(error),
        })?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| self.broken(error))?;
        // Its end is seen in the answer.
        tokio::spawn(async move { drop(connection.await) });
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "tidefs")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| self.broken(error))?;
        let response = sender.send_request(request).await.map_err(|error| self.broken(error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let ApiError { error, message } = self.read(response).await?;
        Err(ClientError::Refused { error, message })
    }

    async fn read<T: DeserializeOwned>(&self, response: Response<Incoming>) -> Result<T, ClientError> {
        let limited = http_body_util::Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let body = limited.collect().await.map_err(|error| self.broken(error))?;
        serde_json::from_slice(&body.to_bytes()).map_err(|error| self.broken(error))
    }

    fn encode<B: Serialize>(&self, body: &B) -> Result<Vec<u8>, ClientError> {
        serde_json::to_vec(body).map_err(|error| self.broken(error))
    }

    fn broken(&self, problem: impl ToString) -> ClientError {
        ClientError::Broken { socket: self.socket.clone(), problem: problem.to_string() }
    }
}
