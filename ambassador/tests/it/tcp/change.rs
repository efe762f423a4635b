//! Instances that come and go while clients connect.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use discovery_agent::Agent;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

use super::world::{Echo, World, catalog, deregister, left, maintain, refusing, register, soon};

/// Clients that connect at the same time.
const CLIENTS: usize = 4;
/// Instances that come and go, one after the other.
const CHANGES: u16 = 30;
/// Dead instances at the same time: fewer than a connection tries.
const DEAD: u16 = 5;

/// Clients that connect again and again, and how often each has.
struct Load {
    exchanges: Arc<[AtomicUsize; CLIENTS]>,
    clients: JoinSet<io::Error>,
}

impl Load {
    fn start(at: SocketAddr) -> Self {
        let exchanges = Arc::<[AtomicUsize; CLIENTS]>::default();
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let exchanges = Arc::clone(&exchanges);
            clients.spawn(async move {
                loop {
                    if let Err(error) = exchange(at).await {
                        return error;
                    }
                    exchanges[client].fetch_add(1, Relaxed);
                }
            });
        }
        Self { exchanges, clients }
    }

    /// Waits until each client has made two more exchanges, so that none that began before this is under way.
    async fn goes_on(&mut self) {
        let counts = || self.exchanges.each_ref().map(|count| count.load(Relaxed));
        let before = counts();
        let done = async {
            while before.iter().zip(counts()).any(|(before, now)| now < before + 2) {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = soon(done) => {}
            Some(failed) = self.clients.join_next() => panic!("{}", failed.unwrap()),
        }
    }
}

/// Connects, sends, receives and closes.
async fn exchange(at: SocketAddr) -> io::Result<()> {
    let mut client = TcpStream::connect(at).await?;
    client.write_all(b"ping").await?;
    client.shutdown().await?;
    let mut answer = String::new();
    client.read_to_string(&mut answer).await?;
    if answer.ends_with("ping") { Ok(()) } else { Err(io::Error::other(answer)) }
}

#[tokio::test]
async fn no_connection_fails_while_instances_come_and_go() {
    let agent = Agent::start().await.unwrap();
    let mut instance = Echo::start("a").await;
    register(&agent, "0", instance.at).await;
    let discovery = catalog(&agent);
    let pool = discovery.pool("echo");
    let world = World::with(discovery, |_| {}).await;
    let mut load = Load::start(world.at);
    for change in 1..=CHANGES {
        let next = Echo::start("b").await;
        register(&agent, &change.to_string(), next.at).await;
        load.goes_on().await;
        maintain(&agent, &(change - 1).to_string()).await;
        left(&pool, instance.at.port()).await;
        load.goes_on().await;
        // Its port refuses from now on.
        instance.leave().await;
        instance = next;
    }
    load.goes_on().await;
}

#[tokio::test]
async fn no_connection_fails_while_dead_instances_are_registered() {
    let agent = Agent::start().await.unwrap();
    let lives = Echo::start("a").await;
    register(&agent, "lives", lives.at).await;
    let world = World::with(catalog(&agent), |_| {}).await;
    let mut load = Load::start(world.at);
    for change in 0..CHANGES {
        register(&agent, &change.to_string(), refusing()).await;
        load.goes_on().await;
        if let Some(oldest) = change.checked_sub(DEAD) {
            deregister(&agent, &oldest.to_string()).await;
        }
    }
}
