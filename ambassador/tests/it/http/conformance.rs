//! The table of odd messages: each row through the ambassador, and on demand through HAProxy, whose results `CONFORMANCE.md` records.
//!
//! `UPDATE_CONFORMANCE=1 cargo test -p discovery-ambassador --test it conformance` writes that file. It needs `haproxy`.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use tokio::net::TcpStream;

use super::{
    before,
    instance::Instance,
    message::responses,
    rows::{Row, all},
    send,
};

/// What the client and the instance get.
async fn results(
    row: &Row,
    proxy: impl AsyncFn(SocketAddr) -> (SocketAddr, Proxy),
) -> (String, String) {
    let instance = Instance::start(row.answering).await;
    let (at, proxy) = proxy(instance.at).await;
    let parts: Vec<&[u8]> = row.sent.iter().map(|part| part.as_bytes()).collect();
    let is_head = row.sent[0].starts_with("HEAD");
    let got =
        send(at, &parts).await.map_or_else(|| "reset".into(), |bytes| responses(&bytes, is_head));
    // Ends the connections, so that the instance has seen all that it will see.
    proxy.stop().await;
    (got, instance.ended().await)
}

/// What stands in front of the instance.
enum Proxy {
    Ambassador(ambassador::Ambassador),
    Haproxy(Child, tempfile::TempDir),
}

impl Proxy {
    async fn stop(self) {
        match self {
            Self::Ambassador(ambassador) => {
                tokio::task::spawn_blocking(|| drop(ambassador)).await.unwrap();
            }
            Self::Haproxy(mut child, _folder) => {
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
    }
}

async fn through_ambassador(instance: SocketAddr) -> (SocketAddr, Proxy) {
    let (ambassador, at) = before(&[instance]);
    (at, Proxy::Ambassador(ambassador))
}

async fn through_haproxy(instance: SocketAddr) -> (SocketAddr, Proxy) {
    let folder = tempfile::tempdir().unwrap();
    let at = SocketAddr::from(([127, 0, 0, 1], testkit::ports::free::<1>().unwrap()[0]));
    let config = format!(
        "defaults\n mode http\n timeout connect 1s\n timeout client 3s\n timeout server 3s\n timeout http-request 3s\n\
         listen web\n bind {at}\n server one {instance}\n"
    );
    let path = folder.path().join("haproxy.cfg");
    fs::write(&path, config).unwrap();
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(&path).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().expect("haproxy can be started");
    while TcpStream::connect(at).await.is_err() {
        tokio::task::yield_now().await;
    }
    (at, Proxy::Haproxy(child, folder))
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The part of a line that is ours.
fn ours(row: &Row) -> String {
    format!("| {} | {} | {} |", cell(row.name), cell(row.client), cell(row.instance))
}

fn file() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("CONFORMANCE.md")
}

#[tokio::test]
async fn odd_messages_have_one_result() {
    let mut wrong = String::new();
    for row in all() {
        let got = results(row, through_ambassador).await;
        if (&*got.0, &*got.1) != (row.client, row.instance) {
            writeln!(
                wrong,
                "{}:\n  client   {}\n  instead of {}\n  instance {}\n  instead of {}",
                row.name, got.0, row.client, got.1, row.instance
            )
            .unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test]
async fn the_recorded_table_is_that_of_the_rows() {
    if std::env::var_os("UPDATE_CONFORMANCE").is_some() {
        update().await;
    }
    let text = fs::read_to_string(file()).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    let rows: Vec<&Row> = all().collect();
    assert_eq!(
        lines.len(),
        rows.len(),
        "CONFORMANCE.md has other rows: write it with UPDATE_CONFORMANCE=1"
    );
    for (line, row) in lines.into_iter().zip(rows) {
        assert!(
            line.starts_with(&ours(row)),
            "CONFORMANCE.md has {line:?} instead of {:?}",
            ours(row)
        );
    }
}

async fn update() {
    let version = Command::new("haproxy").arg("-v").output().expect("haproxy is installed");
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let version = version.split_whitespace().nth(2).unwrap_or_default();
    let mut text = format!(
        include_str!("conformance.in.md"),
        version = version.split('-').next().unwrap_or_default()
    );
    for row in all() {
        let (client, instance) = results(row, through_haproxy).await;
        let same =
            |theirs: &str, own: &str| if theirs == own { "the same".into() } else { cell(theirs) };
        let (client, instance) = (same(&client, row.client), same(&instance, row.instance));
        writeln!(text, "{} {client} | {instance} |", ours(row)).unwrap();
    }
    fs::write(file(), text).unwrap();
}
