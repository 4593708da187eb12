//! A server on a real file system in a temporary directory.

use std::path::Path;
use std::time::Duration;

use engine::{Budgets, ColdStoreConfig, Environment, FileSystem, KeyFile, KeySource, OpenOptions};
use gateway::{Export, NfsServer, ServerOptions};
use tempfile::TempDir;

pub struct Server {
    pub directory: TempDir,
    pub file_system: FileSystem,
    pub nfs: NfsServer,
    pub port: u16,
}

impl Server {
    pub async fn start() -> Server {
        let directory = tempfile::tempdir().unwrap();
        let environment = Environment::system();
        KeyFile::create(&directory.path().join("key"), &*environment.entropy).unwrap();
        std::fs::create_dir(directory.path().join("data")).unwrap();
        FileSystem::make(&directory.path().join("data"), &options(&directory)).unwrap();
        Self::open(directory, environment).await
    }

    /// The same file system with a new life of the server.
    pub async fn restart(self) -> Server {
        self.restart_in(Environment::system()).await
    }

    /// The same in another environment.
    pub async fn restart_in(self, environment: Environment) -> Server {
        self.nfs.stop().await;
        self.file_system.shutdown().await.unwrap();
        drop(self.file_system);
        Self::open(self.directory, environment).await
    }

    /// What a crash leaves at this moment, with a server of its own on it. All that is written is durable; what is held up is lost. This
    /// one goes on.
    pub async fn crashed(&self) -> Server {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(self.directory.path(), copy.path());
        Self::open(copy, Environment::system()).await
    }

    async fn open(directory: TempDir, environment: Environment) -> Server {
        let data = directory.path().join("data");
        let id = FileSystem::list(&data).unwrap()[0];
        let options = OpenOptions { environment, ..options(&directory) };
        let file_system = FileSystem::open(&data, id, options).await.unwrap();
        // Nothing changes by itself when it is copied.
        while file_system.status().unwrap().backlog.index_entries > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let choices = ServerOptions {
            lease: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(5),
            ..ServerOptions::default()
        };
        let export = Export::new(file_system.clone());
        let nfs = NfsServer::start(listener, export, Environment::system(), choices).await.unwrap();
        Server { directory, file_system, nfs, port }
    }
}

fn options(directory: &TempDir) -> OpenOptions {
    OpenOptions {
        key: KeySource::File(directory.path().join("key")),
        cold: ColdStoreConfig::Directory(directory.path().join("cold")),
        environment: Environment::system(),
        budgets: Budgets { journal_bytes: 32 << 20, ..Budgets::default() },
    }
}

/// Without the index, which is never needed and may be in the middle of something.
fn copy_tree(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (name, to) = (entry.file_name(), to.join(entry.file_name()));
        if name.to_string_lossy().starts_with("index") {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy_tree(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).unwrap();
        }
    }
}
