//! Permits for connections to the agent, shared by all watches of a program.
//!
//! An agent closes the 201st connection of an address (`limits.http_max_conns_per_client`), and a question that waits for a change holds one
//! for its whole wait. So there are permits for questions that wait, and a few for those that are answered at once. Without a permit to wait,
//! a watch polls every [`TURN`] and queues again: with more services than permits, each change is still known within about a turn, and
//! permits go round, since each is given back with its answer.
//!
//! Consul does not notice that a client closed its connection: a question that was given up keeps its place until its wait ends. Its permit
//! is given back only then.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep_until, timeout},
};

/// All connections that watches hold at once, so that several programs on one machine fit under the agent's 200.
const CONNECTIONS_MAX: usize = 64;
/// Of these, those for questions that are answered at once: first answers never queue behind questions that wait.
const AT_ONCE: usize = 8;
/// Of these, those that the HTTP client may open for a question that then finds another one free.
const SPARE: usize = 8;
/// How long a question may be on its way to the agent, where its wait begins.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
/// How long a question queues for a permit before it is asked without waiting.
pub(super) const TURN: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Permits {
    waiting: Semaphore,
    given_up: Mutex<GivenUp>,
    at_once: Semaphore,
}

/// A permit for one question that waits. Dropped before [`Permit::answered`], it stays taken for as long as the agent may hold the question.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    permits: &'a Permits,
    permit: Option<SemaphorePermit<'a>>,
    /// The agent has answered by then.
    until: Instant,
}

/// When the agent lets go of the questions that were given up. Pure.
#[derive(Debug, Default)]
struct GivenUp(BinaryHeap<Reverse<Instant>>);

impl Permits {
    pub(super) fn new() -> Self {
        Self::of(CONNECTIONS_MAX - AT_ONCE - SPARE, AT_ONCE)
    }

    fn of(waiting: usize, at_once: usize) -> Self {
        let (waiting, at_once) = (Semaphore::new(waiting), Semaphore::new(at_once));
        Self { waiting, given_up: Mutex::default(), at_once }
    }

    /// A permit for a question that waits so long, first come, first served; none when there is none within [`TURN`].
    pub(super) async fn waiting(&self, wait: Duration) -> Option<Permit<'_>> {
        let permit = timeout(TURN, self.next()).await.ok()??;
        let until = Instant::now() + held_at_most(wait);
        Some(Permit { permits: self, permit: Some(permit), until })
    }

    /// A permit for a question that is answered at once. None only when the semaphore is closed, which nothing does.
    pub(super) async fn at_once(&self) -> Option<SemaphorePermit<'_>> {
        self.at_once.acquire().await.ok()
    }

    /// The next permit to be free. Those of questions that were given up come back while somebody queues for them.
    async fn next(&self) -> Option<SemaphorePermit<'_>> {
        let mut queued = std::pin::pin!(self.waiting.acquire());
        loop {
            let back_at = {
                let mut given_up = self.given_up();
                self.waiting.add_permits(given_up.take_due(Instant::now()));
                given_up.next_at()
            };
            let due = async {
                match back_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                permit = &mut queued => return permit.ok(),
                () = due => {}
            }
        }
    }

    fn given_up(&self) -> MutexGuard<'_, GivenUp> {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long after it was sent the agent may hold a question that waits so long: it adds up to a sixteenth.
fn held_at_most(wait: Duration) -> Duration {
    ON_ITS_WAY + wait + wait / 16
}

impl Permit<'_> {
    /// The question is over at the agent too: it answered, or closed the connection.
    pub(super) fn answered(mut self) {
        drop(self.permit.take());
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.forget();
            self.permits.given_up().add(self.until);
        }
    }
}

impl GivenUp {
    fn add(&mut self, until: Instant) {
        self.0.push(Reverse(until));
    }

    /// How many the agent has let go of by now; they are no longer counted.
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
    async fn without_a_permit_it_is_told_after_a_turn() {
        let permits = Permits::of(1, 1);
        let held = permits.waiting(WAIT).await;
        let start = Instant::now();
        assert!(permits.waiting(WAIT).await.is_none());
        assert_eq!(start.elapsed(), TURN);
        held.unwrap().answered();
        assert!(permits.waiting(WAIT).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn permits_go_round_in_the_order_of_the_queue() {
        let permits = Permits::of(1, 1);
        let order = Mutex::new(Vec::new());
        let ask = async |which: u32| {
            sleep(Duration::from_millis(u64::from(which))).await;
            for _ in 0..2 {
                let permit = permits.waiting(WAIT).await;
                order.lock().unwrap().push((which, permit.is_some()));
                sleep(TURN / 4).await;
                permit.unwrap().answered();
            }
        };
        tokio::join!(ask(1), ask(2), ask(3));
        let expected = [(1, true), (2, true), (3, true), (1, true), (2, true), (3, true)];
        assert_eq!(*order.lock().unwrap(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn first_answers_do_not_queue_behind_questions_that_wait() {
        let permits = Permits::of(1, 1);
        let _held = permits.waiting(WAIT).await;
        let start = Instant::now();
        assert!(permits.at_once().await.is_some());
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_given_up_keeps_its_permit_until_its_wait_is_over() {
        let permits = Permits::of(1, 1);
        let start = Instant::now();
        drop(permits.waiting(WAIT).await);
        while permits.waiting(WAIT).await.is_none() {}
        assert_eq!(start.elapsed(), ON_ITS_WAY + WAIT * 17 / 16);
    }

    proptest! {
        /// Whatever is asked, answered and given up: the agent never holds more questions than there are permits, and in the end all
        /// permits are back.
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
