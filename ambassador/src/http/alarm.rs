//! One timer per connection, for whatever deadline applies at the moment.
//!
//! A deadline that moves later does not touch the timer: it fires at the earlier moment, once, and is set again. So a request on a busy
//! connection costs no operation on the timers of the runtime.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::{Instant, Sleep, sleep_until};

#[derive(Debug)]
pub(super) struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    pub(super) fn new(at: Instant) -> Self {
        Self(Box::pin(sleep_until(at)))
    }

    /// Ready once this moment has passed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        if self.0.deadline() > at {
            self.0.as_mut().reset(at);
        }
        loop {
            ready!(self.0.as_mut().poll(cx));
            if at <= Instant::now() {
                return Poll::Ready(());
            }
            self.0.as_mut().reset(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_fires_at_the_present_deadline() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut alarm = Alarm::new(at(5));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        for later in [9, 20, 30] {
            assert!(alarm.poll(&mut cx, at(later)).is_pending());
        }
        poll_fn(|cx| alarm.poll(cx, at(30))).await;
        assert_eq!(start.elapsed().as_secs(), 30);
        poll_fn(|cx| alarm.poll(cx, at(31))).await;
        assert_eq!(start.elapsed().as_secs(), 31);
        assert!(alarm.poll(&mut cx, at(90)).is_pending());
        poll_fn(|cx| alarm.poll(cx, at(40))).await;
        assert_eq!(start.elapsed().as_secs(), 40);
    }
}
