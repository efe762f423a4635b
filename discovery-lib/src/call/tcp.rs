//! A TCP connection by service name, for any protocol.

use std::time::Duration;

use http::Method;
use tokio::{net::TcpStream, time::Instant};

use super::{
    CallOptions, FailedTry,
    connection::dial::dial,
    tries::{Failure, Stop, Tries, outcome::TryOutcome},
    upstream::first_pick,
};
use crate::{Error, Pick, PickOptions, Pool};

impl Pool {
    /// Connects to the best member, within 250 ms; when that fails, to another, at most ten in all. Before the first list
    /// of members it waits for that, at most 1 s.
    ///
    /// The caller reports the result to the pick: [`Pick::succeed`] and [`Pick::fail`] for a short exchange; for a long one [`Pick::judge`] once
    /// it is known to work, and hold what that returns until the connection ends.
    ///
    /// Cancel safety: dropping the future cancels the connection attempt.
    ///
    /// # Errors
    ///
    /// There is no member to connect to, or none that was tried accepted: [`Error::is_no_instance`], and [`Error::tried`] lists them.
    pub async fn connect(&self) -> Result<(TcpStream, Pick), Error> {
        self.connect_with(&CallOptions::default()).await
    }

    /// Connects as [`Pool::connect`] does, with other options: [`connect_timeout`](CallOptions::connect_timeout),
    /// [`call_timeout`](CallOptions::call_timeout), [`ready_timeout`](CallOptions::ready_timeout) and
    /// [`tries_max`](CallOptions::tries_max). The others have no effect.
    ///
    /// # Errors
    ///
    /// As [`Pool::connect`]; and an option is out of its bounds ([`Error::is_setting`]).
    pub async fn connect_with(&self, options: &CallOptions) -> Result<(TcpStream, Pick), Error> {
        options.check()?;
        let now = Instant::now();
        let mut tries = Tries::new(Method::CONNECT, options, now);
        let (mut pick, mut now) =
            first_pick(self, PickOptions::new().repeatable(), &tries, now).await?;
        loop {
            let connect = tries.until().at_most(options.connect_timeout, now);
            let why = match dial(pick.instance(), self.names(), connect).await {
                Ok(stream) => return Ok((stream, pick)),
                Err(why) => why,
            };
            let (verdict, retry) = TryOutcome::NotConnected.judge();
            let tried = FailedTry { instance: pick.instance().clone(), why };
            tracing::debug!(service = %self.service(), %tried, "try failed");
            let failed = Failure {
                member: pick.member(),
                tried,
                retry,
                wait: Duration::ZERO,
                reused: false,
            };
            drop(pick.judge(verdict));
            now = Instant::now();
            let next = tries.failed(failed, now).and_then(|_| {
                self.pick_with(PickOptions::new().apart_from(tries.apart_from()))
                    .map_err(|_| Stop::NobodyElse)
            });
            pick = match next {
                Ok(pick) => pick,
                Err(stop) => return Err(tries.into_error(self.service(), stop)),
            };
        }
    }
}
