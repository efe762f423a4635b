//! TCP by service name.

use discovery::Pool;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    in_flight,
    server::{OK, Server},
    unused,
};

#[tokio::test]
async fn a_connection_goes_to_an_instance_that_accepts() {
    let (gone, server) = (unused(), Server::always(OK).await);
    for _ in 0..20 {
        let pool = Pool::fixed("service2", [gone, server.address]);
        let (mut stream, pick) = pool.connect().await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), server.address);
        assert!(stream.nodelay().unwrap());
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert_ne!(stream.read(&mut [0; 64]).await.unwrap(), 0);
        assert_eq!(in_flight(&pool), 1);
        pick.succeed();
        assert_eq!(in_flight(&pool), 0);
    }
}

#[tokio::test]
async fn the_error_lists_each_instance_that_refused() {
    let error = Pool::fixed("db", []).connect().await.unwrap_err();
    assert_eq!(error.to_string(), "no call to db: it has no instances");
    let addresses = [unused(), unused(), unused(), unused()];
    let pool = Pool::fixed("db", addresses);
    let error = pool.connect().await.unwrap_err();
    assert_eq!(
        error.tried().len(),
        4,
        "a refused connection was certainly not served: each instance may be tried"
    );
    let text = error.to_string();
    assert!(
        error.is_no_instance() && text.ends_with(" refused; there is no other instance"),
        "{text}"
    );
    assert_eq!(in_flight(&pool), 0);
}
