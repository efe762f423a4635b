//! A blocking query that stands while a row does something else.

use std::time::Duration;

use testkit::http::{Answer, Request};
use tokio::{task::JoinSet, time};

use crate::target::Target;

/// Long enough for what would have woken a query to do so.
const A_WHILE: Duration = Duration::from_millis(700);
/// What wakes a query does so in milliseconds; slow machines get more.
const WOKEN_WITHIN: Duration = Duration::from_secs(10);

/// One that has been asked. Dropped: its connection is closed.
#[derive(Debug)]
pub(crate) struct Standing(JoinSet<Answer>);

impl Target {
    /// Asks, and does not wait for the answer.
    pub(crate) fn standing(&self, path: &str) -> Standing {
        let (request, addr, path) = (Request::get(path), self.http_addr(), path.to_owned());
        let mut task = JoinSet::new();
        task.spawn(async move {
            request.send(addr).await.unwrap_or_else(|error| panic!("{path}: {error}"))
        });
        Standing(task)
    }
}

impl Standing {
    /// Its answer, which must come soon.
    pub(crate) async fn woken(mut self) -> Answer {
        match time::timeout(WOKEN_WITHIN, self.0.join_next()).await {
            Ok(Some(Ok(answer))) => answer,
            Ok(ended) => panic!("{ended:?}"),
            Err(_) => panic!("the query was not woken"),
        }
    }

    /// No answer comes for a while.
    pub(crate) async fn sleeps(&mut self) {
        if let Ok(ended) = time::timeout(A_WHILE, self.0.join_next()).await {
            panic!("the query was woken: {ended:?}");
        }
    }
}
