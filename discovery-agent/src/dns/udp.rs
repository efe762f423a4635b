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
    /// What was answered last, if it is not kept.
    last: Vec<u8>,
}

/// The turns of one answer.
#[derive(Debug)]
struct Turns {
    next: usize,
    written: Vec<Vec<u8>>,
    count: usize,
}

impl Kept {
    fn reply(&mut self, engine: &Engine, question: &[u8]) -> Option<&[u8]> {
        let (id, asked) = question.split_at_checked(2)?;
        let changes = engine.changes();
        if changes != self.changes || engine.conduct().mood != Mood::Well {
            self.by_question.clear();
            self.changes = changes;
        }
        let mut turn = 0;
        if let Some(turns) = self.by_question.get_mut(asked) {
            turn = turns.next;
            turns.next = (turns.next + 1) % turns.count;
            if turn < turns.written.len() {
                engine.count_question();
                // Looked up again, since the borrow checker does not see that the first look ends here.
                let turns = self.by_question.get_mut(asked)?;
                turns.written[turn][..2].copy_from_slice(id);
                return Some(&turns.written[turn]);
            }
        }
        let ready = reply(engine, question, Transport::Udp, turn)?;
        self.keep(asked, &ready);
        self.last = ready.bytes;
        Some(&self.last)
    }

    fn keep(&mut self, asked: &[u8], ready: &Ready) {
        if !ready.lasting {
            return;
        }
        if let Some(turns) = self.by_question.get_mut(asked) {
            turns.written.push(ready.bytes.clone());
            return;
        }
        if self.by_question.len() >= KEPT_MAX {
            self.by_question.clear();
        }
        let count = ready.turns.min(TURNS_MAX);
        let turns = Turns { next: 1 % count, written: vec![ready.bytes.clone()], count };
        self.by_question.insert(asked.to_owned(), turns);
    }
}
