//! Active checks: one task per check, until its definition changes. The first run is at a random time within the interval, as
//! in Consul, so that checks registered together do not run together. A registration may contain an initial status.

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

/// The result of a check run: status and output.
type CheckResult = (CheckStatus, String);

/// Runs every active check, for as long as it is polled.
pub(crate) async fn run(engine: Arc<Engine>) {
    let mut running: HashMap<String, Running> = HashMap::new();
    loop {
        let wanted: HashMap<String, CheckTarget> = engine.read(|state| {
            state.targets().map(|(id, target)| (id.to_owned(), target.clone())).collect()
        });
        running.retain(|id, running| wanted.get(id) == Some(&running.target));
        for (id, target) in wanted {
            if let Entry::Vacant(vacant) = running.entry(id) {
                let task = repeat(vacant.key().clone(), target.clone(), engine.clone());
                let task = tokio::spawn(supervise("check", engine.clone(), task));
                vacant.insert(Running { target, task });
            }
        }
        engine.checks_changed.notified().await;
    }
}

/// The task of a check. Dropping it aborts the task.
struct Running {
    target: CheckTarget,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Runs a check at its interval.
async fn repeat(id: String, target: CheckTarget, engine: Arc<Engine>) {
    sleep(target.interval().mul_f64(fastrand::f64())).await;
    loop {
        let (status, output) = match &target {
            CheckTarget::Http(check) => http::run(check).await,
            CheckTarget::Tcp(check) => tcp::run(check).await,
        };
        tracing::debug!(check = %id, %status, "check result");
        let observed =
            Command::Observe { check: id.clone(), target: target.clone(), status, output };
        if let Err(refusal) = engine.apply(observed) {
            tracing::error!(check = %id, error = %refusal, "the result of a check was refused");
        }
        sleep(target.interval()).await;
    }
}
