//! The tries of a call that are under way: one, or two when the request is hedged. All in the task of the call.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
};

use tokio::time::{Instant, sleep_until};

/// The tries under way. Dropping it cancels them.
pub(super) struct Outstanding<'a, F> {
    /// In place, without an allocation: most calls have one try.
    first: Pin<&'a mut Option<F>>,
    second: Option<Pin<Box<F>>>,
}

/// What comes next in a call.
pub(super) enum Event<T> {
    /// A try has ended.
    Ended(T),
    /// It is time for the next try.
    Due,
}

impl<'a, F: Future> Outstanding<'a, F> {
    pub(super) fn new(place: Pin<&'a mut Option<F>>) -> Self {
        Self { first: place, second: None }
    }

    /// Starts a try. At most two may be under way.
    pub(super) fn start(&mut self, attempt: F) {
        if self.first.is_none() {
            self.first.set(Some(attempt));
        } else {
            self.second = Some(Box::pin(attempt));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none() && self.second.is_none()
    }

    /// Waits for the end of a try, or until the next one is due. Cancel safe.
    pub(super) async fn next(&mut self, due: Option<Instant>) -> Event<F::Output> {
        let mut timer = pin!(due.map(sleep_until));
        poll_fn(|cx| {
            if let Poll::Ready(ended) = self.poll_tries(cx) {
                return Poll::Ready(Event::Ended(ended));
            }
            match timer.as_mut().as_pin_mut() {
                Some(timer) => timer.poll(cx).map(|()| Event::Due),
                None => Poll::Pending,
            }
        })
        .await
    }

    fn poll_tries(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        if let Some(first) = self.first.as_mut().as_pin_mut()
            && let Poll::Ready(ended) = first.poll(cx)
        {
            self.first.set(None);
            return Poll::Ready(ended);
        }
        if let Some(second) = &mut self.second
            && let Poll::Ready(ended) = second.as_mut().poll(cx)
        {
            self.second = None;
            return Poll::Ready(ended);
        }
        Poll::Pending
    }
}
