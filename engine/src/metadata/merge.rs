//! Sorted layers as one: for each key the newest layer that knows it wins.

use super::overlay::Entry;
use crate::error::Result;

/// A sorted layer without repeated keys.
pub(crate) type Layer<'a> = Box<dyn Iterator<Item = Result<Entry>> + 'a>;

/// Walks all layers at once, with one entry of each in memory. Deletions come out as entries, too.
pub(crate) struct Merge<'a> {
    newest_first: Vec<Head<'a>>,
}

/// A layer and its next entry; a layer that has ended is left out.
struct Head<'a> {
    next: Result<Entry>,
    rest: Layer<'a>,
}

impl<'a> Head<'a> {
    fn new(mut layer: Layer<'a>) -> Option<Self> {
        layer.next().map(|next| Head { next, rest: layer })
    }
}

impl<'a> Merge<'a> {
    pub(crate) fn new(newest_first: Vec<Layer<'a>>) -> Self {
        Merge { newest_first: newest_first.into_iter().filter_map(Head::new).collect() }
    }

    /// The newest of the layers with the least key, or the first that failed.
    fn least(&self) -> Option<usize> {
        let mut least: Option<(usize, &bytes::Bytes)> = None;
        for (position, head) in self.newest_first.iter().enumerate() {
            match &head.next {
                Ok((key, _)) if least.is_none_or(|(_, least)| key < least) => least = Some((position, key)),
                Ok(_) => {}
                Err(_) => return Some(position),
            }
        }
        least.map(|(position, _)| position)
    }

    /// Takes the next entry of a layer.
    fn take(&mut self, position: usize) -> Option<Result<Entry>> {
        let head = self.newest_first.get_mut(position)?;
        match head.rest.next() {
            Some(next) => Some(std::mem::replace(&mut head.next, next)),
            None => Some(self.newest_first.remove(position).next),
        }
    }
}

impl Iterator for Merge<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        let position = self.least()?;
        let layers = self.newest_first.len();
        let winner = self.take(position)?;
        if let Ok((key, _)) = &winner {
            // What older layers have for the key; a layer that ends moves those behind it.
            let mut older = position + 1 - (layers - self.newest_first.len());
            while let Some(head) = self.newest_first.get(older) {
                let same = head.next.as_ref().is_ok_and(|(other, _)| other == key);
                let layers = self.newest_first.len();
                if same {
                    self.take(older);
                }
                older += 1 - (layers - self.newest_first.len());
            }
        }
        Some(winner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use bytes::Bytes;

    fn layer(entries: &'static [(&str, Option<&str>)]) -> Layer<'static> {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        Box::new(entries.iter().map(move |(key, value)| Ok((bytes(key), value.map(bytes)))))
    }

    #[test]
    fn the_newest_layer_wins_and_all_keys_come_in_order() {
        let merge = Merge::new(vec![
            layer(&[("b", None), ("d", Some("new"))]),
            layer(&[]),
            layer(&[("a", Some("old")), ("b", Some("old")), ("d", Some("old")), ("e", Some("old"))]),
        ]);
        let text: Vec<String> = merge
            .map(|entry| {
                let (key, value) = entry.unwrap();
                let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
                format!("{}={}", text(key), value.map_or("deleted".to_owned(), text))
            })
            .collect();
        assert_eq!(text, ["a=old", "b=deleted", "d=new", "e=old"]);
    }

    #[test]
    fn an_error_in_a_layer_comes_out_instead_of_a_hole() {
        let broken: Layer<'_> = Box::new(std::iter::once(Err(Error::corrupt("test"))));
        let mut merge = Merge::new(vec![layer(&[("a", None)]), broken]);
        assert!(matches!(merge.next(), Some(Err(Error::Corrupt { .. }))));
    }
}
