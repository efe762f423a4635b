//! An instance on a raw socket: it records what it gets, and answers as configured.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

use super::message::{Message, Unframed, describe};

/// How a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answering {
    /// With these bytes, once it is complete.
    With(&'static str),
    /// The same, and the connection is closed.
    AndClose(&'static str),
    /// With these bytes, once its head is there.
    Early(&'static str),
    /// With these bytes once its head is there, and with those once it is complete.
    Interim(&'static str, &'static str),
    /// With the service that the caller meant, and the name of this instance.
    Name(&'static str),
}

/// A running instance.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) at: SocketAddr,
    log: Arc<Log>,
    task: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Log {
    seen: Mutex<Vec<Message>>,
    opened: AtomicUsize,
    /// One permit per connection that ended.
    closed: Semaphore,
    /// The connection that ends it.
    last: OnceLock<SocketAddr>,
}

impl Instance {
    pub(super) async fn start(answering: Answering) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let log = Arc::new(Log {
            seen: Mutex::default(),
            opened: AtomicUsize::new(0),
            closed: Semaphore::new(0),
            last: OnceLock::new(),
        });
        let task =
            AbortOnDropHandle::new(tokio::spawn(accept(listener, answering, Arc::clone(&log))));
        Self { at, log, task }
    }

    /// The requests so far.
    pub(super) fn seen(&self) -> Vec<Message> {
        self.log.seen.lock().unwrap().clone()
    }

    /// Waits until all connections have ended, and describes the requests in one line.
    pub(super) async fn ended(self) -> String {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        self.log.last.set(socket.local_addr().unwrap()).unwrap();
        let _last = socket.connect(self.at).await.unwrap();
        self.task.await.unwrap();
        let seen = self.log.seen.lock().unwrap();
        if seen.is_empty() {
            "nothing".into()
        } else {
            seen.iter().map(describe).collect::<Vec<_>>().join(", ")
        }
    }

    /// Connections that were accepted.
    pub(super) fn opened(&self) -> usize {
        self.log.opened.load(SeqCst)
    }

    /// Waits for the end of a connection that was not waited for yet.
    pub(super) async fn closed(&self) {
        self.log.closed.acquire().await.unwrap().forget();
    }
}

async fn accept(listener: TcpListener, answering: Answering, log: Arc<Log>) {
    let mut serving = JoinSet::new();
    while let Ok((stream, peer)) = listener.accept().await {
        if log.last.get() == Some(&peer) {
            break;
        }
        log.opened.fetch_add(1, SeqCst);
        let log = Arc::clone(&log);
        serving.spawn(async move {
            serve(stream, answering, &log.seen).await;
            log.closed.add_permits(1);
        });
    }
    serving.join_all().await;
}

async fn serve(mut stream: TcpStream, answering: Answering, seen: &Mutex<Vec<Message>>) {
    let (mut bytes, mut has_begun) = (Vec::new(), false);
    loop {
        while let Some((message, rest)) = Message::first(&bytes, Unframed::Empty, false) {
            if let (false, Answering::Early(answer) | Answering::Interim(answer, _)) =
                (has_begun, answering)
            {
                has_begun = true;
                stream.write_all(answer.as_bytes()).await.ok();
            }
            if !message.is_complete {
                break;
            }
            (bytes, has_begun) = (rest.to_vec(), false);
            let service = message.header("discovery-service").unwrap_or_default().to_owned();
            seen.lock().unwrap().push(message);
            let name = |name: &str| {
                let body = format!("{name} {service}");
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            };
            let answer = match answering {
                Answering::With(answer)
                | Answering::AndClose(answer)
                | Answering::Interim(_, answer) => answer.to_owned(),
                Answering::Early(_) => String::new(),
                Answering::Name(own) => name(own),
            };
            stream.write_all(answer.as_bytes()).await.ok();
            if let Answering::AndClose(_) = answering {
                return;
            }
        }
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    if let Some((message, _)) = Message::first(&bytes, Unframed::Empty, false) {
        seen.lock().unwrap().push(message);
    }
}
