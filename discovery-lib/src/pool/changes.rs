//! The changes of a pool as a stream.

use std::{future::pending, sync::Arc};

use tokio::sync::watch;

use super::{Pool, state::Start};
use crate::{Changes, Watched};

/// A reader of the changes of a pool.
struct Reader {
    pool: Pool,
    changed: watch::Receiver<Start>,
    last: Option<Watched>,
}

impl Pool {
    /// The changes of its instances and of the failure since the last answer: the current state first. The stream keeps the pool fed.
    pub fn changes(&self) -> Changes {
        let mut changed = self.state.changed();
        changed.mark_changed();
        Changes::new(Reader { pool: self.clone(), changed, last: None }, next)
    }

    /// The current state.
    pub(super) fn watched(&self) -> Watched {
        let published = || self.state.published().watched.clone();
        let latest = self.feed.as_ref().and_then(|feed| feed.latest());
        match (latest, &self.state.keep) {
            (Some(latest), Some(keep)) => keep.watched(latest),
            (Some(latest), None) => latest,
            (None, _) => published(),
        }
    }
}

async fn next(mut reader: Reader) -> (Reader, Watched) {
    loop {
        if reader.changed.changed().await.is_err() {
            pending::<()>().await;
        }
        let watched = reader.pool.watched();
        if reader.last.as_ref().is_none_or(|last| !is_same(last, &watched)) {
            reader.last = Some(watched.clone());
            return (reader, watched);
        }
    }
}

/// Whether both are equal except for their age.
fn is_same(one: &Watched, other: &Watched) -> bool {
    let instances = |it: &Watched| it.snapshot.as_ref().map(|it| Arc::clone(&it.instances));
    one.failure.is_some() == other.failure.is_some() && instances(one) == instances(other)
}
