//! A service is as healthy as its probes say, whatever its program does.

use std::net::SocketAddr;

use http::StatusCode;
use testkit::http::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
};

use crate::world::{Running, World, everywhere, free, plan, service};

/// A program that runs until its test ends.
const STAYS: &str = "exec sleep 600";

/// A program whose instance was passing until its port closed, and is critical now.
async fn closed(world: &World) -> (SocketAddr, Running) {
    let at = free();
    let running = world.start(plan(STAYS, vec![service("web", at, "tcp")])).await;
    let listener = TcpListener::bind(at).await.unwrap();
    world.until_shown("web", &["web-1 passing"]).await;
    drop(listener);
    let refused =
        format!("web-1 critical (can't connect to {at}: Connection refused (os error 111))");
    world.until_shown("web", &[&refused]).await;
    (at, running)
}

#[tokio::test]
async fn a_port_that_closes_makes_its_instance_critical_until_it_is_open_again() {
    everywhere(async |world| {
        let (at, _running) = closed(&world).await;
        let _listener = TcpListener::bind(at).await.unwrap();
        world.until_shown("web", &["web-1 passing"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_program_that_is_not_ready_is_not_registered() {
    everywhere(async |world| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ready");
        let (other, probe) = (free(), format!("exec:test -e {}", file.display()));
        let services = vec![service("web", free(), &probe), service("other", other, "tcp")];
        let _running = world.start(plan(STAYS, services)).await;
        let _listener = TcpListener::bind(other).await.unwrap();
        world.until_shown("other", &["other-1 passing"]).await;
        assert_eq!(world.shown("web").await, [""; 0]);
        std::fs::write(&file, "").unwrap();
        // Nothing listens at its port: the command decides alone.
        world.until_shown("web", &["web-1 passing"]).await;
        std::fs::remove_file(&file).unwrap();
        world.until_shown("web", &["web-1 critical (its probe exited with 1)"]).await;
        assert_eq!(world.shown("other").await, ["other-1 passing"]);
    })
    .await;
}

#[tokio::test]
async fn the_answer_of_a_web_server_decides() {
    everywhere(async |world| {
        let at = free();
        let _running =
            world.start(plan(STAYS, vec![service("web", at, "http:/health?token=secret")])).await;
        let (status_tx, status_rx) = watch::channel(StatusCode::NO_CONTENT);
        let listener = TcpListener::bind(at).await.unwrap();
        let server = tokio::spawn(answer(listener, status_rx));
        for (status, healthy) in [
            (StatusCode::NO_CONTENT, true),
            (StatusCode::INTERNAL_SERVER_ERROR, false),
            (StatusCode::FOUND, true),
            (StatusCode::NOT_FOUND, false),
            (StatusCode::OK, true),
        ] {
            status_tx.send_replace(status);
            let shown = if healthy {
                "web-1 passing".to_owned()
            } else {
                format!("web-1 critical (GET http://{at}/health returned {status})")
            };
            world.until_shown("web", &[&shown]).await;
        }
        // Its port stays open, but it does not answer any more.
        status_tx.send_replace(StatusCode::PROCESSING);
        world.until_shown("web", &["web-1 critical (no result of its probe within 4s)"]).await;
        server.abort();
    })
    .await;
}

/// Answers each request with this status, with 102 never.
async fn answer(listener: TcpListener, status_rx: watch::Receiver<StatusCode>) {
    let mut silent = Vec::new();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let status = *status_rx.borrow();
        if status == StatusCode::PROCESSING {
            silent.push(stream);
            continue;
        }
        let mut head = [0; 1024];
        let read = stream.read(&mut head).await.unwrap_or_default();
        // A connection to the address that is published has no request.
        if head[..read].starts_with(b"GET /health?token=secret HTTP/1.1\r\n") {
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.ok();
        }
    }
}

#[tokio::test]
async fn an_instance_that_its_agent_removed_is_registered_again_when_it_recovers() {
    everywhere(async |world| {
        let (at, _running) = closed(&world).await;
        // As the agent does after a minute.
        let removed = Request::put("/v1/agent/service/deregister/web-1").send(world.http).await;
        assert_eq!(removed.unwrap().status, StatusCode::OK);
        let _listener = TcpListener::bind(at).await.unwrap();
        world.until_shown("web", &["web-1 passing"]).await;
    })
    .await;
}
