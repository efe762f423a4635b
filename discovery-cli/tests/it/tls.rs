//! The command with an agent that has TLS and verifies its clients.

use discovery_agent::Agent;
use testkit::{
    certificates::{Authority, Validity},
    tls::Front,
};

use crate::process::{discovery, done, text};

#[tokio::test]
async fn the_command_reaches_an_agent_over_mutual_tls() {
    let authority = Authority::new("Consul Agent CA").unwrap();
    let server = authority.issue(&["server.dc1.consul"], Validity::Now).unwrap();
    let agent = Agent::builder().node_name("here").start().await.unwrap();
    let front = Front::start(agent.http_addr(), &server, Some(authority.pem())).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let client = authority.issue(&["client"], Validity::Now).unwrap();
    let (cert, key) = client.write(dir.path(), "client").unwrap();
    let (https, dns) = (format!("https://{}", front.addr()), agent.dns_addr().to_string());
    let command = |arguments: &[&str]| {
        let mut command = discovery(arguments);
        command.args(["--http-addr", &https, "--dns-addr", &dns]).env("CONSUL_CACERT", &ca);
        command.env("CONSUL_TLS_SERVER_NAME", "server.dc1.consul");
        command
    };
    for arguments in [&["services"][..], &["doctor", "--resolver", &dns]] {
        let output = done(
            command(arguments).env("CONSUL_CLIENT_CERT", &cert).env("CONSUL_CLIENT_KEY", &key),
        )
        .await;
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
    }
    let reason = format!(
        "no TLS connection to the agent at {https}: it requires a client certificate: set CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY"
    );
    let output = done(&mut command(&["services"])).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(&reason), "{}", text(&output.stderr));
    let output = done(&mut command(&["doctor"])).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains(&reason), "{}", text(&output.stdout));
}
