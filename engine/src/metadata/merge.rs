//! Sorted layers as one: for each key the newest layer that knows it wins.

use std::iter::Peekable;

use super::overlay::Entry;
use crate::error::Result;

/// A sorted layer without repeated keys.
pub(crate) type Layer<'a> = Box<dyn Iterator<Item = Result<Entry>> + 'a>;

/// Walks all layers at once, with one entry of each in memory. Deletions come out as entries, too.
pub(crate) struct Merge<'a> {
    newest_first: Vec<Peekable<Layer<'a>>>,
}

impl<'a> Merge<'a> {
    pub(crate) fn new(newest_first: Vec<Layer<'a>>) -> Self {
        Merge { newest_first: newest_first.into_iter().map(Iterator::peekable).collect() }
    }
}

impl Iterator for Merge<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut least: Option<bytes::Bytes> = None;
        for layer in &mut self.newest_first {
            match layer.peek() {
                Some(Ok((key, _))) if least.as_ref().is_none_or(|least| key < least) => {
                    least = Some(key.clone())
                }
                Some(Err(_)) => return layer.next(),
                Some(Ok(_)) | None => {}
            }
        }
        let least = least?;
        let mut winner = None;
        for layer in &mut self.newest_first {
            let same = layer.next_if(|entry| entry.as_ref().is_ok_and(|(key, _)| *key == least));
            winner = winner.or(same);
        }
        winner
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
