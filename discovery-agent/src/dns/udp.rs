//! DNS over UDP: one loop. Answers are kept for as long as nothing changes, since most of those who ask ask the same.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::sleep;
use tracing::debug;

use super::{
    QUESTION_BYTES_MAX,
    datagrams::{Batch, Datagrams},
    message::{Ready, Transport},
    reply,
};
use crate::engine::{Engine, Mood};

/// How many questions' answers are kept. When there are more, all are dropped: they are cheap to make again.
const KEPT_MAX: usize = 512;
/// How many turns of one answer are kept.
const TURNS_MAX: usize = 8;
/// Longer answers are not kept.
const KEPT_BYTES_MAX: usize = 4096;
/// After an error of the socket itself the loop rests this long.
const ERROR_REST: Duration = Duration::from_millis(10);

/// Serves for as long as it is polled.
pub(crate) async fn serve_udp(socket: Datagrams, engine: Arc<Engine>) {
    let mut batch = Batch::new();
    let mut kept = Kept::default();
    loop {
        if let Err(err) = socket.receive(&mut batch).await {
            debug!(%err, "a datagram could not be received");
            sleep(ERROR_REST).await;
        }
        for (question, ends) in batch.iter() {
            if question.len() > QUESTION_BYTES_MAX {
                continue;
            }
            let Some(answer) = kept.reply(&engine, question) else { continue };
            if let Err(err) = socket.answer(answer, ends).await {
                debug!(%err, to = %ends.from, "an answer could not be sent");
            }
        }
    }
}

/// Answers that hold until something changes, by the question's bytes after its id.
#[derive(Debug, Default)]
struct Kept {
    changes: u64,
    by_question: HashMap<Vec<u8>, Turns>,
    /// What was written last, if it is not kept.
    last: Vec<u8>,
}

/// An answer in its turns: each begins with another of its records, so that clients that take the first do not all take the same.
#[derive(Debug)]
struct Turns {
    /// Those that were not asked for yet are empty.
    written: Vec<Vec<u8>>,
    next: usize,
}

impl Kept {
    fn reply(&mut self, engine: &Engine, question: &[u8]) -> Option<&[u8]> {
        let (id, asked) = question.split_at_checked(2)?;
        self.expire(engine);
        let turn = self.by_question.get_mut(asked).map_or(0, Turns::turn);
        let known = self.by_question.get(asked);
        if known.is_some_and(|turns| !turns.written[turn].is_empty()) {
            engine.count_question();
        } else {
            let ready = reply(engine, question, Transport::Udp, turn)?;
            if !ready.lasting || ready.bytes.len() > KEPT_BYTES_MAX {
                self.last = ready.bytes;
                return Some(&self.last);
            }
            self.keep(asked, turn, ready);
        }
        let answer = self.by_question.get_mut(asked)?.written.get_mut(turn)?;
        answer[..2].copy_from_slice(id);
        Some(answer)
    }

    /// Drops what may not be true any more.
    fn expire(&mut self, engine: &Engine) {
        // Read before the state is: what is found then is at least as new.
        let changes = engine.changes();
        if changes != self.changes || engine.conduct().mood != Mood::Well {
            self.by_question.clear();
            self.changes = changes;
        }
    }

    fn keep(&mut self, asked: &[u8], turn: usize, ready: Ready) {
        if let Some(turns) = self.by_question.get_mut(asked) {
            turns.written[turn] = ready.bytes;
            return;
        }
        if self.by_question.len() >= KEPT_MAX {
            self.by_question.clear();
        }
        let mut turns = Turns { written: vec![Vec::new(); ready.turns.min(TURNS_MAX)], next: 0 };
        let first = turns.turn();
        turns.written[first] = ready.bytes;
        self.by_question.insert(asked.to_owned(), turns);
    }
}

impl Turns {
    /// Whose turn it is; the next one is another's.
    fn turn(&mut self) -> usize {
        let turn = self.next;
        self.next = (turn + 1) % self.written.len();
        turn
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use hickory_proto::op::Message;

    use super::*;
    use crate::dns::tests::{question, state, with};

    fn engine(instances: usize) -> Engine {
        let state = state(instances);
        Engine::new(state.1, state.0, false)
    }

    /// What is kept must be what is found anew: asked so often that every turn comes twice.
    #[test]
    fn what_is_kept_is_what_would_be_found() {
        for (instances, payload) in
            [(0, None), (1, None), (5, None), (40, Some(1232)), (90, Some(4096))]
        {
            let engine = engine(instances);
            let mut kept = Kept::default();
            let mut firsts = BTreeSet::new();
            for id in 0..40u8 {
                let mut asked =
                    question("web.service.consul.", hickory_proto::rr::RecordType::SRV, payload);
                asked[1] = id;
                let answer = Message::from_vec(kept.reply(&engine, &asked).unwrap()).unwrap();
                assert_eq!(answer.metadata.id & 0xff, u16::from(id));
                let anew = reply(&engine, &asked, Transport::Udp, 0).unwrap();
                let anew = Message::from_vec(&anew.bytes).unwrap();
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
        let mut kept = Kept::default();
        let asked = question("web.service.consul.", hickory_proto::rr::RecordType::A, None);
        let count = |kept: &mut Kept| {
            Message::from_vec(kept.reply(&engine, &asked).unwrap()).unwrap().answers.len()
        };
        assert_eq!((count(&mut kept), count(&mut kept)), (1, 1));
        engine.apply(with("web", "more", "10.9.9.9", false)).unwrap();
        assert_eq!(count(&mut kept), 2);
    }
}
