//! Permits for connections to the agent, shared by all watches of a program.
//!
//! An agent closes the 201st connection of an address (`limits.http_max_conns_per_client`), and a blocking query holds one for its whole wait.
//! So there are permits for blocking queries, and a few for those that are answered at once. Without a permit, a watch polls every
//! [`QUEUE_MAX`] and queues again: with more services than permits, each change is still known within about that time, and permits circulate,
//! since each is returned with its answer.
//!
//! Consul does not notice that a client closed its connection: an abandoned query counts until its wait ends. Its permit is returned only
//! then.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout},
};

use crate::later::reached;

/// All connections that watches hold at once, so that several programs on one machine fit under the agent's 200.
const CONNECTIONS_MAX: usize = 64;
/// Of these, those for queries that are answered at once: first answers never queue behind blocking queries.
const AT_ONCE: usize = 8;
/// Of these, those that the HTTP client may open for a query that then uses another one that became free.
const SPARE: usize = 8;
/// How long a query may travel to the agent, where its wait begins.
const TRAVEL_MAX: Duration = Duration::from_secs(1);
/// How long a query queues for a permit before it is sent without a wait.
pub(super) const QUEUE_MAX: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Permits {
    waiting: Semaphore,
    abandoned: Mutex<Abandoned>,
    at_once: Semaphore,
}

/// A permit for one blocking query. Dropped before [`Permit::answered`], it stays taken for as long as the agent may hold the query.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    permits: &'a Permits,
    permit: Option<SemaphorePermit<'a>>,
    /// When the agent has answered at the latest.
    until: Instant,
}

/// When the agent ends the abandoned queries. Pure.
#[derive(Debug, Default)]
struct Abandoned(BinaryHeap<Reverse<Instant>>);

impl Permits {
    pub(super) fn new() -> Self {
        Self::of(CONNECTIONS_MAX - AT_ONCE - SPARE, AT_ONCE)
    }

    fn of(waiting: usize, at_once: usize) -> Self {
        let (waiting, at_once) = (Semaphore::new(waiting), Semaphore::new(at_once));
        Self { waiting, abandoned: Mutex::default(), at_once }
    }

    /// A permit for a query with this wait, first come, first served; none if there is none within [`QUEUE_MAX`].
    pub(super) async fn waiting(&self, wait: Duration) -> Option<Permit<'_>> {
        let permit = timeout(QUEUE_MAX, self.next()).await.ok()??;
        let until = Instant::now() + held_at_most(wait);
        Some(Permit { permits: self, permit: Some(permit), until })
    }

    /// A permit for a query that is answered at once. None only if the semaphore is closed, which never happens.
    pub(super) async fn at_once(&self) -> Option<SemaphorePermit<'_>> {
        self.at_once.acquire().await.ok()
    }

    /// The next permit to be free. Those of abandoned queries are returned while a query waits here.
    async fn next(&self) -> Option<SemaphorePermit<'_>> {
        let mut queued = std::pin::pin!(self.waiting.acquire());
        loop {
            let back_at = {
                let mut abandoned = self.abandoned();
                self.waiting.add_permits(abandoned.take_due(Instant::now()));
                abandoned.next_at()
            };
            tokio::select! {
                biased;
                permit = &mut queued => return permit.ok(),
                () = reached(back_at) => {}
            }
        }
    }

    fn abandoned(&self) -> MutexGuard<'_, Abandoned> {
        self.abandoned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long after it was sent the agent may hold a query with this wait: Consul adds up to a sixteenth.
fn held_at_most(wait: Duration) -> Duration {
    TRAVEL_MAX + wait + wait / 16
}

impl Permit<'_> {
    /// The query ended at the agent too: it answered, or closed the connection.
    pub(super) fn answered(mut self) {
        drop(self.permit.take());
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.forget();
            self.permits.abandoned().add(self.until);
        }
    }
}

impl Abandoned {
    fn add(&mut self, until: Instant) {
        self.0.push(Reverse(until));
    }

    /// The number that the agent has ended by now; they are no longer counted.
    fn take_due(&mut self, now: Instant) -> usize {
        let before = self.0.len();
        while self.next_at().is_some_and(|at| at <= now) {
            self.0.pop();
        }
        before - self.0.len()
    }

    fn next_at(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse(at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use tokio::time::sleep;

    use super::*;

    const WAIT: Duration = Duration::from_secs(16);

    #[tokio::test(start_paused = true)]
    async fn without_a_permit_the_queue_ends_after_its_time() {
        let permits = Permits::of(1, 1);
        let held = permits.waiting(WAIT).await;
        let start = Instant::now();
        assert!(permits.waiting(WAIT).await.is_none());
        assert_eq!(start.elapsed(), QUEUE_MAX);
        held.unwrap().answered();
        assert!(permits.waiting(WAIT).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn permits_circulate_in_the_order_of_the_queue() {
        let permits = Permits::of(1, 1);
        let order = Mutex::new(Vec::new());
        let ask = async |which: u32| {
            sleep(Duration::from_millis(u64::from(which))).await;
            for _ in 0..2 {
                let permit = permits.waiting(WAIT).await;
                order.lock().unwrap().push((which, permit.is_some()));
                sleep(QUEUE_MAX / 4).await;
                permit.unwrap().answered();
            }
        };
        tokio::join!(ask(1), ask(2), ask(3));
        let expected = [(1, true), (2, true), (3, true), (1, true), (2, true), (3, true)];
        assert_eq!(*order.lock().unwrap(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn first_answers_do_not_queue_behind_blocking_queries() {
        let permits = Permits::of(1, 1);
        let _held = permits.waiting(WAIT).await;
        let start = Instant::now();
        assert!(permits.at_once().await.is_some());
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn an_abandoned_query_keeps_its_permit_until_its_wait_ends() {
        let permits = Permits::of(1, 1);
        let start = Instant::now();
        drop(permits.waiting(WAIT).await);
        while permits.waiting(WAIT).await.is_none() {}
        assert_eq!(start.elapsed(), TRAVEL_MAX + WAIT * 17 / 16);
    }

    proptest! {
        /// For any sequence of queries, answers and cancellations, the agent never holds more queries than there are permits, and at the end all
        /// permits are returned.
        #[test]
        fn the_agent_never_holds_more_than_the_permits(
            steps in vec((0..4_u8, 1..40_u64, 0..20_u64), 0..60),
        ) {
            const PERMITS: usize = 4;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            runtime.block_on(async {
                let permits = Permits::of(PERMITS, 1);
                let (mut asked, mut left_behind) = (Vec::new(), Vec::<Instant>::new());
                for (what, wait, pause) in steps {
                    sleep(Duration::from_secs(pause)).await;
                    match what {
                        0 => drop(asked.pop().map(|(permit, _): (Permit<'_>, _)| permit.answered())),
                        1 => left_behind.extend(asked.pop().map(|(permit, ends_at)| {
                            drop(permit);
                            ends_at
                        })),
                        _ => {
                            let wait = Duration::from_secs(wait);
                            if let Some(permit) = permits.waiting(wait).await {
                                asked.push((permit, Instant::now() + wait * 17 / 16));
                            }
                        }
                    }
                    let now = Instant::now();
                    left_behind.retain(|ends_at| *ends_at > now);
                    assert!(asked.len() + left_behind.len() <= PERMITS);
                }
                asked.clear();
                sleep(Duration::from_secs(60)).await;
                for _ in 0..PERMITS {
                    asked.push((permits.waiting(WAIT).await.unwrap(), Instant::now()));
                }
            });
        }
    }
}
