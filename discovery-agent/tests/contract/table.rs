//! The table of rows, and its execution on one target.

use std::{any::Any, env, pin::Pin, sync::Arc, time::Duration};

use testkit::consul::print_note;
use tokio::{sync::Semaphore, task::JoinSet, time};

use crate::target::{Kind, Target};

/// The number of rows that share a target and run concurrently: they spend most of their time waiting.
const SIDE_BY_SIDE: usize = 12;
/// The same for rows with their own target: each starts a Consul.
const TARGETS_AT_ONCE: usize = 3;
/// The time limit of a row.
const ROW_WITHIN: Duration = Duration::from_secs(60);

type Running<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// One behaviour. It panics if the target behaves differently.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    name: &'static str,
    run: for<'a> fn(&'a Target) -> Running<'a>,
    alone: bool,
    ours_is_better: Option<&'static str>,
}

/// A row of this async function.
macro_rules! row {
    ($function:ident) => {
        crate::table::Row::new(concat!(module_path!(), "::", stringify!($function)), |target| {
            Box::pin($function(target))
        })
    };
}
pub(crate) use row;

impl Row {
    pub(crate) const fn new(
        name: &'static str,
        run: for<'a> fn(&'a Target) -> Running<'a>,
    ) -> Self {
        Self { name, run, alone: false, ours_is_better: None }
    }

    /// Runs the row on its own fresh target, because it concerns the whole node.
    pub(crate) const fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// The embedded agent deliberately behaves differently; the row has an expectation for each.
    pub(crate) const fn ours_is_better(mut self, why: &'static str) -> Self {
        self.ours_is_better = Some(why);
        self
    }

    /// The name without the common path.
    fn short_name(&self) -> &'static str {
        self.name.trim_start_matches("contract::rows::")
    }
}

/// Runs the table on a target of this kind, prints a report, and returns the failures, one line each.
pub(crate) async fn run(kind: &Kind, table: &[&[Row]]) -> Vec<String> {
    let wanted = env::var("CONTRACT").unwrap_or_default();
    let rows: Vec<Row> =
        table.iter().copied().flatten().filter(|row| row.name.contains(&wanted)).copied().collect();
    assert!(!rows.is_empty(), "no row has {wanted:?} (CONTRACT) in its name");
    let started_at = time::Instant::now();
    let shared = Arc::new(Target::start(kind).await);
    let (side_by_side, targets) =
        (Arc::new(Semaphore::new(SIDE_BY_SIDE)), Arc::new(Semaphore::new(TARGETS_AT_ONCE)));
    let mut running = JoinSet::new();
    for row in rows.iter().copied() {
        let limit = if row.alone { targets.clone() } else { side_by_side.clone() };
        let (kind, shared) = (kind.clone(), shared.clone());
        running.spawn(async move {
            let _permit = limit.acquire_owned().await;
            let target = if row.alone { Arc::new(Target::start(&kind).await) } else { shared };
            (row, held(row, target).await)
        });
    }
    let mut failed = Vec::new();
    while let Some(ended) = running.join_next().await {
        match ended {
            Ok((_, Ok(()))) => {}
            Ok((row, Err(why))) => failed.push(format!("{kind}: {}: {why}", row.short_name())),
            Err(error) => failed.push(format!("{kind}: no target: {error}")),
        }
    }
    failed.sort();
    report(kind, &rows, failed.len(), started_at.elapsed());
    failed
}

/// Runs one row in its own task, so that a panic does not affect other rows.
async fn held(row: Row, target: Arc<Target>) -> Result<(), String> {
    let mut task = JoinSet::new();
    task.spawn(async move { (row.run)(&target).await });
    match time::timeout(ROW_WITHIN, task.join_next()).await {
        Ok(Some(Ok(())) | None) => Ok(()),
        Ok(Some(Err(error))) => Err(panic_text(error.into_panic())),
        Err(_) => Err(format!("not done in {ROW_WITHIN:?}")),
    }
}

fn panic_text(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => {
            panic.downcast_ref::<&str>().map_or("a panic without text", |text| text).to_owned()
        }
    }
}

fn report(kind: &Kind, rows: &[Row], failed: usize, took: Duration) {
    let held = rows.len() - failed;
    print_note(&format!(
        "contract on {kind}: {held} rows hold, {failed} fail ({:.1} s)",
        took.as_secs_f64()
    ));
    for row in rows {
        if let (Kind::Embedded, Some(why)) = (kind, row.ours_is_better) {
            print_note(&format!("  better than Consul: {}: {why}", row.short_name()));
        }
    }
}
