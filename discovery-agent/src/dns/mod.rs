//! DNS: the zone `consul.`, and the reverse of what is in it, over UDP and TCP on one port.

mod answer;
mod answers;
mod datagrams;
mod message;
mod name;
mod places;
mod question;
mod record;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;
mod zone;

use std::sync::Arc;

use self::answers::Answers;
pub(crate) use self::{
    datagrams::Datagrams,
    message::{Transport, code as bare_answer},
    tcp::serve_tcp,
    udp::serve_udp,
};
use crate::{engine::Engine, fault::Faults};

/// A longer message is no question: hardly one has 300 bytes.
const QUESTION_BYTES_MAX: usize = 4096;

/// What answers questions, whatever the transport.
#[derive(Debug)]
pub(crate) struct Resolver {
    engine: Arc<Engine>,
    answers: Answers,
    faults: Arc<Faults>,
}

impl Resolver {
    pub(crate) fn new(engine: Arc<Engine>, faults: Arc<Faults>) -> Self {
        Self { engine, answers: Answers::default(), faults }
    }

    /// Appends the answer to a question; `None`: say nothing.
    async fn reply(&self, question: &[u8], via: Transport, out: &mut Vec<u8>) -> Option<()> {
        self.engine.count_question();
        let answer = |out: &mut Vec<u8>| self.answers.reply(&self.engine, question, via, out);
        self.faults.intercept_dns(question, via, out, answer).await
    }
}
