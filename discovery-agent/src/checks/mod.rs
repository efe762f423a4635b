//! Checks that look: one task each, for as long as the check is registered as it is. The first run comes at a random time within the interval, as
//! in Consul, so that checks registered together do not run together; whoever wants to be seen at once registers with a status.

mod http;
mod tcp;

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use consul_wire::check::CheckStatus;
use tokio::{task::JoinHandle, time::sleep};

use crate::{
    engine::Engine,
    state::{CheckTarget, Command},
    supervise::supervise,
};

/// What a run of a check found: how it stands, and what it says.
type Finding = (CheckStatus, String);

/// Runs every check that looks, for as long as it is polled.
pub(crate) async fn run(engine: Arc<Engine>) {
    let mut running: HashMap<String, Running> = HashMap::new();
    loop {
        let wanted: HashMap<String, CheckTarget> = engine.read(|state| {
            state.targets().map(|(id, target)| (id.to_owned(), target.clone())).collect()
        });
        running.retain(|id, running| wanted.get(id) == Some(&running.target));
        for (id, target) in wanted {
            if let Entry::Vacant(vacant) = running.entry(id) {
                let look = look(vacant.key().clone(), target.clone(), engine.clone());
                let task = tokio::spawn(supervise("check", engine.clone(), look));
                vacant.insert(Running { target, task });
            }
        }
        engine.retargeted.notified().await;
    }
}

/// A check's task, which ends with this.
struct Running {
    target: CheckTarget,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Looks again and again.
async fn look(id: String, target: CheckTarget, engine: Arc<Engine>) {
    sleep(target.interval().mul_f64(fastrand::f64())).await;
    loop {
        let (status, output) = match &target {
            CheckTarget::Http(check) => http::look(check).await,
            CheckTarget::Tcp(check) => tcp::look(check).await,
        };
        tracing::debug!(check = %id, %status, "a check ran");
        let observed =
            Command::Observe { check: id.clone(), target: target.clone(), status, output };
        if let Err(refusal) = engine.apply(observed) {
            tracing::error!(check = %id, %refusal, "what a check found was refused");
        }
        sleep(target.interval()).await;
    }
}
