//! DNS over UDP: one loop.

use std::{sync::Arc, time::Duration};

use datagrams::{Batch, Datagrams};
use tokio::time::sleep;
use tracing::debug;

use super::{QUESTION_BYTES_MAX, Resolver, Transport};

/// The pause after an error of the socket itself.
const ERROR_REST: Duration = Duration::from_millis(10);

/// Serves for as long as it is polled.
pub(crate) async fn serve_udp(socket: Datagrams, resolver: Arc<Resolver>) {
    let mut batch = Batch::new();
    let mut answer = Vec::new();
    loop {
        if let Err(err) = socket.receive(&mut batch).await {
            debug!(error = %err, "a datagram could not be received");
            sleep(ERROR_REST).await;
        }
        for (question, ends) in batch.iter() {
            if question.len() > QUESTION_BYTES_MAX {
                continue;
            }
            answer.clear();
            if resolver.reply(question, Transport::Udp, &mut answer).await.is_none() {
                continue;
            }
            if let Err(err) = socket.answer(&answer, ends).await {
                debug!(error = %err, remote = %ends.from, "an answer could not be sent");
            }
        }
    }
}
