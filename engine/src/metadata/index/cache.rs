//! Opened bundles in memory, found by any key that they cover, without a step into the store.

use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::RwLock;

use super::bundle;
use crate::metadata::key_map::KeyMap;

/// What a bundle costs beside its content: its key, the node of the map and three allocations.
const OVERHEAD_BYTES: u64 = 224;

/// Opened bundles up to a budget; those that are asked for again stay.
pub(super) struct BundleCache {
    budget_bytes: u64,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    bundles: KeyMap<Cached>,
    bytes: u64,
    /// Where the search for something to give up goes on.
    hand: Bytes,
}

struct Cached {
    content: Bytes,
    upper: Option<Bytes>,
    asked_again: AtomicBool,
}

impl BundleCache {
    pub(super) fn new(budget_bytes: u64) -> Self {
        BundleCache { budget_bytes, state: RwLock::default() }
    }

    /// The bundle that covers a key.
    pub(super) fn find(&self, key: &[u8]) -> Option<(Bytes, Bytes)> {
        let state = self.state.read();
        let (lower, cached) = state.bundles.last_upto(key)?;
        if !bundle::below(key, cached.upper.as_ref()) {
            return None;
        }
        if !cached.asked_again.load(Ordering::Relaxed) {
            cached.asked_again.store(true, Ordering::Relaxed);
        }
        Some((lower.clone(), cached.content.clone()))
    }

    /// Keeps a bundle. The caller sees to it that it does not change meanwhile.
    pub(super) fn insert(&self, lower: Bytes, content: Bytes) {
        let mut state = self.state.write();
        state.put(lower, content);
        state.shrink(self.budget_bytes);
    }

    /// Keeps nothing any more.
    pub(super) fn clear(&self) {
        *self.state.write() = State::default();
    }

    /// Brings what is kept up to date with a batch that was written. What is not kept is not: a fold touches more than is read.
    pub(super) fn follow<'a>(&self, batch: impl Iterator<Item = (&'a Bytes, Option<&'a [u8]>)> + Clone) {
        let mut state = self.state.write();
        let kept = batch.clone().any(|(lower, _)| state.bundles.get(lower).is_some());
        if !kept {
            return;
        }
        for (lower, content) in batch {
            match content {
                Some(content) => state.put(lower.clone(), Bytes::copy_from_slice(content)),
                None => state.remove(lower),
            }
        }
        state.shrink(self.budget_bytes);
    }
}

impl State {
    fn put(&mut self, lower: Bytes, content: Bytes) {
        self.remove(&lower);
        let Ok(upper) = bundle::upper(&content) else { return };
        self.bytes += weight(&lower, &content);
        let upper = upper.map(Bytes::copy_from_slice);
        self.bundles.insert(lower, Cached { content, upper, asked_again: AtomicBool::new(false) });
    }

    fn remove(&mut self, lower: &Bytes) {
        if let Some(gone) = self.bundles.remove(lower) {
            self.bytes -= weight(lower, &gone.content);
        }
    }

    /// Gives up bundles that nobody asked for since the hand came by.
    fn shrink(&mut self, budget_bytes: u64) {
        while self.bytes > budget_bytes {
            let next = self.bundles.from(Bound::Excluded(&self.hand)).next();
            let Some((lower, cached)) = next.map(|(lower, cached)| (lower.clone(), cached)) else {
                if self.hand.is_empty() {
                    return;
                }
                self.hand = Bytes::new();
                continue;
            };
            let keep = cached.asked_again.swap(false, Ordering::Relaxed);
            if !keep {
                self.remove(&lower);
            }
            self.hand = lower;
        }
    }
}

fn weight(lower: &Bytes, content: &Bytes) -> u64 {
    (lower.len() + content.len()) as u64 + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(upper: &str, value_bytes: usize) -> Vec<u8> {
        let rows = [(Bytes::from_static(b"key"), Bytes::from(vec![0; value_bytes]))];
        bundle::encode(Some(&Bytes::copy_from_slice(upper.as_bytes())), &rows)
    }

    fn key(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    #[test]
    fn a_bundle_is_found_by_what_it_covers_and_nothing_else() {
        let cache = BundleCache::new(1 << 20);
        cache.insert(key("b"), content("d", 1).into());
        cache.insert(key("f"), content("h", 1).into());
        let found = |of: &str| cache.find(of.as_bytes()).map(|(lower, _)| lower);
        assert_eq!(found("a"), None);
        assert_eq!((found("b"), found("c")), (Some(key("b")), Some(key("b"))));
        assert_eq!((found("d"), found("e")), (None, None));
        assert_eq!(found("g"), Some(key("f")));
    }

    fn follow(cache: &BundleCache, batch: &[(Bytes, Option<Vec<u8>>)]) {
        cache.follow(batch.iter().map(|(lower, content)| (lower, content.as_deref())));
    }

    #[test]
    fn it_follows_what_is_written() {
        let cache = BundleCache::new(1 << 20);
        cache.insert(key("b"), content("d", 1).into());
        cache.insert(key("d"), content("f", 1).into());
        follow(&cache, &[(key("x"), Some(content("z", 1)))]);
        assert!(cache.find(b"y").is_none(), "nobody asked for it");
        let split = [(key("b"), Some(content("c", 1))), (key("c"), Some(content("f", 1))), (key("d"), None)];
        follow(&cache, &split);
        let found = |of: &str| cache.find(of.as_bytes()).map(|(lower, _)| lower);
        assert_eq!((found("b"), found("c"), found("e")), (Some(key("b")), Some(key("c")), Some(key("c"))));
    }

    #[test]
    fn the_budget_is_kept_and_what_is_asked_for_stays() {
        let cache = BundleCache::new(100 * 1024);
        for number in 0..1000_u32 {
            let lower = Bytes::copy_from_slice(format!("{number:04}").as_bytes());
            cache.insert(lower, content(&format!("{:04}", number + 1), 1024).into());
            assert!(cache.find(b"0000").is_some(), "asked for again and again");
        }
        let state = cache.state.read();
        assert!(state.bytes <= 100 * 1024 && state.bytes > 90 * 1024);
        let counted: u64 = state.bundles.iter().map(|(lower, cached)| weight(lower, &cached.content)).sum();
        assert_eq!(counted, state.bytes);
    }
}
