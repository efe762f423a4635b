//! Waiting for the state of a watch.

use discovery::{Instance, Watch, Watched};
use tokio::time::timeout;

use crate::world::SOON;

/// Waits until this holds, and returns the state.
#[track_caller]
pub(crate) fn until(
    watch: &mut Watch,
    what: impl Fn(&Watched) -> bool,
) -> impl Future<Output = Watched> {
    let caller = std::panic::Location::caller();
    async move {
        let waited = timeout(SOON, async {
            loop {
                let watched = watch.current();
                if what(&watched) {
                    return watched;
                }
                watch.changed().await;
            }
        });
        let Ok(watched) = waited.await else {
            let known = watch.current();
            panic!("{caller}: not within {SOON:?}, but {:?}, {:?}", shown(&known), known.failure)
        };
        watched
    }
}

/// Waits until exactly these instances are known: `host:port status`.
#[track_caller]
pub(crate) fn until_instances(
    watch: &mut Watch,
    expected: &[&str],
) -> impl Future<Output = Watched> {
    until(watch, move |watched| shown(watched) == expected)
}

/// `host:port status` of each known instance.
pub(crate) fn shown(watched: &Watched) -> Vec<String> {
    let Some(snapshot) = &watched.snapshot else { return vec!["nothing known".into()] };
    let show = |instance: &Instance| format!("{instance} {}", instance.status);
    snapshot.instances.iter().map(|instance| show(instance)).collect()
}
