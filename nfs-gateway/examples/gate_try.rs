//! Serves a directory for trying the gateway out.
use engine::{Budgets, ColdStoreConfig, Environment, FileSystem, OpenOptions};
use gateway::{Export, NfsServer, ServerOptions};
use std::path::PathBuf;

#[tokio::main]
async fn main() {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().unwrap());
    let port: u16 = args.next().unwrap().parse().unwrap();
    let lease: u64 = args.next().unwrap_or("90".into()).parse().unwrap();
    std::fs::create_dir_all(dir.join("data")).unwrap();
    let environment = Environment::system();
    let key = dir.join("key");
    if !key.exists() {
        engine::KeyFile::create(&key, &*environment.entropy).unwrap();
    }
    let options = OpenOptions {
        key_file: key,
        cold: ColdStoreConfig::Directory(dir.join("cold")),
        environment: environment.clone(),
        budgets: Budgets::default(),
    };
    let data = dir.join("data");
    let id = match FileSystem::list(&data).unwrap().first() {
        Some(id) => *id,
        None => FileSystem::make(&data, &options).unwrap(),
    };
    let fs = FileSystem::open(&data, id, options).await.unwrap();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = NfsServer::start(
        listener,
        Export::new(fs.clone()),
        environment,
        ServerOptions { lease: std::time::Duration::from_secs(lease), ..Default::default() },
    )
    .await
    .unwrap();
    eprintln!("PORT {port}");
    eprintln!("serving {id} in_grace={}", server.status().in_grace);
    tokio::signal::ctrl_c().await.unwrap();
    eprintln!("{:?}", server.status());
    server.stop().await;
    fs.shutdown().await.unwrap();
}
