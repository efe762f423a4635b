//! What a subscriber of tracing sees of a call.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use discovery::{CallOptions, Host, Instance, Origin, Pool, Snapshot, Status};
use tokio::{sync::watch, time::Instant};
use tracing::{Level, subscriber::set_default};
use tracing_subscriber::fmt::{self, format::FmtSpan};

use super::{
    SOON, client,
    server::{OK, Server},
    unused,
};

/// What was written.
#[derive(Debug, Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
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
    let server = Server::always(OK).await;
    let pool = pool(unused(), server.address);
    let guard = set_default(subscriber);
    let options = CallOptions::default().try_timeout(SOON).call_timeout(SOON);
    let client = client(&pool).with_options(options).unwrap();
    client.get("http://service2/private?token=secret").await.unwrap();
    drop(guard);
    let call = r#"call{service="service2" method=GET}"#;
    let attempt = |number, id, end| {
        format!("{call}:try{{service=service2 instance={id} node=larry attempt={number} {end}}}")
    };
    let ended = [attempt(1, "a", "error=refused"), attempt(2, "b", "status=200"), call.to_owned()];
    assert_eq!(written.spans(), ended);
}
