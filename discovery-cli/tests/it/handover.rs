//! `discovery ambassador` with other processes and files: takeovers and SIGHUP.

use std::{
    fs, io,
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use rustix::process::Signal;
use testkit::{
    echo::{self, EchoServer},
    http::Request,
};
use tokio::net::TcpStream;

use super::process::{Running, discovery, done, text};

async fn echo_server() -> EchoServer {
    EchoServer::start().await.unwrap()
}

async fn echo(at: SocketAddr) -> io::Result<()> {
    echo::echo(TcpStream::connect(at).await?, b"hello").await
}

/// The addresses in the lines of an ambassador about its ports.
fn listening(output: &str) -> Vec<SocketAddr> {
    let address = |line: &str| {
        let (_, rest) = line.split_once("listen=")?;
        rest.split_whitespace().next()?.parse().ok()
    };
    output.lines().filter(|line| line.contains(" listening ")).filter_map(address).collect()
}

async fn ambassador(to: SocketAddr, arguments: &[&str]) -> (Running, SocketAddr) {
    let resolve = format!("--resolve=fixed:{to}");
    let all = [&["ambassador", &resolve, "--drain=1s"], arguments].concat();
    let mut running = Running::start(&mut discovery(&all));
    let at = running.wait_for(|output| listening(output).first().copied()).await;
    (running, at)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_in_a_row_take_over_without_a_failed_connection() {
    let server = echo_server().await;
    let to = server.address();
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("takeover.sock").display().to_string();
    let admin = testkit::ports::unused().unwrap().to_string();
    let takeover = ["--takeover", &socket, "--admin", &admin];
    let (mut last, at) = ambassador(to, &[&["127.0.0.1:0=app"][..], &takeover].concat()).await;
    let route = format!("{at}=app");
    let (is_over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let load = async {
        while !is_over.load(Relaxed) {
            echo(at).await?;
            served.fetch_add(1, Relaxed);
        }
        io::Result::Ok(())
    };
    let takeovers = async {
        for _ in 0..3 {
            let (next, _) = ambassador(to, &[&[&*route][..], &takeover].concat()).await;
            let (code, output) = std::mem::replace(&mut last, next).ended().await;
            assert_eq!(code, Some(0), "{output}");
            assert!(output.contains("a successor has taken over"), "{output}");
            let before = served.load(Relaxed);
            while served.load(Relaxed) < before + 100 {
                tokio::task::yield_now().await;
            }
            let ready = Request::get("/ready").send(admin.parse().unwrap()).await.unwrap();
            assert_eq!(ready.status, 200, "the admin listener is handed over, too");
        }
        is_over.store(true, Relaxed);
    };
    let ((), failed) = tokio::join!(takeovers, load);
    failed.unwrap();
    last.signal(Signal::TERM);
    let (code, output) = last.ended().await;
    assert_eq!(code, Some(0), "{output}");
    assert!(!Path::new(&socket).exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_that_is_killed_changes_nothing() {
    let server = echo_server().await;
    let to = server.address();
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("takeover.sock").display().to_string();
    let (mut running, at) = ambassador(to, &["127.0.0.1:0=app", "--takeover", &socket]).await;
    // It never knows the instances of its route, since there is no Consul.
    let route = format!("{at}=app");
    let arguments = ["ambassador", &*route, "--takeover", &socket, "--http-addr=127.0.0.1:1"];
    let successor = Running::start(&mut discovery(&arguments));
    running.wait_for_text("a successor has the sockets").await;
    echo(at).await.unwrap();
    drop(successor);
    for _ in 0..20 {
        echo(at).await.unwrap();
    }
    running.wait_for_text("takeover failed; this process continues").await;
    running.signal(Signal::TERM);
    assert_eq!(running.ended().await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_read_again_on_sighup_and_a_wrong_one_changes_nothing() {
    let server = echo_server().await;
    let to = server.address();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("routes.toml").display().to_string();
    let route = |at: &str| format!("[[route]]\nlisten = \"{at}\"\nservice = \"app\"\n");
    fs::write(&file, route("127.0.0.1:0")).unwrap();
    let (mut running, at) = ambassador(to, &["--config", &file]).await;
    echo(at).await.unwrap();

    fs::write(&file, route("127.0.0.1:0") + "stiky = true\n").unwrap();
    running.signal(Signal::HUP);
    running.wait_for_text("configuration refused").await;
    running.wait_for_text("routes.toml line 4: unknown field `stiky`").await;
    echo(at).await.unwrap();

    fs::write(&file, route("127.0.0.1:0") + &route("127.0.0.2:0")).unwrap();
    running.signal(Signal::HUP);
    running.wait_for_text("configuration applied").await;
    let added = running.wait_for(|output| listening(output).get(1).copied()).await;
    echo(added).await.unwrap();
    echo(at).await.unwrap();
    running.signal(Signal::TERM);
    assert_eq!(running.ended().await.0, Some(0));
}

#[tokio::test]
async fn wrong_files_and_arguments_are_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("routes.toml").display().to_string();
    fs::write(&file, "[[route]]\nlisten = \"80\"\n").unwrap();
    for (arguments, expected) in [
        (&["--config", &*file][..], "error: FILE line 1: missing field `service`\n"),
        (
            &["--config", "no-such.toml"],
            "error: cannot read no-such.toml: No such file or directory (os error 2)\n",
        ),
        (
            &["127.0.0.1:0=app", "--takeover", "/no/such/folder/sock"],
            "error: the folder of /no/such/folder/sock does not exist: create it, or choose another path\n",
        ),
    ] {
        let output = done(&mut discovery(&[&["ambassador"], arguments].concat())).await;
        assert_eq!(text(&output.stderr).replace(&file, "FILE"), expected);
        assert!(matches!(output.status.code(), Some(1 | 2)));
    }
}

#[tokio::test]
async fn a_flag_that_has_no_effect_is_an_error() {
    for (arguments, expected) in [
        (
            &["80=http:web", "--allow=rng"][..],
            "error: --allow has no effect: expected a port like 80=http:*\n",
        ),
        (
            &["6379=redis", "--untrusted-callers"],
            "error: --untrusted-callers has no effect: expected a port like 80=http:web\n",
        ),
        (
            &["80=http:web", "--proxy-protocol=v2"],
            "error: --proxy-protocol has no effect: expected a port like 6379=redis\n",
        ),
        (
            &["80=http:*", "--allow=rng,Hasher"],
            "error: `Hasher` can't be named by the Host of a request: expected 1 to 63 lower-case letters, digits, - and _\n",
        ),
        (
            &["80=http:web", "--connect-timeout=0s"],
            "error: connect_timeout is 0ns: expected 1ms to 24 hours\n",
        ),
    ] {
        let output = done(&mut discovery(&[&["ambassador"], arguments].concat())).await;
        assert_eq!(text(&output.stderr), expected);
        assert_eq!(output.status.code(), Some(2));
    }
    // What a file says can't be said by arguments, too.
    for argument in ["80=web", "--allow=rng", "--untrusted-callers", "--linger=1s"] {
        let output = done(&mut discovery(&["ambassador", "--config=routes.toml", argument])).await;
        let error = text(&output.stderr);
        assert!(error.contains("cannot be used with"), "{error}");
        assert_eq!(output.status.code(), Some(2));
    }
    for flag in ["--connections=0", "--port-connections=0"] {
        let output = done(&mut discovery(&["ambassador", "80=web", flag])).await;
        let error = text(&output.stderr);
        assert!(error.contains("expected at least 1 connection"), "{error}");
    }
}
