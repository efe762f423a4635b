//! Calls of a process that starts while Consul is away.

use discovery::{Origin, Pool};
use serde_json::json;
use testkit::proxy::Mode;
use tokio::time::timeout;

use super::server::{OK, Server};
use crate::{
    watch::disk::saved,
    world::{SOON, World, everywhere},
};

async fn register(world: &World, server: &Server) {
    let address = server.address;
    let registration =
        json!({"ID": "web-1", "Name": "web", "Address": address.ip(), "Port": address.port()});
    world.put("/v1/agent/service/register", &registration.to_string()).await;
}

async fn until_from(pool: &Pool, origin: Origin) {
    let is_from = || pool.explain().watched.snapshot.is_some_and(|it| it.origin == origin);
    let waited = timeout(SOON, async {
        while !is_from() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("not from {origin:?}: {}", pool.explain()));
}

#[tokio::test]
async fn a_process_that_starts_while_consul_is_away_reaches_its_peers() {
    everywhere(async |world| {
        let server = Server::always(OK).await;
        register(&world, &server).await;
        let directory = tempfile::tempdir().unwrap();
        let first = world.process(directory.path());
        assert_eq!(first.client().get("http://web/").await.unwrap().status(), 200);
        saved(directory.path(), &[&format!("{} passing", server.address)]).await;
        drop(first);
        for mode in [Mode::Closed, Mode::Hang] {
            world.away(mode).await;
            let process = world.process(directory.path());
            let pool = process.pool("web");
            timeout(SOON, pool.ready()).await.unwrap().unwrap();
            let answer = process.client().get("http://web/").await;
            assert_eq!(answer.unwrap().status(), 200, "{mode:?}");
            let page = pool.explain().to_string();
            assert!(
                page.contains("\nFrom disk, ") && page.contains("\nThe last query failed: "),
                "{page}"
            );
            let json = serde_json::to_value(pool.explain()).unwrap();
            assert_eq!(json["snapshot"]["origin"], "disk");
            let member = pool.pick().unwrap().member();
            world.back().await;
            until_from(&pool, Origin::Catalog).await;
            assert_eq!(pool.pick().unwrap().member(), member, "its statistics are kept");
        }
    })
    .await;
}
