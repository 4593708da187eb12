//! The control interface on a real file system.

use std::path::Path;
use std::sync::Arc;

use engine::{
    Budgets, ColdStoreConfig, CreateMode, Credential, Entry, Environment, FileSystem, InodeId, KeyFile,
    KeySource, OpenOptions, SetAttributes, Stability,
};
use lifecycle::{Explanation, Policy, PolicyChange};

use super::ControlSocket;
use super::api::{FileSystemStatus, RunEvent, RunRequest, ServerStatus};
use super::client::{Client, ClientError};
use crate::serve::{Served, Server};

async fn serve(directory: &Path) -> (Arc<Server>, ControlSocket, FileSystem) {
    let data = directory.join("data");
    let options = OpenOptions {
        key: KeySource::File(directory.join("key")),
        cold: ColdStoreConfig::Directory(directory.join("cold")),
        environment: Environment::system(),
        budgets: Budgets::default(),
    };
    KeyFile::create(&directory.join("key"), options.environment.entropy.as_ref()).unwrap();
    let id = FileSystem::make(&data, &options).unwrap();
    let file_system = FileSystem::open(&data, id, options.clone()).await.unwrap();
    let mut server = Server::new(data.clone());
    server.add(id, Served::start(file_system.clone(), Vec::new(), &options).await.unwrap());
    let server = Arc::new(server);
    let socket = ControlSocket::open(&data, Arc::clone(&server)).await.unwrap();
    (server, socket, file_system)
}

async fn write(file_system: &FileSystem, name: &[u8]) {
    let root = Credential::root();
    let entry = Entry { directory: InodeId::ROOT, name };
    let set = SetAttributes::default();
    let made = file_system.create(&root, entry, CreateMode::Guarded, &set).await.unwrap();
    let inode = made.durable().await.unwrap().into_inner().attributes.inode;
    let data = bytes::Bytes::from_static(b"some bytes that will be cold");
    let written = file_system.write(&root, inode, 0, data, Stability::FileSync).await.unwrap();
    written.ticket.durable().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_set_run_explained_and_seen() {
    let directory = tempfile::tempdir().unwrap();
    let (server, socket, file_system) = serve(directory.path()).await;
    let client = Client::new(&directory.path().join("data"));
    let status: ServerStatus = client.get("/v1/status").await.unwrap();
    let below = |rest: &str| format!("/v1/file-systems/{}/{rest}", status.file_systems.first().unwrap());
    write(&file_system, b"a b\xff").await;

    let explain = below("lifecycle/explain?path=/a%20b%FF");
    let hot: Explanation = client.get(&explain).await.unwrap();
    assert!(hot.rule.starts_with("to-ia 30d") && hot.when.is_some(), "{hot:?}");
    let change = PolicyChange { to_ia: Some(Some("1s".parse().unwrap())), to_primary: None };
    let policy: Policy = client.put(&below("lifecycle"), &change).await.unwrap();
    assert_eq!(policy.to_ia, change.to_ia.unwrap());

    // The daemon moves the file when it has the age; a run that is asked for then waits for it or finds nothing left.
    let moved = tokio::time::timeout(std::time::Duration::from_secs(30), async {
        loop {
            let mut last = None;
            let each = |event: RunEvent| last = Some(event);
            client.post_lines(&below("lifecycle/run"), &RunRequest::default(), each).await.unwrap();
            assert!(matches!(last, Some(RunEvent::Summary(_))), "{last:?}");
            let now: Explanation = client.get(&explain).await.unwrap();
            if now.rule.starts_with("to-primary") {
                return now;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    assert!(moved.await.unwrap().next.starts_with("nothing"));
    let after: FileSystemStatus = client.get(&below("status")).await.unwrap();
    let cold = after.engine.tiers.iter().find(|tier| tier.name == engine::Tier::InfrequentAccess).unwrap();
    assert_eq!((cold.files, cold.bytes), (1, 28));
    assert!(after.engine.requests.put > 0);

    socket.close().await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let (server, socket, _) = serve(directory.path()).await;
    let client = Client::new(&directory.path().join("data"));
    let status: ServerStatus = client.get("/v1/status").await.unwrap();
    let below = |rest: &str| format!("/v1/file-systems/{}/{rest}", status.file_systems.first().unwrap());
    let kind_of = async |path: String| match client.get::<serde_json::Value>(&path).await {
        Err(ClientError::Refused { error, .. }) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(kind_of("/v1/nothing".to_owned()).await, "not-found");
    assert_eq!(kind_of("/v1/file-systems/fs-00000000000000000/status".to_owned()).await, "not-found");
    assert_eq!(kind_of(below("lifecycle/explain?path=/nope")).await, "not-found");
    assert_eq!(kind_of(below("lifecycle/explain?path=nope")).await, "invalid");
    let bad = serde_json::json!({ "to_ia": "soon" });
    match client.put::<_, Policy>(&below("lifecycle"), &bad).await {
        Err(ClientError::Refused { error, message }) => {
            assert!(error == "invalid" && message.contains("45d"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    socket.close().await;
    server.stop().await.unwrap();
    let gone = client.get::<ServerStatus>("/v1/status").await;
    assert!(matches!(gone, Err(ClientError::NoServer { .. })));
}
