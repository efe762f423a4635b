//! worker: mines coins. It asks rng for random bytes and hasher for their hash, and saves in redis what it found, once a second.
//!
//! While rng or hasher do not answer, it tries again each second. While redis does not answer, it continues, and saves later.

mod tally;

use std::{
    ffi::OsString,
    process::ExitCode,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use discovery::{
    Body, CallOptions, Client, Error, Lifecycle,
    serve::{Server, text},
};
use http::{Request, Response, StatusCode};
use program::{Outcome, chain};
use tokio::{select, time::sleep};

use crate::{
    host,
    lock::lock,
    outage::Outage,
    service::{Service, Start},
    ticks::Ticks,
    wallet::{RedisArgs, Wallet},
};
use tally::Tally;

const SERVICE: Service = Service {
    name: "worker",
    about: "Mines coins: random bytes of rng, whose hash by hasher begins with 0, go to redis",
    listen: "0.0.0.0:8013",
};

/// The pause between two hashes: so a worker makes three a second, together with the time that rng and hasher take.
const PAUSE: Duration = Duration::from_millis(100);
const SAVE_EVERY: Duration = Duration::from_secs(1);
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Random bytes for a hash.
const BYTES: usize = 32;
/// The hex digits of a SHA-256.
const HASH_BYTES: usize = 64;

/// The process, from its arguments (the program's name first) to its exit code.
pub fn main(typed: impl IntoIterator<Item = OsString>) -> ExitCode {
    SERVICE.main(typed, run)
}

async fn run(start: Start, redis: RedisArgs) -> Outcome {
    let worker = Worker {
        // A busy rng serves a request after those that came before, so a try may take longer than usual.
        client: start.discovery.client().with_options(
            CallOptions::default()
                .try_timeout(Duration::from_secs(5))
                .call_timeout(Duration::from_secs(10)),
        )?,
        wallet: Wallet::new(redis)?,
        tally: Arc::default(),
    };
    let status = worker.tally.clone();
    let server = Server::new().get("/", move |_| {
        let line = format!("WORKER running on {}: {}\n", host::name(), lock(&status).sentence());
        async { text(StatusCode::OK, line) }
    });
    start.serve(server, async |lifecycle| worker.work(lifecycle).await).await
}

struct Worker {
    client: Client,
    wallet: Wallet,
    tally: Arc<Mutex<Tally>>,
}

impl Worker {
    /// Mines and saves until the shutdown begins; then saves what is left.
    async fn work(&self, lifecycle: Lifecycle) {
        let mine = async {
            select! {
                () = self.mine() => {}
                () = lifecycle.shutdown() => {}
            }
        };
        tokio::join!(mine, self.save(&lifecycle));
    }

    async fn mine(&self) {
        let (mut rng, mut hasher) = (Outage::of("rng"), Outage::of("hasher"));
        loop {
            let mined = async {
                let bytes = self.random().await;
                rng.note(&bytes);
                let bytes = bytes.ok()?;
                let hash = self.hash(bytes.clone()).await;
                hasher.note(&hash);
                Some((hash.ok()?, bytes))
            };
            match mined.await {
                Some((hash, bytes)) => lock(&self.tally).mined(hash, bytes.to_vec()),
                None => sleep(TRY_AGAIN_AFTER).await,
            }
            sleep(PAUSE).await;
        }
    }

    async fn random(&self) -> Result<Bytes, String> {
        let answer = self.client.get(&format!("http://rng/{BYTES}")).await;
        body_of(answer)?.bytes(BYTES).await.map_err(|error| chain(&error))
    }

    async fn hash(&self, bytes: Bytes) -> Result<String, String> {
        let request = Request::post("http://hasher/").body(bytes);
        let answer = self.client.request(request.map_err(|error| error.to_string())?).await;
        body_of(answer)?.text(HASH_BYTES).await.map_err(|error| chain(&error))
    }

    async fn save(&self, lifecycle: &Lifecycle) {
        let mut outage = Outage::of("redis");
        let mut ticks = Ticks::new(SAVE_EVERY, lifecycle);
        loop {
            let is_last = !ticks.next().await;
            let batch = lock(&self.tally).take();
            if let Some(batch) = batch {
                let saved = self.wallet.add(&batch).await;
                outage.note(&saved);
                match saved {
                    Ok(()) => lock(&self.tally).saved(),
                    Err(_) => lock(&self.tally).put_back(batch),
                }
            }
            if is_last {
                return;
            }
        }
    }
}

/// The body of an answer with status 200.
fn body_of(answer: Result<Response<Body>, Error>) -> Result<Body, String> {
    let answer = answer.map_err(|error| chain(&error))?;
    match answer.status() {
        StatusCode::OK => Ok(answer.into_body()),
        status => Err(format!("returned {status}")),
    }
}
