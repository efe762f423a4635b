//! Required tasks: a panic in one ends the whole agent with an error, so that no part of it continues alone.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use tracing::error;

use crate::engine::Engine;

/// Runs a task until it ends, or another one has failed.
pub(crate) async fn supervise(
    what: &'static str,
    engine: Arc<Engine>,
    task: impl Future<Output = ()>,
) {
    tokio::select! {
        () = watch_over(what, &engine, task) => {}
        _ = engine.failure() => {}
    }
}

/// Runs a task until it ends, also after another one has failed.
pub(crate) async fn watch_over(what: &str, engine: &Engine, task: impl Future<Output = ()>) {
    let mut task = pin!(task);
    let ended = std::future::poll_fn(|context| {
        // After a panic the task is not polled any more, so its state is not observed; poisoned locks are recovered.
        match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(context))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(message(panic.as_ref()))),
        }
    });
    if let Err(why) = ended.await {
        error!(task = %what, error = %why, "a task of the agent failed; the agent ends");
        engine.fail(format!("the agent ended because its {what} failed: {why}"));
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given").to_owned()
}
