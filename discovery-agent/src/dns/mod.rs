//! DNS: the zone `consul.`, and the reverse of what is in it, over UDP and TCP on one port.

mod answer;
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

pub(crate) use self::{datagrams::Datagrams, tcp::serve_tcp, udp::serve_udp};
use hickory_proto::op::ResponseCode;

use self::message::{Ready, Transport};
use crate::engine::{Engine, Mood};

/// A longer message is no question: hardly one has 300 bytes.
const QUESTION_BYTES_MAX: usize = 4096;

/// What to do about a question, in whatever mood the agent is; `None`: say nothing.
fn reply(engine: &Engine, bytes: &[u8], via: Transport, turn: usize) -> Option<Ready> {
    engine.count_question();
    let mood = engine.conduct().mood;
    match mood {
        Mood::Well => engine.read(|state| message::reply(bytes, via, state, turn)),
        Mood::Frozen => None,
        Mood::Failing(_) => message::code(bytes, ResponseCode::ServFail).map(Ready::once),
    }
}
