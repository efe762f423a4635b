//! A client with an unlimited number of service names, such as a gateway that forwards names from its users.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use discovery::{Client, Pool};
use tokio::time::{Duration, sleep, timeout};

use crate::world::{SOON, everywhere};

/// Services per client.
const SERVICES_MAX: usize = 256;

/// A client whose services have one instance without a listener if their name starts with `web`, else none; and the number of its lookups.
fn client() -> (Client, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counts = asked.clone();
    let client = Client::new(move |service| {
        counts.fetch_add(1, Relaxed);
        let instance = service.starts_with("web").then(|| "127.0.0.1:1".parse().unwrap());
        Pool::fixed(service, instance)
    });
    (client, asked)
}

async fn call(client: &Client, service: &str) -> discovery::Error {
    client.get(&format!("http://{service}/")).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn a_client_refuses_names_beyond_its_limit_until_others_are_not_used() {
    let (client, asked) = client();
    for number in 0..SERVICES_MAX {
        assert!(!call(&client, &format!("web{number}")).await.is_limit());
    }
    let refused = call(&client, "webbed").await;
    assert!(refused.is_limit() && !refused.is_retryable(), "{refused}");
    assert_eq!(
        refused.to_string(),
        "no call to webbed: 256 other services were called in the last 60s, which is the limit of a client"
    );
    assert!(!call(&client, "web7").await.is_limit(), "it is called already");
    sleep(Duration::from_secs(61)).await;
    assert!(!call(&client, "web7").await.is_limit());
    assert!(!call(&client, "webbed").await.is_limit(), "others are not used any more");
    assert_eq!(asked.load(Relaxed), SERVICES_MAX + 1);
}

#[tokio::test(start_paused = true)]
async fn names_without_instances_never_block_one_with_instances() {
    let (client, asked) = client();
    for number in 0..SERVICES_MAX * 4 {
        assert!(!call(&client, &format!("nobody{number}")).await.is_limit());
        call(&client, "web").await;
    }
    assert_eq!(asked.load(Relaxed), SERVICES_MAX * 4 + 1, "web was looked up once");
}

#[tokio::test]
async fn a_pool_lookup_may_call_the_client_itself() {
    let of_itself = Arc::new(std::sync::OnceLock::<Client>::new());
    let found = of_itself.clone();
    let client = Client::new(move |service| {
        let client = found.get().unwrap().clone();
        assert!(format!("{client:?}").contains("Client"));
        Pool::fixed(service, [])
    });
    of_itself.set(client.clone()).unwrap();
    let calling = tokio::task::spawn_blocking(move || {
        tokio::runtime::Handle::current().block_on(async { call(&client, "web").await })
    });
    assert!(timeout(SOON, calling).await.expect("it hangs").unwrap().is_no_instance());
}

#[tokio::test]
async fn three_hundred_names_leave_connections_of_the_agent_for_others() {
    everywhere(async |world| {
        let client = world.discovery.client();
        for number in 0..300 {
            assert!(call(&client, &format!("nobody{number}")).await.is_no_instance());
        }
        assert!(world.held() < 150, "{} connections", world.held());
        world.register("web", 80).await;
        let pool = world.discovery.pool("web");
        timeout(SOON, pool.ready()).await.expect("no answer").unwrap();
    })
    .await;
}
