//! What a subscriber of tracing sees of a call. The only test of its process: while a thread meets a span for the first time, a subscriber that
//! another thread sets may miss it.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use discovery::{CallOptions, Client, Host, Instance, Origin, Pool, Snapshot, Status};
use testkit::ports;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
    time::Instant,
};
use tracing::{Level, subscriber::set_default};
use tracing_subscriber::fmt::{self, format::FmtSpan};

/// Long enough for a slow machine.
const SOON: Duration = Duration::from_secs(60);

/// What was written.
#[derive(Debug, Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut *self.0.lock().unwrap(), bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    /// The path of each span that has ended, with all fields, in order.
    fn spans(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let ended = text.lines().filter_map(|line| line.split_once(": close"));
        ended.map(|(path, _)| path.trim().trim_start_matches("DEBUG ").to_owned()).collect()
    }
}

/// A pool whose first choice refuses, and whose second one does not.
fn pool(refusing: SocketAddr, server: SocketAddr) -> Pool {
    let instance = |at: SocketAddr, id: &str, status| {
        let mut instance = Instance::at("service2", Host::Ip(at.ip()), at.port()).status(status);
        (instance.id, instance.node) = (id.into(), "larry".into());
        Arc::new(instance)
    };
    let instances =
        [instance(refusing, "a", Status::Passing), instance(server, "b", Status::Warning)];
    let snapshot = Snapshot::new(instances, Origin::Catalog, Instant::now());
    Pool::from_watch("service2", watch::channel(snapshot.into()).1)
}

#[tokio::test]
async fn a_call_has_a_span_and_so_has_each_of_its_tries() {
    let written = Written::default();
    let to = written.clone();
    let subscriber = fmt::Subscriber::builder()
        .with_max_level(Level::DEBUG)
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(move || to.clone())
        .without_time()
        .with_target(false)
        .with_ansi(false)
        .finish();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pool = pool(ports::unused().unwrap(), listener.local_addr().unwrap());
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_u8().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        stream
    };
    let guard = set_default(subscriber);
    let options = CallOptions::default().try_timeout(SOON).call_timeout(SOON);
    let client = Client::new(move |_| pool.clone()).with_options(options).unwrap();
    let call = client.get("http://service2/private?token=secret").send();
    let (answer, _stream) = tokio::join!(call, server);
    answer.unwrap();
    drop(guard);
    let call = "call{service=service2 method=GET}";
    let attempt = |number, id, end| {
        format!("{call}:try{{service=service2 instance={id} node=larry attempt={number} {end}}}")
    };
    let ended = [attempt(1, "a", "error=refused"), attempt(2, "b", "status=200"), call.to_owned()];
    assert_eq!(written.spans(), ended);
}
