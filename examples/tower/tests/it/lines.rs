//! The balancer, over instances that come and go.

use std::collections::BTreeSet;

use discovery::{Discovery, Lifecycle, Registration, ShutdownSignal, registration::Trigger};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    select,
};
use tower::{BoxError, Service, ServiceExt};
use tower_example::lines::balanced;

use super::{LONG, listen, start};

/// An instance of `lines` that answers with its port and the line, and what shuts it down.
async fn instance(discovery: &Discovery) -> (String, Trigger) {
    let listener = listen().await;
    let address = listener.local_addr().unwrap();
    let registered = discovery.register(Registration::new("lines", address)).unwrap();
    let (trigger, signals) = ShutdownSignal::manual();
    let serve = move |lifecycle| serve(listener, address.port(), lifecycle);
    tokio::spawn(registered.serve_until(signals, LONG, serve));
    (address.port().to_string(), trigger)
}

async fn serve(listener: TcpListener, port: u16, lifecycle: Lifecycle) {
    lifecycle.set_accepting();
    loop {
        select! {
            accepted = listener.accept() => answer(accepted.unwrap().0, port).await,
            () = lifecycle.drained() => return,
        }
    }
}

async fn answer(mut stream: TcpStream, port: u16) {
    let mut line = String::new();
    // The probe of the registration sends nothing.
    if BufReader::new(&mut stream).read_line(&mut line).await.is_ok_and(|read| read > 0) {
        stream.write_all(format!("{port} {line}").as_bytes()).await.unwrap();
    }
}

/// The instance that answers.
async fn ask(balanced: &mut impl Service<String, Response = String, Error = BoxError>) -> String {
    let answer = balanced.ready().await.unwrap().call("tea".to_owned()).await.unwrap();
    let (port, line) = answer.split_once(' ').unwrap();
    assert_eq!(line, "tea");
    port.to_owned()
}

#[tokio::test]
async fn a_balancer_of_tower_follows_the_instances() {
    /// So many answers in a row are not from one of two instances by chance.
    const ENOUGH: usize = 30;
    let (agent, discovery) = start().await;
    let mut balanced = balanced(&discovery.pool("lines"));
    let (one, shut_down_one) = instance(&discovery).await;
    assert_eq!(ask(&mut balanced).await, one);
    let (other, _trigger) = instance(&discovery).await;
    while ask(&mut balanced).await != other {
        tokio::task::yield_now().await;
    }
    let answers: BTreeSet<_> = {
        let mut answers = BTreeSet::new();
        for _ in 0..ENOUGH {
            answers.insert(ask(&mut balanced).await);
        }
        answers
    };
    assert_eq!(answers, BTreeSet::from([one, other.clone()]));
    shut_down_one.fire();
    let mut in_a_row = 0;
    while in_a_row < ENOUGH {
        in_a_row = if ask(&mut balanced).await == other { in_a_row + 1 } else { 0 };
    }
    agent.stop().await;
}
