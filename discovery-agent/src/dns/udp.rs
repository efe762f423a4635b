//! DNS over UDP: one loop. Answers are kept for as long as nothing changes, since most of those who ask ask the same.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{net::UdpSocket, time::sleep};
use tracing::debug;

use super::{
    message::{Ready, Transport},
    reply,
};
use crate::engine::{Engine, Mood};

/// Longer questions are cut, and so no questions.
const QUESTION_BYTES_MAX: usize = 4096;
/// How many questions' answers are kept. When there are more, all are dropped: they are cheap to make again.
const KEPT_MAX: usize = 1024;
/// How many turns of one answer are kept.
const TURNS_MAX: usize = 8;
/// After an error of the socket itself the loop rests this long.
const ERROR_REST: Duration = Duration::from_millis(10);

/// Serves for as long as it is polled.
pub(crate) async fn serve_udp(socket: UdpSocket, engine: Arc<Engine>) {
    let mut buffer = [0; QUESTION_BYTES_MAX];
    let mut kept = Kept::default();
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(err) => {
                debug!(%err, "a datagram could not be received");
                sleep(ERROR_REST).await;
                continue;
            }
        };
        let Some(answer) = kept.reply(&engine, &buffer[..length]) else { continue };
        if let Err(err) = socket.send_to(answer, from).await {
            debug!(%err, to = %from, "an answer could not be sent");
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
    written: Vec<Vec<u8>>,
    /// How many there will be.
    count: usize,
    next: usize,
}

impl Kept {
    fn reply(&mut self, engine: &Engine, question: &[u8]) -> Option<&[u8]> {
        let (id, asked) = question.split_at_checked(2)?;
        self.expire(engine);
        let turn = self.by_question.get_mut(asked).map_or(0, Turns::turn);
        if self.by_question.get(asked).is_none_or(|turns| turn >= turns.written.len()) {
            let ready = reply(engine, question, Transport::Udp, turn)?;
            if !ready.lasting {
                self.last = ready.bytes;
                return Some(&self.last);
            }
            self.keep(asked, ready);
        } else {
            engine.count_question();
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

    fn keep(&mut self, asked: &[u8], ready: Ready) {
        if let Some(turns) = self.by_question.get_mut(asked) {
            turns.written.push(ready.bytes);
            return;
        }
        if self.by_question.len() >= KEPT_MAX {
            self.by_question.clear();
        }
        let count = ready.turns.min(TURNS_MAX);
        let turns = Turns { written: vec![ready.bytes], count, next: 1 % count };
        self.by_question.insert(asked.to_owned(), turns);
    }
}

impl Turns {
    /// Whose turn it is; the next one is another's.
    fn turn(&mut self) -> usize {
        let turn = self.next;
        self.next = (turn + 1) % self.count;
        turn
    }
}
