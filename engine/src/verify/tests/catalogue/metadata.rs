//! The files of the metadata, and the index.

use super::bench::{Bench, flip};
use super::{Mended, Planted};
use crate::records::key;
use crate::verify::Problem;

pub(super) async fn index_unreadable(bench: &mut Bench) -> Planted {
    bench.volume().store.fold().await.unwrap();
    bench.volume().store.spoil_index();
    Planted::new(Mended::ByStart, |problem| matches!(problem, Problem::IndexUnreadable { .. }))
}

/// In a record that no other check looks at.
pub(super) async fn index_differs(bench: &mut Bench) -> Planted {
    bench.volume().store.fold().await.unwrap();
    bench.volume().store.falsify_index(key::note("note"), b"false");
    let example = hex::encode(key::note("note"));
    Planted::new(Mended::ByStart, move |problem| {
        *problem == Problem::IndexDiffers { keys: 1, example: example.clone() }
    })
}

pub(super) async fn file_damaged(bench: &mut Bench) -> Planted {
    bench.volume().store.fold().await.unwrap();
    let damaged = bench.home.files().join("checkpoint/00000001.delta");
    flip(&damaged, 60);
    let is =
        move |problem: &Problem| matches!(problem, Problem::FileDamaged { path, .. } if *path == damaged);
    Planted::new(Mended::Never, is)
}

/// Seen only where nobody has the file system open; no data is hit, and it is not in the way of `clean`.
pub(super) async fn marker_damaged(bench: &mut Bench) -> Planted {
    bench.close().await;
    let marker = bench.home.files().join("index.marker");
    flip(&marker, 30);
    let is =
        move |problem: &Problem| matches!(problem, Problem::MarkerDamaged { path, .. } if *path == marker);
    Planted::new(Mended::ByStart, is)
}
