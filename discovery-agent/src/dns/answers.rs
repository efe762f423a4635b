//! Answers that hold until something changes, since most of those who ask ask the same: by transport and the question's bytes after its id.

use super::{
    message::{Prepared, Transport, answer_to},
    question,
};
use crate::{cache::Cache, engine::Engine};

/// How many turns of one answer are kept.
const TURNS_MAX: usize = 8;

type Key = (Transport, Vec<u8>);

/// The answers of one agent, to whoever asks.
#[derive(Debug, Default)]
pub(crate) struct Answers(Cache<Key, Turns>);

/// An answer in its turns: each begins with another of its records, so that clients that take the first do not all take the same.
#[derive(Debug)]
struct Turns {
    /// How many changes of the state it knows of.
    changes: u64,
    answer: Prepared,
    /// Those that were not asked for yet are empty.
    written: Vec<Vec<u8>>,
    next: usize,
}

impl Answers {
    /// Appends the answer to a question; `None` for what is no question at all. The state is locked only while records are collected.
    pub(crate) fn reply(
        &self,
        engine: &Engine,
        bytes: &[u8],
        via: Transport,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let (id, asked) = bytes.split_at_checked(2)?;
        // Read before the state is: what is found then is at least as new.
        let changes = engine.changes();
        let key = (via, asked.to_owned());
        let slot = self.0.slot(&key);
        let mut turns = slot.lock();
        if turns.as_ref().is_none_or(|turns| turns.changes != changes) {
            let question = match question::read(bytes) {
                Ok(question) => question,
                Err(refusal) => {
                    self.0.drop_slot(&key);
                    out.extend(refusal?);
                    return Some(());
                }
            };
            let answer = engine.read(|state| answer_to(&question, state));
            let answer = Prepared::new(question, answer, via);
            if !answer.is_lasting() {
                self.0.drop_slot(&key);
                out.extend(answer.write(0)?);
                return Some(());
            }
            *turns = Some(Turns::new(changes, answer));
        }
        let turns = turns.as_mut()?;
        let (turn, fresh) = turns.take()?;
        let start = out.len();
        out.extend_from_slice(turn);
        out[start..start + 2].copy_from_slice(id);
        if fresh {
            self.0.weigh(&key, &slot, turns.bytes());
        }
        Some(())
    }
}

impl Turns {
    fn new(changes: u64, answer: Prepared) -> Self {
        let written = vec![Vec::new(); answer.turns().min(TURNS_MAX)];
        Self { changes, answer, written, next: 0 }
    }

    /// The answer as its turn is now, and whether it is written for the first time.
    fn take(&mut self) -> Option<(&[u8], bool)> {
        let turn = self.next;
        self.next = (turn + 1) % self.written.len();
        let fresh = self.written[turn].is_empty();
        if fresh {
            self.written[turn] = self.answer.write(turn)?;
        }
        Some((&self.written[turn], fresh))
    }

    /// The records of the answer are about as long as one of its turns.
    fn bytes(&self) -> usize {
        self.written.iter().map(Vec::len).sum::<usize>() + self.written[0].len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use hickory_proto::{op::Message, rr::RecordType};

    use super::*;
    use crate::dns::tests::{ask, question, state, with};

    fn engine(instances: usize) -> Engine {
        let state = state(instances);
        Engine::new(state.1, state.0, false)
    }

    fn reply(answers: &Answers, engine: &Engine, asked: &[u8]) -> Message {
        let mut answer = Vec::new();
        answers.reply(engine, asked, Transport::Udp, &mut answer).unwrap();
        Message::from_vec(&answer).unwrap()
    }

    /// What is kept must be what is found anew: asked so often that every turn comes twice.
    #[test]
    fn what_is_kept_is_what_would_be_found() {
        for (instances, payload) in
            [(0, None), (1, None), (5, None), (40, Some(1232)), (90, Some(4096))]
        {
            let engine = engine(instances);
            let answers = Answers::default();
            let mut firsts = BTreeSet::new();
            for id in 0..40u8 {
                let mut asked = question("web.service.consul.", RecordType::SRV, payload);
                asked[1] = id;
                let answer = reply(&answers, &engine, &asked);
                assert_eq!(answer.metadata.id & 0xff, u16::from(id));
                let anew = engine.read(|state| ask(state, &asked, Transport::Udp, 0).0);
                assert_eq!(answer.answers.len(), anew.answers.len());
                assert_eq!(answer.metadata.truncation, anew.metadata.truncation);
                firsts.extend(answer.answers.first().map(ToString::to_string));
            }
            assert_eq!(firsts.len(), instances.min(TURNS_MAX), "each has its turn");
        }
    }

    #[test]
    fn a_change_is_seen_at_once() {
        let engine = engine(1);
        let answers = Answers::default();
        let asked = question("web.service.consul.", RecordType::A, None);
        let count = || reply(&answers, &engine, &asked).answers.len();
        assert_eq!((count(), count()), (1, 1));
        engine.apply(with("web", "more", "10.9.9.9", false)).unwrap();
        assert_eq!(count(), 2);
    }

    /// The answer is encoded once for all who ask, whatever the transport's limit: what is kept weighs what was written.
    #[test]
    fn a_long_answer_is_encoded_once_for_all_who_ask() {
        let engine = engine(1500);
        let answers = Answers::default();
        let asked = question("web.service.consul.", RecordType::SRV, None);
        let key = (Transport::Tcp, asked[2..].to_owned());
        let mut seen = Vec::new();
        for _ in 0..3 * TURNS_MAX {
            let mut answer = Vec::new();
            answers.reply(&engine, &asked, Transport::Tcp, &mut answer).unwrap();
            let slot = answers.0.slot(&key);
            let turns = slot.lock();
            seen.push(turns.as_ref().unwrap().written.iter().filter(|it| !it.is_empty()).count());
        }
        let expected: Vec<_> = (1..=3 * TURNS_MAX).map(|asked| asked.min(TURNS_MAX)).collect();
        assert_eq!(seen, expected);
    }
}
