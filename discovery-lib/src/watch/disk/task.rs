//! A watch with a snapshot on disk: reads it at the start, and writes it while it runs. It makes no decision of its own.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    join, select,
    sync::watch::Receiver,
    time::{Instant, sleep, sleep_until},
};
use tracing::{debug, info, warn};

use super::{
    file::SnapshotFile,
    opening::{Event, Opening, Publication},
    writes::{Next, Writes},
};
use crate::{
    Error, Random, Watched,
    error::Kind,
    watch::{datacenters::Datacenters, publish::Publisher},
};

/// Without an answer of Consul for this time, the snapshot from disk is published. A call waits for the first answer for 1 s by default, and an
/// agent answers within milliseconds; a query to one that hangs fails only after 10 s.
const FIRST_ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// Watches until it is dropped. A write that is under way then is finished on its thread.
pub(in crate::watch) async fn watch(
    datacenters: Datacenters,
    publisher: Publisher,
    random: Random,
    file: SnapshotFile,
) {
    let late = Error::new(
        Kind::Timeout,
        format!("no answer from {} within {FIRST_ANSWER_WITHIN:?}", datacenters.endpoints()),
    );
    let opening = Mutex::new(Opening::new());
    let happened = |event| {
        let publication = opening.lock().unwrap_or_else(PoisonError::into_inner).step(event);
        match publication {
            Some(Publication::Notice(notice)) => publisher.publish(notice),
            Some(Publication::Recalled(snapshot, error)) => publisher.recall(snapshot, error),
            None => {}
        }
    };
    join!(
        datacenters.watch(|notice| happened(Event::Notice(notice)), random),
        async { happened(Event::Read(file.load().await)) },
        async {
            sleep(FIRST_ANSWER_WITHIN).await;
            happened(Event::Late(late));
        },
        keep(&file, publisher.subscribe()),
    );
}

/// Writes what is published, for as long as it is.
async fn keep(file: &SnapshotFile, mut watched_rx: Receiver<Watched>) {
    let mut writes = Writes::default();
    loop {
        let latest = watched_rx.borrow_and_update().snapshot.clone();
        let changed = match writes.next(latest.as_ref(), Instant::now()) {
            Next::Wait => watched_rx.changed().await,
            Next::SleepUntil(at) => select! {
                changed = watched_rx.changed() => changed,
                () = sleep_until(at) => Ok(()),
            },
            Next::Write(snapshot) => {
                let written = file.save(snapshot.clone()).await;
                let now = Instant::now();
                match written {
                    Ok(()) if writes.written(snapshot, now) => {
                        info!(service = %file.service(), "snapshots are written to disk again");
                    }
                    Ok(()) => {}
                    Err(err) => report(file, &err, writes.failed(now)),
                }
                Ok(())
            }
        };
        if changed.is_err() {
            return;
        }
    }
}

/// One warning for a run of failures.
fn report(file: &SnapshotFile, err: &std::io::Error, is_first: bool) {
    let (service, path) = (file.service(), file.path());
    if is_first {
        warn!(%service, file = %path.display(), error = %err, "snapshot could not be written to disk; retrying");
    } else {
        debug!(%service, file = %path.display(), error = %err, "snapshot could not be written to disk");
    }
}
