//! DNS over UDP: one loop.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use tracing::debug;

use super::{
    Answers, QUESTION_BYTES_MAX,
    datagrams::{Batch, Datagrams},
    message::Transport,
    reply,
};
use crate::engine::Engine;

/// After an error of the socket itself the loop rests this long.
const ERROR_REST: Duration = Duration::from_millis(10);

/// Serves for as long as it is polled.
pub(crate) async fn serve_udp(socket: Datagrams, engine: Arc<Engine>, answers: Arc<Answers>) {
    let mut batch = Batch::new();
    let mut answer = Vec::new();
    loop {
        if let Err(err) = socket.receive(&mut batch).await {
            debug!(%err, "a datagram could not be received");
            sleep(ERROR_REST).await;
        }
        for (question, ends) in batch.iter() {
            if question.len() > QUESTION_BYTES_MAX {
                continue;
            }
            answer.clear();
            if reply(&engine, &answers, question, Transport::Udp, &mut answer).is_none() {
                continue;
            }
            if let Err(err) = socket.answer(&answer, ends).await {
                debug!(%err, to = %ends.from, "an answer could not be sent");
            }
        }
    }
}
