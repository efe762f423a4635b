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

use hickory_proto::op::ResponseCode;

use self::message::Transport;
pub(crate) use self::{answers::Answers, datagrams::Datagrams, tcp::serve_tcp, udp::serve_udp};
use crate::engine::{Engine, Mood};

/// A longer message is no question: hardly one has 300 bytes.
const QUESTION_BYTES_MAX: usize = 4096;

/// Appends the answer to a question, in whatever mood the agent is; `None`: say nothing.
fn reply(
    engine: &Engine,
    answers: &Answers,
    bytes: &[u8],
    via: Transport,
    out: &mut Vec<u8>,
) -> Option<()> {
    engine.count_question();
    match engine.conduct().mood {
        Mood::Well => answers.reply(engine, bytes, via, out),
        Mood::Frozen => None,
        Mood::Failing(_) => {
            out.extend(message::code(bytes, ResponseCode::ServFail)?);
            Some(())
        }
    }
}
