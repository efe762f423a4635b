//! Other routes for a running ambassador, from a file.

use std::{io, net::SocketAddr, time::Duration};

use ambassador::{Ambassador, Config, Listen};
use discovery::{Discovery, Settings, agent::AgentSettings};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::AbortOnDropHandle;

/// A server that sends its name to each connection, then what it gets.
async fn server(name: &'static str) -> (SocketAddr, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                stream.write_all(name.as_bytes()).await.ok();
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await.ok();
            });
        }
    });
    (at, AbortOnDropHandle::new(task))
}

fn discovery(to: SocketAddr) -> Discovery {
    let nowhere = AgentSettings::new("127.0.0.1:1".parse::<SocketAddr>().unwrap());
    let source = format!("fixed:{to}").parse().unwrap();
    Discovery::new(Settings::new(nowhere).source(source)).unwrap()
}

fn routes(listen: &[&str], more: &str) -> Config {
    let route = |at: &&str| format!("[[route]]\nlisten = \"{at}\"\nservice = \"app\"\n{more}\n");
    Config::from_toml(&listen.iter().map(route).collect::<String>()).unwrap()
}

fn ports(ambassador: &Ambassador) -> Vec<SocketAddr> {
    let port = |at: &Listen| match at {
        Listen::Tcp(at) => *at,
        Listen::Unix(_) | Listen::Udp(_) => panic!("{at} is not TCP"),
    };
    ambassador.addresses().iter().map(port).collect()
}

async fn hello(at: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(at).await?;
    let mut name = [0; 1];
    stream.read_exact(&mut name).await?;
    assert_eq!(&name, b"a");
    Ok(stream)
}

async fn says(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).await.unwrap();
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(back, text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removed_routes_close_their_port_and_keep_their_connections() {
    let (to, _server) = server("a").await;
    let first = routes(&["127.0.0.1:0", "[::1]:0"], "");
    let ambassador = Ambassador::start(&first, discovery(to), 2).unwrap();
    let [kept, removed] = ports(&ambassador)[..] else { panic!("two ports") };
    let (mut a, mut b) = (hello(kept).await.unwrap(), hello(removed).await.unwrap());
    ambassador.apply(&routes(&["127.0.0.1:0", "127.0.0.2:0"], "")).unwrap();
    let [still, added] = ports(&ambassador)[..] else { panic!("two ports") };
    assert_eq!(still, kept);
    hello(added).await.unwrap();
    hello(kept).await.unwrap();
    // The workers close their sockets soon after.
    while TcpStream::connect(removed).await.is_ok() {
        tokio::task::yield_now().await;
    }
    says(&mut a, b"goes on").await;
    says(&mut b, b"goes on").await;
    // The port is free, also while its last connection goes on.
    drop(TcpListener::bind(removed).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_routes_never_close_their_port() {
    let (to, _server) = server("a").await;
    let ambassador = Ambassador::start(&routes(&["127.0.0.1:0"], ""), discovery(to), 2).unwrap();
    let port = ports(&ambassador)[0];
    let mut kept = hello(port).await.unwrap();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            AbortOnDropHandle::new(tokio::spawn(async move {
                for _ in 0..200 {
                    hello(port).await?;
                }
                io::Result::Ok(())
            }))
        })
        .collect();
    for turn in 0..20 {
        let options = format!("connections = {}", 100 + turn);
        ambassador.apply(&routes(&["127.0.0.1:0"], &options)).unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for client in clients {
        client.await.unwrap().unwrap();
    }
    says(&mut kept, b"goes on").await;
    assert_eq!(ports(&ambassador), [port]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_changes_if_a_port_is_in_use() {
    let (to, _server) = server("a").await;
    let ambassador = Ambassador::start(&routes(&["127.0.0.1:0"], ""), discovery(to), 2).unwrap();
    let before = ports(&ambassador);
    let error = ambassador.apply(&routes(&["127.0.0.2:0", &to.to_string()], "")).unwrap_err();
    let expected =
        format!("{to} is in use: stop the process that listens on it, or choose another port");
    assert_eq!(error.to_string(), expected);
    assert_eq!(ports(&ambassador), before);
    hello(before[0]).await.unwrap();
}
