//! The errors of calls without an answer.

use std::time::Duration;

use discovery::{CallOptions, Client, Host, Instance, Origin, Pool, Snapshot, TryError, Watched};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{
    SOON, client,
    server::{HANG, OK, Server},
    unused,
};

fn named(host: &str, port: u16) -> Watched {
    let instance = Instance::at("service2", Host::from(host), port).into();
    Snapshot::new([instance], Origin::Catalog, Instant::now()).into()
}

#[tokio::test]
async fn a_service_without_instances_fails_at_once() {
    let error = client(&Pool::fixed("service2", [])).get("http://service2/").await.unwrap_err();
    assert_eq!(error.to_string(), "no call to service2: it has no instances");
    assert!(error.is_no_instance() && error.is_retryable() && error.tried().is_empty());
}

#[tokio::test]
async fn each_instance_that_refused_is_listed() {
    let addresses = [unused(), unused()];
    let client = client(&Pool::fixed("service2", addresses));
    let error = client.get("http://service2/").await.unwrap_err();
    let text = |first, second| {
        format!(
            "no answer from service2: {first} refused, {second} refused; there is no other instance"
        )
    };
    let [a, b] = addresses;
    assert!([text(a, b), text(b, a)].contains(&error.to_string()), "{error}");
    assert!(error.is_no_instance());
}

#[tokio::test]
async fn a_call_ends_by_its_deadline_with_any_number_of_hanging_instances() {
    let servers =
        [Server::always(HANG).await, Server::always(HANG).await, Server::always(HANG).await];
    let client = client(&Pool::fixed("service2", servers.iter().map(|server| server.address)));
    let ms = Duration::from_millis;
    let client = client
        .with_options(CallOptions::default().try_timeout(ms(200)).call_timeout(ms(300)))
        .unwrap();
    let error = client.get("http://service2/").await.unwrap_err();
    assert!(error.is_timeout() && !error.is_no_instance());
    assert_eq!(error.tried().len(), 2);
    assert_eq!(error.tried()[0].why, TryError::Silent(ms(200)));
    assert!(error.to_string().ends_with("; the 300 ms of the call are over"), "{error}");
}

#[tokio::test]
async fn an_instance_that_never_accepts_costs_only_the_time_to_connect() {
    // A listener whose backlog is full: further connections get no answer.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let full = listener.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(Ok(stream)) =
        timeout(Duration::from_millis(200), tokio::net::TcpStream::connect(full)).await
    {
        held.push(stream);
    }
    let error = client(&Pool::fixed("service2", [full])).get("http://service2/").await.unwrap_err();
    assert_eq!(error.tried()[0].why, TryError::NotConnected(Duration::from_millis(250)));
    assert!(error.is_no_instance());
}

#[tokio::test]
async fn a_host_name_is_resolved_when_connecting() {
    let server = Server::always(OK).await;
    let (_tx, watched) = watch::channel(named("localhost", server.address.port()));
    let client = client(&Pool::from_watch("service2", watched));
    client.get("http://service2/").await.unwrap();
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_host_name_without_an_address_fails() {
    let (_tx, watched) = watch::channel(named("service2.invalid", 80));
    let error =
        client(&Pool::from_watch("service2", watched)).get("http://service2/").await.unwrap_err();
    // Without any resolver, the deadline ends the call.
    let slow = TryError::NotConnected(Duration::from_millis(250));
    assert!([TryError::Unresolved, slow].contains(&error.tried()[0].why), "{error}");
    assert!(error.is_no_instance());
}

#[tokio::test]
async fn a_call_waits_until_the_instances_are_known() {
    let server = Server::always(OK).await;
    let (tx, watched) = watch::channel(Watched::default());
    let client = client(&Pool::from_watch("service2", watched));
    let call = tokio::spawn(async move { client.get("http://service2/").await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    tx.send(named("127.0.0.1", server.address.port())).unwrap();
    assert!(timeout(SOON, call).await.unwrap().unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_at_most_a_second_for_the_instances() {
    let (_tx, watched) = watch::channel(Watched::default());
    let pool = Pool::from_watch("service2", watched);
    let start = Instant::now();
    let error = client(&pool).get("http://service2/").await.unwrap_err();
    assert_eq!(start.elapsed().as_millis() / 10, 100);
    assert_eq!(error.to_string(), "no call to service2: its instances are not known after 1 s");
    assert!(error.is_no_instance());
    let hurried = CallOptions::default().call_timeout(Duration::from_millis(100));
    let error =
        client(&pool).with_options(hurried).unwrap().get("http://service2/").await.unwrap_err();
    assert!(error.to_string().contains("after 100 ms"), "{error}");
}

#[tokio::test]
async fn retries_end_with_their_budget_which_the_error_names() {
    let addresses = [unused(), unused(), unused()];
    let client: Client = client(&Pool::fixed("service2", addresses));
    let mut last = String::new();
    for _ in 0..200 {
        last = client.get("http://service2/").await.unwrap_err().to_string();
    }
    assert!(last.ends_with("refused; the retry budget is spent"), "{last}");
}

#[tokio::test]
async fn options_may_be_as_long_as_a_duration_can_be() {
    let server = Server::always(OK).await;
    let pool = Pool::fixed("service2", [server.address]);
    let most = Duration::MAX;
    for options in [
        CallOptions::default().connect_timeout(most),
        CallOptions::default().try_timeout(most),
        CallOptions::default().stall_timeout(most),
        CallOptions::default().call_timeout(most),
        CallOptions::default()
            .connect_timeout(most)
            .try_timeout(most)
            .stall_timeout(most)
            .call_timeout(most),
    ] {
        let client = client(&pool).with_options(options.clone()).unwrap();
        let answer = client.get("http://service2/").await.unwrap();
        assert_eq!(answer.into_body().text(64).await.unwrap(), "hello", "{options:?}");
    }
}
