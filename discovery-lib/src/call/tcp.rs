//! A TCP connection by service name, for any protocol.

use tokio::{net::TcpStream, time::Instant};

use super::{
    CallOptions, TryError,
    connection::dial::dial,
    tries::{Deadline, Stop, Tries, TryOutcome},
    upstream::first_pick,
};
use crate::{Error, Pick, Pool};

impl Pool {
    /// Connects to an instance that was picked from this pool, for callers with tries of their own ([`tries`](crate::tries)). The deadline
    /// includes the resolution of its name ([`Limits::connect`](crate::tries::Limits::connect)). The result is for the caller to judge.
    ///
    /// Cancel safety: dropping the future cancels the connection attempt.
    ///
    /// # Errors
    ///
    /// Why there is no connection.
    pub async fn dial(&self, pick: &Pick, deadline: Deadline) -> Result<TcpStream, TryError> {
        dial(pick.instance(), self.names(), deadline).await
    }

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
    /// [`call_timeout`](CallOptions::call_timeout), [`ready_timeout`](CallOptions::ready_timeout),
    /// [`tries_max`](CallOptions::tries_max) and [`key`](CallOptions::key). The others have no effect.
    ///
    /// # Errors
    ///
    /// As [`Pool::connect`]; and an option is out of its bounds ([`Error::is_setting`]).
    pub async fn connect_with(&self, options: &CallOptions) -> Result<(TcpStream, Pick), Error> {
        options.check()?;
        let now = Instant::now();
        let mut tries = Tries::of_connection(options, now);
        let (mut pick, mut now) = first_pick(self, &mut tries, now).await?;
        loop {
            let limits = tries.start(&pick, now);
            let why = match dial(pick.instance(), self.names(), limits.connect()).await {
                Ok(stream) => return Ok((stream, pick)),
                Err(why) => why,
            };
            let outcome = TryOutcome::NotConnected(why);
            now = Instant::now();
            let next = tries.ended(&pick, &outcome, now);
            drop(pick.judge(outcome.verdict()));
            tracing::debug!(service = %self.service(), tried = ?tries.tried().last(), "try failed");
            let next =
                next.and_then(|_| self.pick_with(tries.picking()).map_err(|_| Stop::NobodyElse));
            pick = match next {
                Ok(pick) => pick,
                Err(stop) => return Err(tries.into_error(self.service(), stop)),
            };
        }
    }
}
