//! hasher: SHA-256. `POST /` returns the hash of the body in hex. It takes 0.1 s, for any number of requests at once.

use std::{ffi::OsString, process::ExitCode, time::Duration};

use bytes::Bytes;
use discovery::serve::{Request, Server, text};
use http::{Method, Response, StatusCode};
use sha2::{Digest, Sha256};
use tokio::time::sleep;

use crate::{
    host,
    service::{NoSettings, Service, no_work},
};

const SERVICE: Service = Service {
    name: "hasher",
    about: "SHA-256 in hex: POST / returns that of the body",
    listen: "0.0.0.0:8012",
};

/// The time for one request.
const WORK: Duration = Duration::from_millis(100);

/// The process, from its arguments (the program's name first) to its exit code.
pub fn main(typed: impl IntoIterator<Item = OsString>) -> ExitCode {
    SERVICE.main(typed, async |start, _: NoSettings| start.serve(server(), no_work).await)
}

/// Its routes: GET says where it runs, POST hashes.
fn server() -> Server {
    Server::new()
        .get("/", async |_| text(StatusCode::OK, format!("HASHER running on {}\n", host::name())))
        .on(Method::POST, "/", answer)
}

async fn answer(request: Request) -> Response<Bytes> {
    sleep(WORK).await;
    text(StatusCode::OK, hash(&request.body))
}

/// SHA-256 in hex.
pub(crate) fn hash(bytes: &[u8]) -> String {
    format!("{:x}", Bytes::copy_from_slice(&Sha256::digest(bytes)))
}
