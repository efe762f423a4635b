//! An open-loop load of HTTP GETs: requests start on schedule, whether or not earlier ones have finished, so that a slow server gets the same
//! load as a fast one, and an outage is sampled throughout. There are no retries, and no request is left out.

mod connections;
mod report;

use std::{error::Error, fmt, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{StatusCode, Uri};
use tokio::{
    sync::oneshot,
    task::{JoinError, JoinSet},
    time::{self, Instant},
};
use tokio_util::task::AbortOnDropHandle;

pub use self::connections::Connections;
use self::connections::Target;
use self::report::Tally;
pub use self::report::{Failure, Report};

/// The configuration of a load, and the condition for success.
#[derive(Clone)]
pub struct LoadSettings {
    /// Requests per second.
    pub rate: f64,
    /// Reused connections, or a new one per request.
    pub connections: Connections,
    /// A request without a valid answer within this time after its schedule has failed.
    pub deadline: Duration,
    /// The maximum number of requests in flight. A request above it fails at once.
    pub in_flight_max: usize,
    /// Validates an answer; the error describes what is wrong with it.
    pub right: Judge,
}

/// Describes what is wrong with an answer.
pub type Judge = Arc<dyn Fn(StatusCode, &Bytes) -> Result<(), String> + Send + Sync>;

impl Default for LoadSettings {
    /// 100 requests per second on reused connections; an answer with status 200 within 5 s is a success.
    fn default() -> Self {
        Self {
            rate: 100.0,
            connections: Connections::Kept,
            deadline: Duration::from_secs(5),
            in_flight_max: 4096,
            right: ok(),
        }
    }
}

impl fmt::Debug for LoadSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadSettings")
            .field("rate", &self.rate)
            .field("connections", &self.connections)
            .field("deadline", &self.deadline)
            .field("in_flight_max", &self.in_flight_max)
            .finish_non_exhaustive()
    }
}

/// Accepts any answer with status 200.
pub fn ok() -> Judge {
    Arc::new(|status, _| match status {
        StatusCode::OK => Ok(()),
        status => Err(format!("status {status}")),
    })
}

/// Accepts an answer with status 200 and this number of lines, each ended by a newline.
pub fn ok_with_lines(lines: usize) -> Judge {
    let ok = ok();
    Arc::new(move |status, body| {
        ok(status, body)?;
        let found = body.iter().filter(|byte| **byte == b'\n').count();
        if found == lines && body.ends_with(b"\n") {
            Ok(())
        } else {
            Err(format!("{found} lines in place of {lines}"))
        }
    })
}

/// A running load. Dropping it stops the load without a report.
#[derive(Debug)]
pub struct Load {
    stop: oneshot::Sender<Instant>,
    task: AbortOnDropHandle<Report>,
}

impl Load {
    /// Starts the load at once.
    ///
    /// # Errors
    ///
    /// The URL is not `http://host[:port][/path]`.
    ///
    /// # Panics
    ///
    /// The rate is not a positive number.
    pub fn start(url: &str, settings: LoadSettings) -> io::Result<Self> {
        assert!(settings.rate > 0.0 && settings.rate.is_finite(), "rate: {}", settings.rate);
        let url: Uri = url.parse().map_err(io::Error::other)?;
        let target = Target::new(&url, settings.connections)?;
        let (stop, stop_rx) = oneshot::channel();
        let task = tokio::spawn(run(Arc::new(target), settings, stop_rx));
        Ok(Self { stop, task: AbortOnDropHandle::new(task) })
    }

    /// Stops the load, waits for the requests in flight (at most their deadline), and returns the report.
    ///
    /// # Errors
    ///
    /// The load task panicked.
    pub async fn stop(self) -> io::Result<Report> {
        // The load task has ended: its result is below.
        self.stop.send(Instant::now()).ok();
        self.task.await.map_err(io::Error::other)
    }
}

async fn run(
    target: Arc<Target>,
    settings: LoadSettings,
    mut stop: oneshot::Receiver<Instant>,
) -> Report {
    let started_at = Instant::now();
    let mut tally = Tally::new(started_at);
    let mut in_flight = JoinSet::new();
    let mut stopped_at = None;
    for number in 0_u64.. {
        let due_at = started_at + Duration::from_secs_f64(number as f64 / settings.rate);
        while stopped_at.is_none() {
            tokio::select! {
                biased;
                at = &mut stop => stopped_at = Some(at.unwrap_or(started_at)),
                () = time::sleep_until(due_at) => break,
                Some(outcome) = in_flight.join_next() => tally.add(joined(outcome)),
            }
        }
        // Requests that were due before the stop are sent, even if the load is behind its schedule.
        if stopped_at.is_some_and(|at| due_at > at) {
            break;
        }
        // A load behind its schedule does not reach the wait for answers above.
        while let Some(outcome) = in_flight.try_join_next() {
            tally.add(joined(outcome));
        }
        if in_flight.len() >= settings.in_flight_max {
            tally.add(LoadResult::failed(
                due_at,
                "not sent: too many requests in flight".to_owned(),
            ));
        } else {
            in_flight.spawn(one(target.clone(), settings.clone(), due_at));
        }
    }
    while let Some(outcome) = in_flight.join_next().await {
        tally.add(joined(outcome));
    }
    tally.report(Instant::now())
}

/// The result of one request.
#[derive(Debug)]
struct LoadResult {
    due_at: Instant,
    done_at: Instant,
    answer: Result<(), String>,
}

impl LoadResult {
    fn failed(due_at: Instant, why: String) -> Self {
        Self { due_at, done_at: Instant::now(), answer: Err(why) }
    }
}

async fn one(target: Arc<Target>, settings: LoadSettings, due_at: Instant) -> LoadResult {
    let answer = match time::timeout_at(due_at + settings.deadline, target.get()).await {
        Ok(Ok((status, body))) => (settings.right)(status, &body),
        Ok(Err(error)) => Err(chain(&*error)),
        Err(_) => Err(format!("no answer in {:?}", settings.deadline)),
    };
    LoadResult { due_at, done_at: Instant::now(), answer }
}

/// A task fails only by a panic, which only the validator can cause.
fn joined(outcome: Result<LoadResult, JoinError>) -> LoadResult {
    outcome.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests;
