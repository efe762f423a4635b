//! What a worker has mined, and what of it is not saved yet.

use crate::wallet::{Batch, Coin};

/// Coins that are kept while redis does not answer: a day of one worker has some 20,000. Beyond them, new coins are lost.
const UNSAVED_MAX: usize = 50_000;

/// The counts of a worker since its start.
#[derive(Debug, Default)]
pub(super) struct Tally {
    hashes: u64,
    coins: u64,
    lost: u64,
    unsaved: Batch,
}

impl Tally {
    /// One more hash; a coin if it begins with 0.
    pub(super) fn mined(&mut self, hash: String, bytes: Vec<u8>) {
        self.hashes += 1;
        self.unsaved.hashes += 1;
        if hash.starts_with('0') {
            self.coins += 1;
            self.keep([Coin { hash, bytes }]);
        }
    }

    /// What is to be saved now, if anything. If that fails, the caller returns it with [`Tally::put_back`].
    pub(super) fn take(&mut self) -> Option<Batch> {
        let batch = std::mem::take(&mut self.unsaved);
        (batch.hashes > 0).then_some(batch)
    }

    /// Keeps a batch that was not saved, for the next time.
    pub(super) fn put_back(&mut self, batch: Batch) {
        let newer = std::mem::replace(&mut self.unsaved, batch);
        self.unsaved.hashes += newer.hashes;
        self.keep(newer.coins);
    }

    fn keep(&mut self, coins: impl IntoIterator<Item = Coin>) {
        for coin in coins {
            if self.unsaved.coins.len() < UNSAVED_MAX {
                self.unsaved.coins.push(coin);
            } else {
                self.lost += 1;
            }
        }
    }

    /// One line for people.
    pub(super) fn sentence(&self) -> String {
        let Self { hashes, coins, lost, unsaved } = self;
        let mut line = format!("{hashes} hashes, {coins} coins");
        if unsaved.coins.len() > 0 {
            line += &format!(", {} of them not saved yet", unsaved.coins.len());
        }
        if *lost > 0 {
            line += &format!(", {lost} lost");
        }
        line
    }
}
