//! Service discovery on [Consul](https://developer.hashicorp.com/consul): register, watch, pick, call.
//!
//! - **Register**: a program registers itself at the Consul agent of its host, sends heartbeats, registers again when the agent has lost the
//!   registration, and deregisters when it shuts down ([`Registered::serve_until`]).
//! - **Call**: a caller names a service and reaches a healthy instance of it ([`Client`], [`Pool`]). A watch keeps the instances up to date,
//!   each pick compares two of them by latency and load, and an instance that fails is ejected for a while. When Consul is down or has lost
//!   its data, the last known instances stay in use.
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
//! A test needs no Consul: the package `discovery-agent` has an agent that runs in the test's process.
//!
//! ```
//! use discovery::{Discovery, Settings, agent::AgentSettings};
//! use discovery_agent::Agent;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let agent = Agent::start().await?; // on free ports of the loopback address
//! let settings = Settings::new(AgentSettings::new(agent.http_addr())).dns(agent.dns_addr());
//! let discovery = Discovery::new(settings)?;
//! let error = discovery.client().get("http://service1/").await.unwrap_err();
//! assert!(error.is_no_instance()); // until the program under test registers one
//! # agent.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! A program that is started by a test finds the agent by `CONSUL_HTTP_ADDR` and `CONSUL_DNS_ADDR`.
//!
//! [What it does](guide::what_it_does) has a test for each feature; [How it fails](guide::how_it_fails) lists what callers see when Consul or
//! an instance fails; [Coming from](guide::coming_from) has the counterparts of other libraries.
//!
//! # Variables
//!
//! [`Settings::from_env`] reads the variables of Consul's own command, and one for DNS. An invalid value is an error, an empty one counts as
//! not set.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `CONSUL_HTTP_ADDR` | `127.0.0.1:8500` | the agent: `host:port`, `http://host:port`, `https://host:port` or `unix:///path` |
//! | `CONSUL_HTTP_TOKEN` | none | ACL token |
//! | `CONSUL_HTTP_TOKEN_FILE` | none | file with the ACL token, read for each request; while it is not usable, the last accepted token is used |
//! | `CONSUL_HTTP_AUTH` | none | `user:password` for a proxy with basic authentication |
//! | `CONSUL_HTTP_SSL` | `false` | `true`: TLS, also without `https://`; not for a unix socket |
//! | `CONSUL_HTTP_SSL_VERIFY` | `true` | `false`: the agent's certificate is not verified |
//! | `CONSUL_CACERT` | the system's authorities | PEM file with the authorities that may sign the agent's certificate |
//! | `CONSUL_CAPATH` | none | directory of such files; not used if `CONSUL_CACERT` is set |
//! | `CONSUL_CLIENT_CERT` | none | PEM file with this client's certificate, for an agent that verifies its clients |
//! | `CONSUL_CLIENT_KEY` | none | PEM file with the key of that certificate |
//! | `CONSUL_TLS_SERVER_NAME` | the host of the address | name that the agent's certificate must have, also sent as SNI |
//! | `CONSUL_NAMESPACE` | none | namespace of Consul Enterprise |
//! | `CONSUL_PARTITION` | none | admin partition of Consul Enterprise |
//! | `CONSUL_DNS_ADDR` | the agent's host, port 8600 | Consul's DNS, used over TCP: `host:port`, `host` or `:port` |
//!
//! The variables from `CONSUL_HTTP_SSL` to `CONSUL_TLS_SERVER_NAME` need the feature `tls`. The files are read for each new connection; while
//! they can't be used, the last good ones are. [`Settings::variables`] is this table as data.
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | meaning |
//! |---|---|
//! | `dns` | Consul's DNS as a source of instances ([`Source::Dns`]), with hickory-resolver |
//! | `serve` | an HTTP server with `/health` and `/ready` |
//! | `metrics` | the [`metrics`] in a registry of prometheus-client, and as `/metrics` on the admin listener of that server |
//! | `http2` | HTTP/2 to instances, with TLS or without ([`Protocol`]) |
//! | `hyper` | services by name in a client of hyper-util ([`adapt`]) |
//! | `reqwest` | services by name in a client of reqwest ([`adapt`]) |
//! | `tower` | what callers expect of an instance, as a layer around the HTTP service of axum or another server; the instances of a pool for a balancer of tower ([`adapt`]) |
//! | `tls` | TLS and mutual TLS to the agent and to instances, with rustls and ring ([`Tls`]) |
//!
//! # Limits
//!
//! The deadlines are defaults of [`CallOptions`], for all services or for one ([`DiscoveryBuilder::service`]):
//!
//! - 5 s for a call, with all its tries (`call_timeout`). [`Body::bytes`] is part of the call; a streamed body may take longer.
//! - 250 ms to connect, with the handshake of TLS, and 1 s per try from the end of the request to the head of the response (`try_timeout`). A handler
//!   that needs longer than 1 s needs a longer `try_timeout`; otherwise the request is sent to another instance too.
//! - 2 s for the next byte while a body is sent or read (`stall_timeout`).
//!
//! With [`CallOptions::hedge`] a request that has no answer for unusually long is sent to a second instance too. It is off by default.
//!
//! For other protocols than HTTP [`Pool::connect`] returns a TCP connection. Consul's service mesh and KV store are not part of this library.
//!
//! # HTTP/2, gRPC and TLS
//!
//! Calls use HTTP/1.1, unless [`CallOptions::protocol`] says otherwise. In HTTP/2 (feature `http2`) the calls in flight to an instance share
//! connections, at most 100 on each, or what the server allows. Bodies stream in both directions at the same time, with trailers, so generated
//! gRPC clients work: `examples/tonic` has one of tonic. In the head of a gRPC response the status `UNAVAILABLE` counts as a 503.
//!
//! [`CallOptions::tls`] is TLS to the instances of a service (feature `tls`), with the version of HTTP that the instance chooses:
//!
//! ```no_run
//! use discovery::{CallOptions, Discovery, ServiceOptions, Settings, Tls};
//!
//! # fn run() -> Result<(), discovery::Error> {
//! let tls = Tls::default().ca_file("/etc/ca.pem").server_name("orders.service.consul");
//! let orders = ServiceOptions::new().call(CallOptions::default().tls(tls));
//! let discovery = Discovery::builder(Settings::from_env()?).service("orders", orders).build()?;
//! # drop(discovery);
//! # Ok(())
//! # }
//! ```
//!
//! # Systems
//!
//! Linux is tested. Other Unix systems compile (checked for FreeBSD), with two differences: a stalled upload is noticed only once the send
//! buffer of its socket is full (`TCP_NOTSENT_LOWAT`), and a silent peer of `serve` or of the agent's connections is dropped only after the
//! retransmissions of the system (`TCP_USER_TIMEOUT`).
//!
//! # Starting without Consul
//!
//! A program that runs keeps its last known instances while Consul is away; one that starts then knows none. With a directory
//! ([`DiscoveryBuilder::snapshots`]), the last answer to each watched query is kept on disk, and is used until Consul answers:
//!
//! ```no_run
//! # use discovery::{Discovery, Settings};
//! # fn main() -> Result<(), discovery::Error> {
//! let discovery = Discovery::builder(Settings::from_env()?).snapshots("/var/lib/app/discovery").build()?;
//! # drop(discovery);
//! # Ok(())
//! # }
//! ```
//!
//! Such a snapshot has the origin [`Origin::Disk`], its true age ([`Snapshot::age`]), and beside it the failure ([`Watched::failure`]).
//! [`Pool::explain`] and the metrics `discovery_snapshot_from_disk` and `discovery_snapshot_age_seconds` show it.
//!
//! # How a call finds its instance
//!
//! [`Client::get`] finds the [`Pool`] of the service that the URL names. The pool follows a [`Watch`]: one blocking query per service, shared
//! by all callers. [`Pool::pick`] chooses one of the published members without a lock. The result of the try ([`Verdict`]) updates that
//! member's statistics, and decides whether the request is tried on another one.
//!
//! # Policies
//!
//! The pool decides which instances are eligible: those of the best rank (all checks pass, before a check warns), not ejected, not tried by the
//! call before. A policy chooses one of these, per service: [`PoolOptions::policy`].
//!
//! | policy | chooses | for | weights | cost of a pick |
//! |---|---|---|---|---|
//! | [`PeakEwma`], the default | of two, the one with the smaller latency x calls in flight | most services: it avoids slow, stuck and failing instances | yes | constant |
//! | [`LeastInFlight`] | of two or more, the one with the fewest calls in flight | calls of very different length | yes | constant, by the number of choices |
//! | [`RoundRobin`] | one after the other | instances and requests that are alike | yes | constant; one counter for all threads |
//! | [`UniformRandom`] | any | ignoring weights | no | constant |
//! | [`WeightedRandom`] | any, by weight | canaries | yes | constant |
//! | the default, with a [key](PickOptions::key) | the same for the same key | sessions, sharded data | yes | by the number of instances |
//! | [`ConsistentHash`] | the same for the same key, up to a bound of its load | caches with hot keys | yes | by the number of instances |
//! | [`Locality`] | same node, then zone, then datacenter; farther if these are too few or too busy | zones that are slow or billed | yes | constant |
//! | your own [`Policy`] | | | | |
//!
//! While an instance is ejected or in its slow start, all but the default also read the state of each instance.
//!
//! Weights are those that an instance has in Consul for its present status ([`Weights`]). A weight of 0 is for an instance that is picked only if
//! there is no other.
//!
//! An instance that fails several times in a row, or whose success rate is low, is ejected: at most half of them, for a time that grows with
//! each ejection, until one call that can be repeated probes it successfully. [`PoolOptions`] has the settings, also for a slow start of new
//! instances. `cargo bench -p discovery-lib --bench scenario` shows what each policy makes of a bad instance.
//!
//! There is no global state: two [`Discovery`] values share nothing. The library does not print or exit, and only [`Settings::from_env`] and
//! [`Discovery::from_env`] read the environment.
#![warn(missing_docs)]
#![cfg_attr(
    not(feature = "serve"),
    expect(rustdoc::broken_intra_doc_links, reason = "links to `serve` need that feature")
)]

pub mod adapt;
pub mod agent;
mod backoff;
mod balance;
mod builder;
mod call;
mod check_result;
mod discovery;
mod error;
pub mod guide;
mod instance;
mod keepalive;
mod later;
mod lifetime;
mod member;
pub mod metrics;
mod names;
mod options;
mod pool;
#[cfg(any(feature = "serve", feature = "tower"))]
mod protocol;
mod query;
mod random;
mod redact;
pub mod registration;
#[cfg(feature = "serve")]
pub mod serve;
mod settings;
#[cfg(test)]
mod simulation;
mod tls;
mod unfold;
mod watch;

pub use balance::{
    Candidate, Candidates, ConsistentHash, LeastInFlight, Locality, PeakEwma, Policy, RandomDraws,
    RoundRobin, UniformRandom, WeightedRandom, hash_key,
};
pub use builder::DiscoveryBuilder;
pub use call::{
    Body, CallOptions, Client, FailedTry, Protocol, RequestBody, RequestBuilder, TlsError,
    TryError, headers, tries,
};
pub use check_result::CheckResult;
pub use discovery::Discovery;
pub use error::Error;
pub use instance::{Host, Instance, ServiceId, Status, TaggedAddress, Weights};
pub use member::{BreakerEvent, Charge, Ejection, EjectionCause, MemberId, Rank, Verdict};
pub use options::{PoolOptions, ServiceOptions};
pub use pool::{
    Explained, ExplainedMember, Explanation, InFlight, Pick, PickError, PickOptions, Pool, Report,
};
pub use query::{Consistency, Include, Query};
pub use random::Random;
pub use registration::{
    Advertise, Details, Lifecycle, Registered, Registration, ShutdownSignal, shutdown_signal,
};
pub use settings::{DnsAddress, Settings, Variable};
pub use tls::{ClientCertificate, Tls, Verification};
pub use watch::{Changes, Origin, Snapshot, Source, Watch, Watched};
