//! Fault injection for the tests of clients: wrappers around the answers of HTTP and DNS, which do not know about faults.

use std::{future::pending, io};

use hickory_proto::op::ResponseCode;
use http::StatusCode;
use tokio::sync::{Notify, watch};

use crate::{
    dns::{Transport, bare_answer},
    http::{Caller, Reply},
};

/// The fault mode: how HTTP requests and DNS questions are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultMode {
    /// They are answered.
    Off,
    /// They are accepted and not answered.
    Frozen,
    /// Requests are answered with this status, questions with SERVFAIL.
    Failing(StatusCode),
}

/// The faults of one agent.
#[derive(Debug)]
pub(crate) struct Faults {
    mode: watch::Sender<FaultMode>,
    cut: Notify,
}

impl Faults {
    pub(crate) fn new() -> Self {
        Self { mode: watch::Sender::new(FaultMode::Off), cut: Notify::new() }
    }

    pub(crate) fn set(&self, mode: FaultMode) {
        self.mode.send_replace(mode);
    }

    /// Closes all HTTP connections.
    pub(crate) fn cut_connections(&self) {
        self.cut.notify_waiters();
    }

    /// Returns once connections are closed. A call of `cut_connections` counts from now on, even before the future is polled.
    pub(crate) fn cut(&self) -> impl Future<Output = ()> {
        self.cut.notified()
    }

    /// Wraps the answer to an HTTP request: it is held back while the agent is frozen, and replaced while the agent fails, also during a
    /// blocking query. Returns an error if the client disconnected while the agent was frozen, so that its permit is released.
    pub(crate) async fn intercept(
        &self,
        caller: &Caller,
        answer: impl Future<Output = Reply>,
    ) -> io::Result<Reply> {
        if let Some(status) = self.thawed_for(caller).await? {
            return Ok(failure(status));
        }
        let reply = tokio::select! {
            // Most answers are immediate, and need no subscription to the mode.
            biased;
            reply = answer => reply,
            status = self.fails() => return Ok(failure(status)),
        };
        Ok(self.thawed_for(caller).await?.map_or(reply, failure))
    }

    /// Wraps the answer to a DNS question, which `answer` appends. While the agent is frozen, a question over TCP waits and one over UDP is
    /// lost.
    pub(crate) async fn intercept_dns(
        &self,
        question: &[u8],
        via: Transport,
        out: &mut Vec<u8>,
        answer: impl FnOnce(&mut Vec<u8>) -> Option<()>,
    ) -> Option<()> {
        let mode = match via {
            Transport::Udp => *self.mode.borrow(),
            Transport::Tcp => self.thawed().await,
        };
        match mode {
            FaultMode::Off => answer(out),
            FaultMode::Frozen => None,
            FaultMode::Failing(_) => {
                out.extend(bare_answer(question, ResponseCode::ServFail)?);
                Some(())
            }
        }
    }

    /// The status to fail with, if any, once the agent is not frozen.
    async fn thawed_for(&self, caller: &Caller) -> io::Result<Option<StatusCode>> {
        let mode = tokio::select! {
            biased;
            mode = self.thawed() => mode,
            () = caller.has_sent_all() => return Err(io::ErrorKind::ConnectionAborted.into()),
        };
        Ok(mode.status())
    }

    async fn thawed(&self) -> FaultMode {
        self.until(|mode| (mode != FaultMode::Frozen).then_some(mode)).await
    }

    async fn fails(&self) -> StatusCode {
        self.until(FaultMode::status).await
    }

    /// Returns what `look` finds in the mode, once it finds something.
    async fn until<T>(&self, look: impl Fn(FaultMode) -> Option<T>) -> T {
        // Most calls find it now, and need no subscription.
        if let Some(found) = look(*self.mode.borrow()) {
            return found;
        }
        let mut modes = self.mode.subscribe();
        loop {
            if let Some(found) = look(*modes.borrow_and_update()) {
                return found;
            }
            if modes.changed().await.is_err() {
                // The sender belongs to these faults and still exists.
                return pending().await;
            }
        }
    }
}

impl FaultMode {
    const fn status(self) -> Option<StatusCode> {
        match self {
            Self::Failing(status) => Some(status),
            Self::Off | Self::Frozen => None,
        }
    }
}

fn failure(status: StatusCode) -> Reply {
    Reply::text(status, "fault injection: this agent is set to fail")
}
