//! rng: random bytes. `GET /32` returns 32 of them.
//!
//! Like the device that it stands for, it generates them for one request after the other, and takes 0.1 s for each: ten requests a second per
//! instance. They are not for secrets.

use std::{ffi::OsString, process::ExitCode, sync::Arc, time::Duration};

use bytes::Bytes;
use discovery::serve::{Request, Server, text};
use http::{HeaderValue, Method, Response, StatusCode, header};
use tokio::{sync::Semaphore, time::sleep};

use crate::{
    host,
    service::{NoSettings, Service, no_work},
};

const SERVICE: Service = Service {
    name: "rng",
    about: "Random bytes: GET /32 returns 32 of them",
    listen: "0.0.0.0:8011",
};

/// The time for one request.
const WORK: Duration = Duration::from_millis(100);
/// Bytes that one request can have.
const BYTES_MAX: usize = 65536;
/// Requests that wait for their turn: 3 s. Callers of more get 429, and go to another instance.
const WAITING_MAX: usize = 30;

/// The process, from its arguments (the program's name first) to its exit code.
pub fn main(typed: impl IntoIterator<Item = OsString>) -> ExitCode {
    SERVICE.main(typed, async |start, _: NoSettings| start.serve(server(), no_work).await)
}

/// Its routes: `/` says where it runs, `/N` returns N bytes.
fn server() -> Server {
    let device = Arc::new(Device::new());
    let answer = move |request: Request| device.clone().answer(request);
    Server::new()
        .get("/", async |_| text(StatusCode::OK, format!("RNG running on {}\n", host::name())))
        .fallback(Method::GET, answer)
}

/// Generates for one request at a time.
#[derive(Debug)]
struct Device {
    /// One for the request that is served, the others for those that wait.
    admitted: Semaphore,
    turn: Semaphore,
}

impl Device {
    fn new() -> Self {
        Self { admitted: Semaphore::new(1 + WAITING_MAX), turn: Semaphore::new(1) }
    }

    async fn answer(self: Arc<Self>, request: Request) -> Response<Bytes> {
        let Some(count) = count(request.head.uri.path()) else {
            let why = format!("expected GET /N, with N from 0 to {BYTES_MAX} bytes\n");
            return text(StatusCode::BAD_REQUEST, why);
        };
        let Ok(_admitted) = self.admitted.try_acquire() else {
            return text(StatusCode::TOO_MANY_REQUESTS, format!("{WAITING_MAX} requests wait\n"));
        };
        let _turn = self.turn.acquire().await;
        sleep(WORK).await;
        let mut response = Response::new(random(count));
        let binary = HeaderValue::from_static("application/octet-stream");
        response.headers_mut().insert(header::CONTENT_TYPE, binary);
        response
    }
}

/// The number of bytes that a path asks for.
fn count(path: &str) -> Option<usize> {
    let digits = path.strip_prefix('/')?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit()); // without a sign
    digits.parse().ok().filter(|count| is_number && *count <= BYTES_MAX)
}

fn random(count: usize) -> Bytes {
    let mut bytes = vec![0; count];
    fastrand::fill(&mut bytes);
    bytes.into()
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;

    fn ask(path: &str) -> Request {
        let (mut head, ()) = http::Request::new(()).into_parts();
        head.uri = path.parse().unwrap();
        let nowhere = ([0, 0, 0, 0], 0).into();
        Request::new(head, Bytes::new(), nowhere, nowhere)
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_served_one_after_the_other_and_too_many_are_refused() {
        let device = Arc::new(Device::new());
        let mut asked = JoinSet::new();
        for _ in 0..40 {
            asked.spawn(device.clone().answer(ask("/1")));
        }
        let started = tokio::time::Instant::now();
        let answers = asked.join_all().await;
        let count = |status| answers.iter().filter(|it| it.status() == status).count();
        assert_eq!((count(StatusCode::OK), count(StatusCode::TOO_MANY_REQUESTS)), (31, 9));
        assert!(started.elapsed() >= WORK * 31);
        // There is room again.
        assert_eq!(device.answer(ask("/1")).await.status(), StatusCode::OK);
    }
}
