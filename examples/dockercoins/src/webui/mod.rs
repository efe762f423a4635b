//! webui: one page with the coins and hashes per second as a graph, and a table of the instances.
//!
//! The page needs nothing from the internet. `/json` has the totals as the page reads them each second, `/history` those of the last minutes,
//! `/instances` the table.

mod history;
mod instances;
mod page;

use std::{
    ffi::OsString,
    process::ExitCode,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use discovery::{
    Discovery, Lifecycle,
    serve::{Server, text},
};
use http::{HeaderValue, Response, StatusCode, header};
use program::Outcome;
use redis::RedisError;
use serde::Serialize;

use crate::{
    lock::lock,
    outage::Outage,
    service::{Service, Start},
    ticks::Ticks,
    wallet::{RedisArgs, Wallet},
};
use history::{History, Sample};
use instances::Instances;

const SERVICE: Service = Service {
    name: "webui",
    about: "A page with the coins and hashes per second, and all instances",
    listen: "0.0.0.0:8000",
};

const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// The process, from its arguments (the program's name first) to its exit code.
pub fn main(typed: impl IntoIterator<Item = OsString>) -> ExitCode {
    SERVICE.main(typed, run)
}

async fn run(start: Start, redis: RedisArgs) -> Outcome {
    let webui = Arc::new(WebUi::new(&start.discovery, Wallet::new(redis)?));
    start.serve(webui.server(), async |lifecycle| webui.sample(lifecycle).await).await
}

struct WebUi {
    wallet: Wallet,
    instances: Instances,
    history: Mutex<History>,
}

impl WebUi {
    fn new(discovery: &Discovery, wallet: Wallet) -> Self {
        Self { wallet, instances: Instances::new(discovery), history: Mutex::default() }
    }

    fn server(self: &Arc<Self>) -> Server {
        let (totals, history, instances) = (self.clone(), self.clone(), self.clone());
        page::add_to(Server::new())
            .get("/json", move |_| totals.clone().json())
            .get("/history", move |_| {
                let answer = json(&*lock(&history.history));
                async { answer }
            })
            .get("/instances", move |_| {
                let webui = instances.clone();
                async move { json(&webui.instances.lines().await) }
            })
    }

    async fn json(self: Arc<Self>) -> Response<Bytes> {
        match self.now().await {
            Ok(sample) => json(&sample),
            Err(error) => {
                let why = format!("redis does not answer: {error}\n");
                text(StatusCode::SERVICE_UNAVAILABLE, why)
            }
        }
    }

    async fn now(&self) -> Result<Sample, RedisError> {
        let totals = self.wallet.totals().await?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Sample::new(totals, since.as_secs_f64()))
    }

    /// Takes a sample each second, until the shutdown begins.
    async fn sample(&self, lifecycle: Lifecycle) {
        let mut outage = Outage::of("redis");
        let mut ticks = Ticks::new(SAMPLE_EVERY, &lifecycle);
        while ticks.next().await {
            let sample = self.now().await;
            outage.note(&sample);
            if let Ok(sample) = sample {
                lock(&self.history).add(sample);
            }
        }
    }
}

fn json(value: &impl Serialize) -> Response<Bytes> {
    match serde_json::to_vec(value) {
        Ok(body) => {
            let mut response = Response::new(body.into());
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            response
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}
