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
    /// Whether the last batch came back.
    is_failing: bool,
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

    /// What is to be saved now, if anything. The caller then calls [`Tally::saved`] or [`Tally::put_back`].
    pub(super) fn take(&mut self) -> Option<Batch> {
        let batch = std::mem::take(&mut self.unsaved);
        (batch.hashes > 0).then_some(batch)
    }

    /// The batch was saved.
    pub(super) fn saved(&mut self) {
        self.is_failing = false;
    }

    /// Keeps a batch that was not saved, for the next time.
    pub(super) fn put_back(&mut self, batch: Batch) {
        self.is_failing = true;
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
        let Self { hashes, coins, lost, unsaved, is_failing } = self;
        let mut line = format!("{hashes} hashes, {coins} coins");
        if *is_failing {
            line +=
                &format!(", {} of them not saved yet: redis does not answer", unsaved.coins.len());
        }
        if *lost > 0 {
            line += &format!(", {lost} lost");
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Mined { is_coin: bool },
        Saved,
        NotSaved,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => any::<bool>().prop_map(|is_coin| Step::Mined { is_coin }),
            1 => Just(Step::Saved),
            1 => Just(Step::NotSaved),
        ]
    }

    proptest! {
        #[test]
        fn all_that_was_mined_is_saved_once_or_waits(steps in prop::collection::vec(step(), 0..200)) {
            let (mut tally, mut saved, mut mined) = (Tally::default(), Batch::default(), Batch::default());
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Mined { is_coin } => {
                        let coin = Coin { hash: format!("{}{number}", if is_coin { 0 } else { 1 }), bytes: vec![] };
                        tally.mined(coin.hash.clone(), vec![]);
                        mined.hashes += 1;
                        mined.coins.extend(is_coin.then_some(coin));
                    }
                    Step::Saved => if let Some(batch) = tally.take() {
                        tally.saved();
                        saved.hashes += batch.hashes;
                        saved.coins.extend(batch.coins);
                    },
                    Step::NotSaved => if let Some(batch) = tally.take() {
                        tally.mined("1 while it was being saved".to_owned(), vec![]);
                        mined.hashes += 1;
                        tally.put_back(batch);
                    },
                }
            }
            if let Some(rest) = tally.take() {
                saved.hashes += rest.hashes;
                saved.coins.extend(rest.coins);
            }
            prop_assert_eq!(saved, mined);
            prop_assert_eq!(tally.take(), None);
        }
    }

    #[test]
    fn coins_beyond_the_limit_are_counted_as_lost() {
        let mut tally = Tally::default();
        for _ in 0..=UNSAVED_MAX {
            tally.mined("0".to_owned(), vec![]);
        }
        let all = UNSAVED_MAX + 1;
        assert_eq!(tally.sentence(), format!("{all} hashes, {all} coins, 1 lost"));
        let batch = tally.take().unwrap();
        assert_eq!(batch.coins.len(), UNSAVED_MAX);
        tally.put_back(batch);
        let waiting = format!("{UNSAVED_MAX} of them not saved yet: redis does not answer");
        assert_eq!(tally.sentence(), format!("{all} hashes, {all} coins, {waiting}, 1 lost"));
        drop(tally.take());
        tally.saved();
        assert_eq!(tally.sentence(), format!("{all} hashes, {all} coins, 1 lost"));
    }
}
