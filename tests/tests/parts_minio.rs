//! The harness's hold on MinIO.
use anyhow::Result;
use harness::Minio;
use harness::minio::BUCKET;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};

#[test]
fn objects_are_counted_and_survive_a_restart() -> Result<()> {
    let mut minio = Minio::start()?;
    let store = minio.store(BUCKET)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(store.put(&Path::from("a/one"), PutPayload::from_static(b"12345")))?;
    let before = minio.content("")?;
    assert_eq!((before.objects, before.bytes), (1, 5));
    minio.kill();
    assert!(minio.content("").is_err(), "a killed MinIO answers");
    minio.restart()?;
    assert_eq!(minio.content("a")?, before);
    assert!(minio.bytes_sent()? > 0.0, "MinIO counts what it sends");
    Ok(())
}
