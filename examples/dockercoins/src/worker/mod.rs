//! worker: mines coins. It asks rng for random bytes and hasher for their hash, and saves in redis what it found, once a second.
//!
//! While rng or hasher do not answer, it tries again each second. While redis does not answer, it goes on, and saves later.

mod tally;

use std::{
    ffi::OsString,
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use discovery::{
    CallOptions, Client, Lifecycle,
    serve::{Server, text},
};
use http::{Request, StatusCode};
use program::{Outcome, chain};
use tokio::{
    select,
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{
    host,
    service::{Service, Start},
    wallet::{Complaint, RedisArgs, Wallet},
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
/// Random bytes per hash.
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
        let mut complaint = Complaint::default();
        loop {
            let mined = self.hash().await;
            complaint.note("rng, hasher", &mined);
            match mined {
                Ok((hash, bytes)) => lock(&self.tally).mined(hash, bytes),
                Err(_) => sleep(TRY_AGAIN_AFTER).await,
            }
            sleep(PAUSE).await;
        }
    }

    /// One hash, and the random bytes that it belongs to.
    async fn hash(&self) -> Result<(String, Vec<u8>), String> {
        let failed = |error: discovery::Error| chain(&error);
        let random = self.client.get(&format!("http://rng/{BYTES}")).await.map_err(failed)?;
        if random.status() != StatusCode::OK {
            return Err(format!("rng returned {}", random.status()));
        }
        let bytes = random.into_body().bytes(BYTES).await.map_err(failed)?;
        let request = Request::post("http://hasher/")
            .body(bytes.clone())
            .map_err(|error| error.to_string())?;
        let hashed = self.client.request(request).await.map_err(failed)?;
        if hashed.status() != StatusCode::OK {
            return Err(format!("hasher returned {}", hashed.status()));
        }
        let hash = hashed.into_body().text(HASH_BYTES).await.map_err(failed)?;
        Ok((hash, bytes.to_vec()))
    }

    async fn save(&self, lifecycle: &Lifecycle) {
        let mut complaint = Complaint::default();
        let mut tick = interval(SAVE_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            select! {
                _ = tick.tick() => {}
                () = lifecycle.shutdown() => {}
            }
            let is_last = lifecycle.is_shutting_down();
            let batch = lock(&self.tally).take();
            if let Some(batch) = batch {
                let saved = self.wallet.add(&batch).await;
                complaint.note("redis", &saved);
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

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}
