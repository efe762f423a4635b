//! A blocking query that is pending while a row does something else.

use std::time::Duration;

use testkit::http::{Answer, Request};
use tokio::{task::JoinSet, time};

use crate::target::Target;

/// Long enough for a change to wake a query.
const A_WHILE: Duration = Duration::from_millis(700);
/// The time limit for an answer. A change wakes a query in milliseconds; slow machines need more.
const WOKEN_WITHIN: Duration = Duration::from_secs(10);

/// A query that was sent. Dropping it closes its connection.
#[derive(Debug)]
pub(crate) struct PendingQuery(JoinSet<Answer>);

impl Target {
    /// Sends the query, and does not wait for its answer.
    pub(crate) fn pending(&self, path: &str) -> PendingQuery {
        let (request, addr, path) = (Request::get(path), self.http_addr(), path.to_owned());
        let mut task = JoinSet::new();
        task.spawn(async move {
            request.send(addr).await.unwrap_or_else(|error| panic!("{path}: {error}"))
        });
        PendingQuery(task)
    }
}

impl PendingQuery {
    /// Its answer, which must come soon.
    pub(crate) async fn woken(mut self) -> Answer {
        match time::timeout(WOKEN_WITHIN, self.0.join_next()).await {
            Ok(Some(Ok(answer))) => answer,
            Ok(ended) => panic!("{ended:?}"),
            Err(_) => panic!("the query was not woken"),
        }
    }

    /// Asserts that there is no answer for a while.
    pub(crate) async fn stays_pending(&mut self) {
        if let Ok(ended) = time::timeout(A_WHILE, self.0.join_next()).await {
            panic!("the query was woken: {ended:?}");
        }
    }
}
