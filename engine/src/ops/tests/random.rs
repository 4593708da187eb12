//! Files beside arrays of bytes, under chance.

use super::*;
use crate::file_system::{SeekFor, Sought};

const SIZE_MAX: u64 = 400 * KIB;
const FILES: u64 = 3;

struct Model {
    world: World,
    files: Vec<(InodeId, Vec<u8>)>,
    chance: Chance,
}

impl Model {
    fn any(&mut self) -> usize {
        usize::try_from(self.chance.below(FILES)).unwrap()
    }

    fn span(&mut self) -> Range<u64> {
        let from = self.chance.below(SIZE_MAX);
        let length = match self.chance.below(4) {
            0 => self.chance.below(300),
            1 => 4 * KIB,
            2 => self.chance.below(40 * KIB),
            _ => self.chance.below(200 * KIB),
        };
        let aligned = self.chance.below(2) == 0;
        let from = if aligned { from - from % (4 * KIB) } else { from };
        from..(from + length.max(1)).min(SIZE_MAX)
    }

    async fn write(&mut self) {
        let (at, span) = (self.any(), self.span());
        let data = noise(self.chance.next(), usize::try_from(span.end - span.start).unwrap());
        let stability = if self.chance.below(2) == 0 { Stability::Unstable } else { Stability::FileSync };
        let (file, content) = &mut self.files[at];
        self.world.write(*file, span.start, &data, stability).await;
        let (from, end) = (usize::try_from(span.start).unwrap(), usize::try_from(span.end).unwrap());
        content.resize(content.len().max(end), 0);
        content[from..end].copy_from_slice(&data);
    }

    async fn zero(&mut self) {
        let (at, span) = (self.any(), self.span());
        let size = if self.chance.below(3) == 0 { ZeroSize::Extend } else { ZeroSize::Keep };
        let (file, content) = &mut self.files[at];
        let zeroed = self.world.volume.zero(&Credential::root(), *file, span.clone(), size).await.unwrap();
        zeroed.durable().await.unwrap();
        let end = usize::try_from(span.end).unwrap();
        if size == ZeroSize::Extend {
            content.resize(content.len().max(end), 0);
        }
        let end = end.min(content.len());
        let from = usize::try_from(span.start).unwrap().min(end);
        content[from..end].fill(0);
    }

    async fn clone_range(&mut self) {
        let (from, to) = (self.any(), self.any());
        let unit = |chance: &mut Chance, end: u64| chance.below(end / (4 * KIB) + 1) * 4 * KIB;
        let size = self.files[from].1.len() as u64;
        let source_offset = unit(&mut self.chance, size).min(size - size % (4 * KIB));
        let destination_offset = unit(&mut self.chance, SIZE_MAX);
        let length = unit(&mut self.chance, size - source_offset);
        let range = CloneRange { source_offset, destination_offset, length };
        let (source, destination) = (self.files[from].0, self.files[to].0);
        let cloned = self.world.volume.clone_range(&Credential::root(), source, destination, range).await;
        let length = if length == 0 { size - source_offset } else { length };
        let end = destination_offset + length;
        let overlap = from == to && source_offset < end && destination_offset < source_offset + length;
        let uneven = !length.is_multiple_of(4 * KIB) && end < self.files[to].1.len() as u64;
        match cloned {
            Err(error) => assert!(overlap || uneven, "{error} {range:?} of {size}"),
            Ok(ticket) => {
                ticket.durable().await.unwrap();
                assert!(!overlap && !uneven, "{range:?} of {size}");
                let bounds =
                    |from: u64| usize::try_from(from).unwrap()..usize::try_from(from + length).unwrap();
                let data = self.files[from].1[bounds(source_offset)].to_vec();
                let content = &mut self.files[to].1;
                if !data.is_empty() {
                    content.resize(content.len().max(usize::try_from(end).unwrap()), 0);
                    content[bounds(destination_offset)].copy_from_slice(&data);
                }
            }
        }
    }

    async fn step(&mut self) {
        match self.chance.below(20) {
            0..=7 => self.write().await,
            8..=9 => self.zero().await,
            10..=12 => self.clone_range().await,
            13 => {
                let (at, size) = (self.any(), self.chance.below(SIZE_MAX));
                let (file, content) = &mut self.files[at];
                self.world.truncate(*file, size).await;
                content.resize(usize::try_from(size).unwrap(), 0);
            }
            14..=15 => self.world.fold().await,
            16 => {
                let at = self.any();
                let file = self.files[at].0;
                drop(self.world.volume.commit(file).await.unwrap());
            }
            17 => {
                let at = self.any();
                let to = if self.chance.below(2) == 0 { Tier::Standard } else { Tier::InfrequentAccess };
                self.world.transition(self.files[at].0, to).await;
            }
            18 => self.world.collect().await,
            _ => {
                let at = self.any();
                let name = format!("file-{at}");
                self.world.remove(&name).await;
                self.files[at] = (self.world.create(&name).await, Vec::new());
            }
        }
    }

    async fn check(&self, when: &str) {
        self.world.check();
        for (number, (file, content)) in self.files.iter().enumerate() {
            let read = self.world.read(*file).await;
            let differs = read.iter().zip(content).position(|(a, b)| a != b);
            assert_eq!((read.len(), differs), (content.len(), None), "file {number}, {when}");
        }
    }

    /// Where SEEK finds a hole there are zeros.
    fn check_holes(&self) {
        for (file, content) in &self.files {
            let mut at = 0;
            while let Sought::At(hole) = self.world.volume.seek(*file, at, SeekFor::Hole).unwrap() {
                let data = match self.world.volume.seek(*file, hole, SeekFor::Data).unwrap() {
                    Sought::At(data) => data,
                    Sought::EndOfFile | Sought::BeyondEnd => content.len() as u64,
                };
                let hole = usize::try_from(hole).unwrap()..usize::try_from(data).unwrap();
                assert!(content[hole].iter().all(|byte| *byte == 0));
                at = data;
            }
        }
    }
}

#[tokio::test]
async fn files_hold_what_was_written_cloned_and_punched() {
    for seed in 1..=4 {
        let world = World::new().await;
        let mut files = Vec::new();
        for number in 0..FILES {
            files.push((world.create(&format!("file-{number}")).await, Vec::new()));
        }
        let mut model = Model { world, files, chance: Chance::new(seed) };
        for step in 0..150 {
            model.step().await;
            model.check(&format!("seed {seed}, step {step}")).await;
            model.check_holes();
        }
    }
}
