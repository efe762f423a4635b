//! The hello chain as processes on an embedded agent: its answers, also while parts of it are killed.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use discovery_agent::Agent;
use http::StatusCode;
use rustix::process::Signal;
use testkit::{
    http::{Answer, Request},
    load::{Load, LoadSettings, ok_with_lines},
};
use tokio::time::{sleep, timeout};

use crate::process::{Running, WAIT_MAX, discovery};

/// Requests per second: few enough for unoptimized programs on a busy machine.
const RATE: f64 = 50.0;

/// An agent, service1 and some instances of service2.
struct Chain {
    agent: Agent,
    _service1: Running,
    services2: Vec<Running>,
    at: SocketAddr,
}

impl Chain {
    /// Started, registered, and ready for calls.
    async fn start(services2: usize, variables: &[(&str, &str)]) -> Self {
        let agent = Agent::start().await.unwrap();
        let start = |service: &str, id: &str| start(&agent, service, id, variables);
        let mut service1 = start("service1", "service1");
        let mut services2: Vec<_> = (1..=services2)
            .map(|number| start("service2", &format!("service2-{number}")))
            .collect();
        for service in &mut services2 {
            ready(service).await;
        }
        let at = ready(&mut service1).await;
        Self { agent, _service1: service1, services2, at }
    }

    /// Starts one more process, without waiting for it.
    fn service(&self, service: &str, id: &str) -> Running {
        start(&self.agent, service, id, &[])
    }

    async fn get(&self) -> Answer {
        Request::get("/").send(self.at).await.unwrap()
    }

    /// The first answer after service1 has found service2: DNS is polled once a second.
    async fn first_answer(&self) -> Answer {
        let known = async {
            loop {
                let answer = self.get().await;
                if answer.status != StatusCode::SERVICE_UNAVAILABLE {
                    return answer;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(WAIT_MAX, known).await.expect("service1 never learns of service2")
    }

    fn load(&self) -> Load {
        let settings =
            LoadSettings { rate: RATE, right: ok_with_lines(4), ..LoadSettings::default() };
        Load::start(&format!("http://{}/", self.at), settings).unwrap()
    }
}

fn start(agent: &Agent, service: &str, id: &str, variables: &[(&str, &str)]) -> Running {
    let mut command = discovery(&["child", service]);
    command.stdin(Stdio::piped());
    command.env("CONSUL_HTTP_ADDR", agent.http_addr().to_string());
    command.env("CONSUL_DNS_ADDR", agent.dns_addr().to_string());
    command.env("LISTEN", "127.0.0.1:0").env("SERVICE_ID", id);
    Running::start(command.envs(variables.iter().copied()))
}

/// Its address, once it is registered.
async fn ready(service: &mut Running) -> SocketAddr {
    service.wait_for_text("registered and in the catalog").await;
    let at = |output: &str| output.split("at=").nth(1)?.split_whitespace().next()?.parse().ok();
    service.wait_for(at).await
}

/// The addresses and the instance headers of the four lines match the processes.
#[tokio::test]
async fn the_four_lines_match_the_processes() {
    for resolve in ["catalog", "dns"] {
        let mut chain = Chain::start(2, &[("RESOLVE", resolve)]).await;
        let answer = chain.first_answer().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let lines: Vec<_> = answer.text().split_inclusive('\n').collect();
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!(
            lines[0].starts_with("Hello from 127.0.0.1:")
                && lines[2].starts_with("Hello from 127.0.0.1:")
        );
        assert_eq!(lines[1], format!("to {}\n", chain.at));
        let hops: Vec<_> = answer
            .headers
            .get_all("discovery-instance")
            .iter()
            .map(|hop| hop.to_str().unwrap())
            .collect();
        let [first, second] = hops[..] else { panic!("{hops:?}") };
        let node = first.strip_prefix("service1@").unwrap();
        assert!(!node.is_empty());
        let number: usize = second
            .strip_prefix("service2-")
            .unwrap()
            .strip_suffix(&format!("@{node}"))
            .unwrap()
            .parse()
            .unwrap();
        let asked = ready(&mut chain.services2[number - 1]).await;
        assert_eq!(lines[3], format!("to {asked}\n"));
    }
}

/// Runs a load while `harm` changes the chain.
async fn under_load(chain: &mut Chain, harm: impl AsyncFnOnce(&mut Chain)) {
    let load = chain.load();
    sleep(Duration::from_secs(1)).await;
    harm(chain).await;
    sleep(Duration::from_secs(3)).await;
    let report = load.stop().await.unwrap();
    assert!(report.sent > 100 && report.failed == 0, "{report}");
}

#[tokio::test]
async fn no_request_fails_while_a_service2_is_killed() {
    let mut chain = Chain::start(2, &[]).await;
    under_load(&mut chain, async |chain| {
        let killed = chain.services2.pop().unwrap();
        killed.signal(Signal::KILL);
        killed.ended().await;
    })
    .await;
}

#[tokio::test]
async fn no_request_fails_while_a_service2_is_stopped_and_resumed() {
    let mut chain = Chain::start(2, &[]).await;
    under_load(&mut chain, async |chain| {
        chain.services2[0].signal(Signal::STOP);
        sleep(Duration::from_secs(3)).await;
        chain.services2[0].signal(Signal::CONT);
    })
    .await;
}

#[tokio::test]
async fn no_request_fails_while_a_service2_is_replaced() {
    let mut chain = Chain::start(2, &[("DRAIN", "500ms")]).await;
    under_load(&mut chain, async |chain| {
        let left = chain.services2.pop().unwrap();
        left.signal(Signal::TERM);
        assert_eq!(left.ended().await.0, Some(0));
        let mut comes = chain.service("service2", "service2-3");
        ready(&mut comes).await;
        chain.services2.push(comes);
    })
    .await;
}

#[tokio::test]
async fn no_request_fails_while_the_agent_is_down() {
    let mut chain = Chain::start(2, &[]).await;
    under_load(&mut chain, async |chain| {
        chain.agent.fail_with(StatusCode::INTERNAL_SERVER_ERROR);
        sleep(Duration::from_secs(2)).await;
        chain.agent.heal();
        chain.agent.forget_everything();
    })
    .await;
}

#[tokio::test]
async fn without_an_instance_one_line_has_the_reason_at_once() {
    let chain = Chain::start(0, &[]).await;
    let answer = chain.get().await;
    let received = (answer.status.as_u16(), answer.text());
    assert_eq!(received, (503, "no call to service2: it has no instances\n"));
}
