//! `tidefs key`: on a running server through its socket, else on the data directory itself.

use std::path::Path;

use engine::{
    Environment, FileSystem, FileSystemId, KeyFile, KeyStatus, OpenError, OpenOptions, ResealStatus,
    Timestamp,
};

use super::arguments::{
    KeyCommand, KeyFlags, KeyRotateCommand, KeyShowCommand, KeyShredCommand, TargetFlags,
};
use super::table::{bytes, facts};
use super::{Failure, print, print_json};
use crate::config::{KeyChoice, Layer, Settings, Surroundings, is_within};
use crate::control::api::{RotateRequest, ServerStatus};
use crate::control::client::{Client, ClientError};

pub(super) async fn run(command: KeyCommand, surroundings: &Surroundings) -> Result<(), Failure> {
    match command {
        KeyCommand::Show(command) => show(command, surroundings).await,
        KeyCommand::Rotate(command) => rotate(command, surroundings).await,
        KeyCommand::Shred(command) => shred(command, surroundings),
    }
}

/// The file systems that are meant, and whether a server has them open.
struct Meant {
    settings: Settings,
    client: Option<Client>,
    file_systems: Vec<FileSystemId>,
    /// How many there are in all.
    count: usize,
    json: bool,
}

impl Meant {
    async fn find(flags: TargetFlags, key: KeyFlags, surroundings: &Surroundings) -> Result<Meant, Failure> {
        let layer = Layer { key: key.choice(), ..flags.place.into_layer() };
        let settings = Settings::load(layer, surroundings)?;
        let client = Client::new(&settings.data);
        let (client, all) = match client.get::<ServerStatus>("/v1/status").await {
            Ok(status) => {
                let ids = status.file_systems.iter().filter_map(|id| FileSystemId::parse(id)).collect();
                (Some(client), ids)
            }
            Err(ClientError::NoServer { .. }) => (None, FileSystem::list(&settings.data).map_err(failed)?),
            Err(error) => return Err(error.into()),
        };
        let count = all.len();
        let file_systems: Vec<_> =
            all.into_iter().filter(|id| flags.file_system.is_none_or(|wanted| wanted == *id)).collect();
        if file_systems.is_empty() {
            let data = settings.data.display();
            return Err(Failure::Failed(match flags.file_system {
                Some(id) => {
                    format!("{data} holds no file system {id}; `tidefs key show` lists those that it has")
                }
                None => format!("{data} holds no file system; name the right directory with --data"),
            }));
        }
        Ok(Meant { settings, client, file_systems, count, json: flags.json })
    }

    fn options(&self, key: &KeyChoice) -> Result<OpenOptions, Failure> {
        Ok(OpenOptions {
            key: key.source().map_err(|error| Failure::Failed(error.to_string()))?,
            cold: self.settings.cold.clone(),
            environment: Environment::system(),
            budgets: self.settings.budgets,
        })
    }

    fn print(&self, all: &[KeyStatus]) -> Result<(), Failure> {
        match (self.json, all) {
            (true, [only]) => print_json(only),
            (true, several) => print_json(&serde_json::json!({ "file_systems": several })),
            (false, all) => print(&all.iter().map(table).collect::<Vec<_>>().join("\n\n")),
        }
    }
}

async fn show(command: KeyShowCommand, surroundings: &Surroundings) -> Result<(), Failure> {
    let meant = Meant::find(command.target, command.key, surroundings).await?;
    let mut all = Vec::new();
    for id in &meant.file_systems {
        all.push(match &meant.client {
            Some(client) => client.get(&format!("/v1/file-systems/{id}/key")).await?,
            None => {
                let options = meant.options(&meant.settings.key)?;
                FileSystem::key_status_offline(&meant.settings.data, *id, &options).map_err(failed)?
            }
        });
    }
    meant.print(&all)
}

async fn rotate(command: KeyRotateCommand, surroundings: &Surroundings) -> Result<(), Failure> {
    let new_key = command.new_key();
    let meant = Meant::find(command.target, command.key, surroundings).await?;
    if new_key.is_some() && meant.file_systems.len() < meant.count {
        return Err(Failure::Usage(
            "all file systems of a data directory are opened with one key; leave out --file-system"
                .to_owned(),
        ));
    }
    let new_key = new_key.map(|key| prepare(key, &meant.settings.data)).transpose()?;
    let mut all: Vec<KeyStatus> = Vec::new();
    for id in &meant.file_systems {
        all.push(match &meant.client {
            Some(client) => {
                let request = RotateRequest { new_key: new_key.clone() };
                client.put(&format!("/v1/file-systems/{id}/key/rotate"), &request).await?
            }
            None => rotate_offline(&meant, *id, new_key.as_ref())?,
        });
    }
    meant.print(&all)?;
    if meant.json {
        return Ok(());
    }
    let where_from = match &new_key {
        None => String::new(),
        Some(KeyChoice::KeyFile(path)) => format!(
            "From the next start on the server needs `--key-file {}`. Keep a copy of this key on another machine.\n",
            path.display()
        ),
        Some(KeyChoice::PassphraseFile(path)) => format!(
            "From the next start on the server needs `--passphrase-file {}`. Keep the passphrase in another place, too.\n",
            path.display()
        ),
    };
    let when = if meant.client.is_some() { "" } else { " when it is started" };
    print(&format!(
        "\n{where_from}What is there already is sealed anew in the background{when}; `tidefs key show` says how far that is."
    ))
}

/// A rotation that was interrupted between two file systems leaves some that only the new key opens: those are done.
fn rotate_offline(
    meant: &Meant,
    id: FileSystemId,
    new_key: Option<&KeyChoice>,
) -> Result<KeyStatus, Failure> {
    let data = &meant.settings.data;
    if let Some(new_key) = new_key {
        let done = FileSystem::key_status_offline(data, id, &meant.options(new_key)?);
        if let Ok(status) = done {
            return Ok(status);
        }
    }
    let source = new_key.map(KeyChoice::source).transpose();
    let source = source.map_err(|error| Failure::Failed(error.to_string()))?;
    let options = meant.options(&meant.settings.key)?;
    FileSystem::rotate_key_offline(data, id, &options, source.as_ref()).map_err(failed)
}

/// Makes a new key file, unless it is there, and keeps it out of the data.
fn prepare(key: KeyChoice, data: &Path) -> Result<KeyChoice, Failure> {
    let key = key.at(crate::config::absolute);
    if is_within(key.path(), data) {
        return Err(Failure::Usage(format!(
            "{} is below the data directory {}: whoever gets the data would get the key; name a place outside",
            key.path().display(),
            data.display()
        )));
    }
    if let KeyChoice::KeyFile(path) = &key {
        let environment = Environment::system();
        match path.try_exists().unwrap_or(true) {
            true => KeyFile::keep(environment.disk.as_ref(), path).map_err(failed)?,
            false => KeyFile::create(path, environment.entropy.as_ref()).map_err(failed)?,
        }
    }
    // What is wrong with it is said before anything is changed.
    match key.source().map_err(|error| Failure::Failed(error.to_string()))? {
        engine::KeySource::File(path) => {
            drop(KeyFile::open(&path).map_err(|error| Failure::Failed(error.to_string()))?)
        }
        engine::KeySource::Passphrase(_) => {}
    }
    Ok(key)
}

fn shred(command: KeyShredCommand, surroundings: &Surroundings) -> Result<(), Failure> {
    let settings = Settings::load(command.place.into_layer(), surroundings)?;
    let id = command.yes_destroy;
    FileSystem::shred(&settings.data, id, &Environment::system()).map_err(|error| match error {
        engine::Error::Open(OpenError::NotAFileSystem { .. }) => {
            Failure::Failed(format!("{} holds no file system {id}", settings.data.display()))
        }
        error => failed(error),
    })?;
    print(&format!(
        "the keys of {id} are destroyed: nothing opens its data any more, here or in its bucket.\n\
         Copies of {} in backups still open with the key file or passphrase of their time: destroy those, too.\n\
         To free the space, remove {} and the objects below {id}/ in the cold store.",
        settings.data.join(id.to_string()).join("superblock").display(),
        settings.data.join(id.to_string()).display(),
    ))
}

fn failed(error: engine::Error) -> Failure {
    Failure::Failed(error.to_string())
}

fn table(status: &KeyStatus) -> String {
    let mut rows = vec![("wrapped with", status.wrapped_with.clone())];
    rows.extend(status.generations.iter().rev().enumerate().map(|(age, key)| {
        let since = lifecycle::rfc3339(Timestamp { seconds: key.since_seconds, nanoseconds: 0 });
        let role = if age == 0 { "seals since" } else { "older, from" };
        ("data key", format!("generation {}, {role} {since}", key.generation))
    }));
    rows.push(("re-sealing", resealing(status)));
    format!("{}\n\n{}", status.file_system, facts(rows))
}

/// How far the sealing anew is, in words.
pub(super) fn resealing(status: &KeyStatus) -> String {
    match &status.resealing {
        Some(progress) => progress_line(progress),
        None if status.generations.len() > 1 => "goes on when a server is started".to_owned(),
        None => "nothing to do".to_owned(),
    }
}

fn progress_line(progress: &ResealStatus) -> String {
    let ResealStatus { bytes_done, bytes_left, segments_left, seconds_left, waiting_for } = progress;
    let mut line = format!(
        "{} done, {} left in {segments_left} segments and metadata",
        bytes(*bytes_done),
        bytes(*bytes_left)
    );
    if let Some(seconds) = seconds_left {
        line.push_str(&format!(", about {seconds} s"));
    }
    if let Some(reason) = waiting_for {
        line.push_str(&format!("; waits: {reason}"));
    }
    line
}
