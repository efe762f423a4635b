//! Connections to the agent, shared by all watches of a program.
//!
//! An agent closes the 201st connection of an address (`limits.http_max_conns_per_client`), and a question that waits for a change holds one
//! for its whole wait. So there are seats for questions that wait, and a few places for those that are answered at once. Who finds no seat
//! asks for an answer at once every [`TURN`], and stands in line again: with more services than seats, each change is still known within
//! about a turn, and seats go round, since each is given up with its answer.

use std::time::Duration;

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

/// All connections that watches hold at once, so that several programs on one machine fit under the agent's 200.
const CONNECTIONS_MAX: usize = 64;
/// Of these, those for questions that are answered at once: first answers never wait for a seat.
const AT_ONCE: usize = 8;
/// Of these, those that the HTTP client may open for a question that then finds another one free.
const SPARE: usize = 8;
/// How long a question stands in line for a seat before it is asked without waiting.
pub(super) const TURN: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Seats {
    waiting: Semaphore,
    at_once: Semaphore,
}

impl Seats {
    pub(super) fn new() -> Self {
        Self::of(CONNECTIONS_MAX - AT_ONCE - SPARE, AT_ONCE)
    }

    fn of(waiting: usize, at_once: usize) -> Self {
        Self { waiting: Semaphore::new(waiting), at_once: Semaphore::new(at_once) }
    }

    /// A seat for a question that waits, first come, first served; none when it is not one's turn within [`TURN`].
    pub(super) async fn waiting(&self) -> Option<SemaphorePermit<'_>> {
        timeout(TURN, self.waiting.acquire()).await.ok()?.ok()
    }

    /// A place for a question that is answered at once. None only when the semaphore is closed, which nobody does.
    pub(super) async fn at_once(&self) -> Option<SemaphorePermit<'_>> {
        self.at_once.acquire().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_seat_is_told_after_a_turn() {
        let seats = Seats::of(1, 1);
        let held = seats.waiting().await;
        let start = Instant::now();
        assert!(seats.waiting().await.is_none());
        assert_eq!(start.elapsed(), TURN);
        drop(held);
        assert!(seats.waiting().await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn seats_go_round_in_the_order_of_the_line() {
        let seats = Seats::of(1, 1);
        let order = std::sync::Mutex::new(Vec::new());
        let sit = async |who: u32| {
            sleep(Duration::from_millis(u64::from(who))).await;
            for _ in 0..2 {
                let seat = seats.waiting().await;
                order.lock().unwrap().push((who, seat.is_some()));
                sleep(TURN / 4).await;
            }
        };
        tokio::join!(sit(1), sit(2), sit(3));
        let expected = [(1, true), (2, true), (3, true), (1, true), (2, true), (3, true)];
        assert_eq!(*order.lock().unwrap(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn first_answers_do_not_stand_in_line_for_a_seat() {
        let seats = Seats::of(1, 1);
        let _held = seats.waiting().await;
        let start = Instant::now();
        assert!(seats.at_once().await.is_some());
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
