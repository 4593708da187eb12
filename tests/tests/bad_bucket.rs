//! Buckets that cannot be used are refused at the start, and nothing is made.
use anyhow::Result;
use harness::process::free_port;
use harness::store_without_conditions::StoreWithoutConditions;
use harness::tree::files_below;
use harness::{Cold, Minio, ServerSettings};

/// Starts a server on a bucket that is not to be used, and checks what it says and that it makes nothing.
fn refused(prepare: impl FnOnce(&mut ServerSettings) -> Result<()>, words: &[&str]) -> Result<()> {
    let work = tempfile::tempdir()?;
    let mut settings = ServerSettings::within(work.path(), Cold::Directory)?;
    settings.arguments.clear();
    settings.set_environment(&[
        ("AWS_ACCESS_KEY_ID", "nobody"),
        ("AWS_SECRET_ACCESS_KEY", "nothing-of-use"),
        ("AWS_REGION", "us-east-1"),
    ]);
    prepare(&mut settings)?;
    settings.refusal()?.refused(1, words)?;
    let made: Vec<_> = files_below(&settings.data)?
        .into_iter()
        .filter(|file| file.to_string_lossy().contains("/fs-"))
        .collect();
    assert_eq!(made, [] as [std::path::PathBuf; 0], "a file system is half made");
    assert!(!settings.key.exists(), "a key was made for a file system that is not");
    Ok(())
}

fn point_at(settings: &mut ServerSettings, bucket: &str, endpoint: String) {
    let bucket = format!("s3://{bucket}/here");
    settings.arguments.extend(["--bucket".into(), bucket.into(), "--endpoint".into(), endpoint.into()]);
}

#[test]
fn a_missing_bucket_is_refused() -> Result<()> {
    let minio = Minio::start()?;
    let prepare = |settings: &mut ServerSettings| {
        point_at(settings, "absent", minio.endpoint());
        settings.set_environment(&minio.credentials());
        Ok(())
    };
    refused(prepare, &["bucket", "absent"])
}

#[test]
fn refused_credentials_are_reported() -> Result<()> {
    let minio = Minio::start()?;
    let prepare = |settings: &mut ServerSettings| {
        point_at(settings, harness::minio::BUCKET, minio.endpoint());
        Ok(())
    };
    refused(prepare, &["AWS_ACCESS_KEY_ID"])?;
    assert_eq!(minio.content("")?.objects, 0);
    Ok(())
}

#[test]
fn an_endpoint_that_is_away_at_the_start_is_reported() -> Result<()> {
    let endpoint = format!("http://127.0.0.1:{}", free_port()?);
    let prepare = |settings: &mut ServerSettings| {
        point_at(settings, "any", endpoint.clone());
        Ok(())
    };
    refused(prepare, &[&endpoint])
}

#[test]
fn a_store_without_conditional_put_is_refused() -> Result<()> {
    let store = StoreWithoutConditions::start()?;
    let prepare = |settings: &mut ServerSettings| {
        point_at(settings, "any", store.endpoint());
        Ok(())
    };
    refused(prepare, &["conditional"])?;
    assert_eq!(store.names(), [] as [String; 0], "the probe cleans up");
    Ok(())
}
