//! DNS: the zone `consul.` and its reverse zones, over UDP and TCP on one port.

mod answer;
mod answers;
mod message;
mod name;
mod permits;
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
    message::{Transport, code as bare_answer},
    tcp::serve_tcp,
    udp::serve_udp,
};
use crate::{engine::Engine, fault::Faults};

/// The maximum length of a question, in bytes. Real questions hardly reach 300.
const QUESTION_BYTES_MAX: usize = 4096;

/// Answers questions of any transport.
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

    /// Appends the answer to a question. Returns `None` if there is nothing to send.
    async fn reply(&self, question: &[u8], via: Transport, out: &mut Vec<u8>) -> Option<()> {
        self.engine.count_dns_query();
        let answer = |out: &mut Vec<u8>| self.answers.reply(&self.engine, question, via, out);
        self.faults.intercept_dns(question, via, out, answer).await
    }
}
