//! The admin listener.

use discovery::ShutdownSignal;
use discovery_agent::Agent;
use testkit::http::Request;
use tokio::net::TcpListener;

use crate::tcp::world::{
    Echo, SOON, World, assert_reset, catalog, connect, end_of_new, name, refusing, soon,
};
use ambassador::{Ambassador, Changes, Config, Listen};

#[tokio::test]
async fn metrics_and_explanations_show_each_route() {
    let instance = Echo::start("a").await;
    let World { ambassador, at } = World::fixed(&[instance.at]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin = listener.local_addr().unwrap();
    let (trigger, signals) = ShutdownSignal::manual();
    let serving =
        tokio::spawn(ambassador.serve_until(signals, SOON, Some(listener), Changes::default()));
    let mut client = connect(at).await;
    assert_eq!(name(&mut client).await, b'a');

    let of_route = format!("{{listen=\"{at}\",service=\"echo\"");
    let lines = [
        format!("discovery_connections{of_route}}} 1"),
        format!("discovery_accepted_total{of_route}}} 1"),
        format!("discovery_refused_total{of_route},reason=\"no instance\"}} 0"),
        format!("discovery_relayed_bytes_total{of_route},direction=\"to client\"}} 1"),
        "discovery_members{service=\"echo\",rank=\"passing\"} 1".to_owned(),
    ];
    // A byte is counted after it has been sent.
    soon(async {
        loop {
            let metrics = Request::get("/metrics").send(admin).await.unwrap();
            let has = |line: &String| metrics.text().lines().any(|it| it == line);
            match lines.iter().find(|line| !has(line)) {
                None => return,
                Some(line) if line.contains("relayed") => {}
                Some(line) => panic!("{line}\n{}", metrics.text()),
            }
        }
    })
    .await;

    let explained = soon(Request::get("/explain").send(admin)).await.unwrap().json();
    let route = &explained["routes"][0];
    assert_eq!(route["listen"], at.to_string());
    assert_eq!(route["connections"], 1);
    assert_eq!(route["calls"]["instances"][0]["address"], instance.at.to_string());

    assert_eq!(soon(Request::get("/ready").send(admin)).await.unwrap().status, 200);
    trigger.fire();
    let ready = soon(async {
        loop {
            let ready = Request::get("/ready").send(admin).await.unwrap();
            if ready.status != 200 {
                return ready;
            }
        }
    })
    .await;
    assert_eq!((ready.status.as_u16(), ready.text()), (503, "leaving\n"));
    drop(client);
    soon(serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn it_is_ready_once_the_instances_of_every_route_are_known() {
    // No agent answers there.
    let agent = refusing();
    let settings = discovery::Settings::new(discovery::agent::AgentSettings::new(agent));
    let discovery = discovery::Discovery::new(settings).unwrap();
    let route = "127.0.0.1:0=echo".parse().unwrap();
    let config = Config::new(vec![route]).unwrap();
    let ambassador = Ambassador::start(&config, discovery, 1).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin = listener.local_addr().unwrap();
    let Listen::Tcp(at) = ambassador.addresses()[0] else { panic!("not TCP") };
    let (_trigger, signals) = ShutdownSignal::manual();
    let serving =
        tokio::spawn(ambassador.serve_until(signals, SOON, Some(listener), Changes::default()));
    let ready = soon(Request::get("/ready").send(admin)).await.unwrap();
    assert_eq!((ready.status.as_u16(), ready.text()), (503, "no answer yet about echo\n"));
    assert_reset(end_of_new(at).await);
    serving.abort();
}

#[tokio::test]
async fn without_an_agent_it_goes_on_with_what_it_knows_and_says_how_old_that_is() {
    let agent = Agent::start().await.unwrap();
    let instance = Echo::start("a").await;
    crate::tcp::world::register(&agent, "a", instance.at).await;
    let World { ambassador, at } = World::with(catalog(&agent), |_| {}).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin = listener.local_addr().unwrap();
    let (_trigger, signals) = ShutdownSignal::manual();
    let serving =
        tokio::spawn(ambassador.serve_until(signals, SOON, Some(listener), Changes::default()));
    assert_eq!(name(&mut connect(at).await).await, b'a');
    agent.stop().await;
    let calls = soon(async {
        loop {
            let explained = Request::get("/explain").send(admin).await.unwrap().json();
            let calls = explained["routes"][0]["calls"].clone();
            if !calls["failure"].is_null() {
                return calls;
            }
        }
    })
    .await;
    assert!(calls["snapshot"]["age_ms"].is_u64(), "{calls}");
    assert_eq!(name(&mut connect(at).await).await, b'a');
    let metrics = soon(Request::get("/metrics").send(admin)).await.unwrap();
    assert!(metrics.text().contains("discovery_snapshot_age_seconds{service=\"echo\"}"));
    serving.abort();
}
