//! A cache of DNS answers, by transport and by the bytes of the question after its id. An answer is valid until the state changes.

use super::{
    message::{Prepared, Transport, answer_to},
    question,
};
use crate::{cache::Cache, engine::Engine};

/// The maximum number of cached rotations of one answer.
const TURNS_MAX: usize = 8;

type Key = (Transport, Vec<u8>);

/// The answers of one agent.
#[derive(Debug, Default)]
pub(crate) struct Answers(Cache<Key, Turns>);

/// The rotations of one answer. Each starts with another record, so that clients that use the first record are spread over all.
#[derive(Debug)]
struct Turns {
    /// The number of state changes when the answer was found.
    changes: u64,
    answer: Prepared,
    /// A rotation that was not requested yet is empty.
    written: Vec<Vec<u8>>,
    next: usize,
}

impl Answers {
    /// Appends the answer to a question. Returns `None` if the message is not a question. The state is locked only while records are collected.
    pub(crate) fn reply(
        &self,
        engine: &Engine,
        bytes: &[u8],
        via: Transport,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let (id, asked) = bytes.split_at_checked(2)?;
        // Read before the state, so that the answer is at least as new as this number.
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

    /// The answer in its next rotation, and whether it is encoded for the first time.
    fn take(&mut self) -> Option<(&[u8], bool)> {
        let turn = self.next;
        self.next = (turn + 1) % self.written.len();
        let fresh = self.written[turn].is_empty();
        if fresh {
            self.written[turn] = self.answer.write(turn)?;
        }
        Some((&self.written[turn], fresh))
    }

    /// The records of the answer take about as much memory as one encoded rotation.
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

    /// A cached answer equals a new one. Each rotation is requested twice.
    #[test]
    fn a_cached_answer_equals_a_new_one() {
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
                let uncached = engine.read(|state| ask(state, &asked, Transport::Udp, 0).0);
                assert_eq!(answer.answers.len(), uncached.answers.len());
                assert_eq!(answer.metadata.truncation, uncached.metadata.truncation);
                firsts.extend(answer.answers.first().map(ToString::to_string));
            }
            assert_eq!(firsts.len(), instances.min(TURNS_MAX), "each record comes first once");
        }
    }

    #[test]
    fn a_change_invalidates_the_cache() {
        let engine = engine(1);
        let answers = Answers::default();
        let asked = question("web.service.consul.", RecordType::A, None);
        let count = || reply(&answers, &engine, &asked).answers.len();
        assert_eq!((count(), count()), (1, 1));
        engine.apply(with("web", "more", "10.9.9.9", false)).unwrap();
        assert_eq!(count(), 2);
    }

    /// The answer is encoded once for all callers, even above the limit of the transport: the cache counts what was encoded.
    #[test]
    fn a_long_answer_is_encoded_once_for_all_callers() {
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
