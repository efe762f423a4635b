//! Service discovery on [Consul](https://developer.hashicorp.com/consul): register, watch, pick, call.
//!
//! A program registers itself, keeps itself registered whatever happens to its agent, and leaves in order ([`Registered::serve_until`]). A
//! caller names a service and reaches whichever instance is best now ([`Client`]): standing queries keep a pool of the instances, each pick
//! takes the lighter of two by latency and load, who fails is kept out for a while, and a registry that is down, wiped or wrong never empties
//! a pool that still works.
//!
//! A service (feature `serve`):
//!
#![cfg_attr(feature = "serve", doc = "```no_run")]
#![cfg_attr(not(feature = "serve"), doc = "```ignore")]
//! use discovery::{Discovery, Registration, serve::{Server, text}, shutdown_signal};
//! use http::StatusCode;
//! use tokio::{net::TcpListener, time::Duration};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let discovery = Discovery::from_env()?;
//!     let listener = TcpListener::bind("0.0.0.0:0").await?;
//!     let registered = discovery.register(Registration::new("service1", listener.local_addr()?).tag("v1"))?;
//!     let lifecycle = registered.lifecycle();
//!     tokio::spawn(async move {
//!         match lifecycle.ready().await {
//!             Ok(()) => println!("{} is ready", lifecycle.id()),
//!             Err(err) => eprintln!("not registered: {err}"),
//!         }
//!     });
//!     let server = Server::new().get("/", async |request| text(StatusCode::OK, format!("hello {}\n", request.remote)));
//!     let drain = Duration::from_secs(2);
//!     registered.serve_until(shutdown_signal(), drain, |lifecycle| server.run(listener, lifecycle)).await?;
//!     Ok(())
//! }
//! ```
//!
//! A caller, in this or any other program:
//!
//! ```no_run
//! use discovery::Discovery;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let discovery = Discovery::from_env()?;
//!     let answer = discovery.client().get("http://service1/").await?;
//!     println!("{}", answer.status());
//!     let (_stream, pick) = discovery.pool("service1").connect().await?; // any TCP protocol
//!     pick.succeed();
//!     Ok(())
//! }
//! ```
//!
//! The package is `discovery-lib`, the crate is `discovery`; the programs above need these lines:
//!
//! ```toml
//! discovery-lib = { version = "0.1", features = ["serve"] }
//! http = "1"
//! tokio = { version = "1", features = ["macros", "net", "rt-multi-thread", "time"] }
//! ```
//!
//! A test starts `discovery_agent::Agent::start().await` and sets `CONSUL_HTTP_ADDR` to its `http_addr()` in [`Settings::from_vars`].
//!
//! Features, all off by default: `serve` (an HTTP server) and `metrics` (`/metrics` on its admin listener).
//!
//! One lookup, from the call to the instance: [`Client::get`] finds the [`Pool`] of the service that the URL names; the pool is fed by a
//! [`Watch`], one standing question to Consul a service, however many ask; [`Pool::pick`] reads the published members and takes one without a
//! lock; what became of the try ([`Verdict`]) is learnt by that member and decides whether another is tried.
//!
//! A call has 5 s unless its client has other options ([`CallOptions`]): 250 ms for a connection, 1 s from the end of the request to the head of
//! the answer, 2 s for the next byte while a body is sent or read. [`Body::bytes`] ends with the call; a body that is streamed may go on. A
//! handler that thinks for longer than 1 s needs a longer `try_timeout`, or it is called on another instance too; an upload or an answer that
//! takes longer than 5 s as a whole needs a longer `call_timeout`, and a stream that pauses a longer `stall_timeout`.
//!
//! There is no global state: two [`Discovery`] in one process are strangers. Nothing here prints, exits, or reads the environment but
//! [`Settings::from_env`] and what is made of it.
#![warn(missing_docs)]
#![cfg_attr(
    not(feature = "serve"),
    expect(rustdoc::broken_intra_doc_links, reason = "links to `serve` need that feature")
)]

pub mod agent;
mod backoff;
mod balance;
mod builder;
mod call;
mod discovery;
mod error;
mod instance;
mod later;
mod lifetime;
mod member;
mod names;
mod options;
mod pool;
mod query;
mod random;
mod redact;
pub mod registration;
#[cfg(feature = "serve")]
pub mod serve;
mod settings;
mod watch;

pub use balance::{Candidate, Candidates, Policy, RandomDraws, RoundRobin};
pub use builder::DiscoveryBuilder;
pub use call::{Body, CallOptions, Client, FailedTry, RequestBody, TryError, headers};
pub use discovery::Discovery;
pub use error::Error;
pub use instance::{Host, Instance, ServiceId, Status, Weights};
pub use member::{BreakerEvent, Charge, MemberId, Rank, Verdict};
pub use options::{PoolOptions, ServiceOptions};
pub use pool::{
    Explained, ExplainedMember, Explanation, InFlight, Pick, PickError, PickOptions, Pool,
    PoolChanges,
};
pub use query::{Consistency, Include, Query};
pub use random::Random;
pub use registration::{
    Advertise, Lifecycle, Registered, Registration, ShutdownSignal, shutdown_signal,
};
pub use settings::{DnsAddress, Settings};
pub use watch::{Origin, Snapshot, Source, Watch, WatchChanges, Watched};
