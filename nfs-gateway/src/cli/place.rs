//! Finds the server and the file system that a command is for.

use engine::FileSystemId;

use super::Failure;
use super::arguments::TargetFlags;
use crate::config::{Settings, Surroundings};
use crate::control::api::ServerStatus;
use crate::control::client::{Client, ClientError};

/// A server, and those of its file systems that are meant.
pub(super) struct Place {
    pub(super) client: Client,
    pub(super) file_systems: Vec<String>,
    pub(super) json: bool,
}

impl Place {
    pub(super) async fn find(flags: TargetFlags, surroundings: &Surroundings) -> Result<Place, Failure> {
        let settings = Settings::load(flags.place.into_layer(), surroundings)?;
        let client = Client::new(&settings.data);
        let file_systems = match flags.file_system {
            Some(id) => vec![id.to_string()],
            None => client.get::<ServerStatus>("/v1/status").await?.file_systems,
        };
        Ok(Place { client, file_systems, json: flags.json })
    }

    /// The same if the server answers: it is asked in any case.
    pub(super) async fn of(
        client: Client,
        asked: Option<FileSystemId>,
        json: bool,
    ) -> Result<Place, ClientError> {
        let status = client.get::<ServerStatus>("/v1/status").await?;
        let file_systems = asked.map_or(status.file_systems, |id| vec![id.to_string()]);
        Ok(Place { client, file_systems, json })
    }

    /// The only file system that is meant.
    pub(super) fn only(&self) -> Result<&str, Failure> {
        match self.file_systems.as_slice() {
            [only] => Ok(only),
            several => Err(Failure::Usage(format!(
                "the server has several file systems; name one of them with --file-system: {}",
                several.join(", ")
            ))),
        }
    }

    /// The address of something of the only file system.
    pub(super) fn address(&self, of: &str) -> Result<String, Failure> {
        Ok(format!("/v1/file-systems/{}/{of}", self.only()?))
    }
}
