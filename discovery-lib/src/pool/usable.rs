//! The instances that a pool picks from, as a stream, for balancers of other crates.

use std::{
    future::pending,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_core::Stream;
use tokio::sync::watch;

use super::{
    Pool,
    state::{Published, Start},
};
use crate::{Instance, member::MemberId, unfold::Unfold};

/// The running copies that are usable at one time.
pub(crate) type Usable = Vec<(MemberId, Arc<Instance>)>;

/// What is usable now, and then after each publication of the pool, which may have changed nothing of it. It never ends, and keeps the pool fed.
pub(crate) struct UsableChanges(Pin<Box<dyn Stream<Item = Usable> + Send + Sync>>);

struct Reader {
    pool: Pool,
    changed: watch::Receiver<Start>,
}

impl Pool {
    pub(crate) fn usable_changes(&self) -> UsableChanges {
        let mut changed = self.state.changed();
        changed.mark_changed();
        let reader = Reader { pool: self.clone(), changed };
        UsableChanges(Box::pin(Unfold::new(reader, next)))
    }
}

async fn next(mut reader: Reader) -> (Reader, Usable) {
    loop {
        if reader.changed.changed().await.is_err() {
            pending::<()>().await;
        }
        let usable = usable(&reader.pool.state.published());
        if let Some(usable) = usable {
            return (reader, usable);
        }
    }
}

/// The members of the best rank by the status in Consul, regardless of ejections. None before the first answer.
fn usable(published: &Published) -> Option<Usable> {
    published.watched.snapshot.as_ref()?;
    let members = || published.members.iter().filter(|member| !member.is_dropped());
    let Some(best) = members().map(|member| member.rank_in_consul()).min() else {
        return Some(Vec::new());
    };
    let members = members().filter(|member| member.rank_in_consul() == best);
    Some(members.map(|member| (member.stats.id(), Arc::clone(&member.instance))).collect())
}

impl Stream for UsableChanges {
    type Item = Usable;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Usable>> {
        self.0.as_mut().poll_next(cx)
    }
}
