//! Dead instances at the address of a new one are deregistered, and no others.

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::{listener, ready, shown, start, web};
use crate::world::{SOON, World, everywhere};

/// Registers an instance of `web` of another program.
async fn register(world: &World, id: &str, address: &str, port: u16, meta: Value) {
    let check = json!({"TTL": "10m", "Status": "passing"});
    let registration = json!({"ID": id, "Name": "web", "Address": address, "Port": port, "Meta": meta, "Check": check});
    world.put("/v1/agent/service/register", &registration.to_string()).await;
}

async fn ids(world: &World) -> Vec<String> {
    let mut shown = shown(world).await;
    shown.sort();
    shown
}

#[tokio::test]
async fn a_new_instance_deregisters_dead_ones_at_its_address() {
    everywhere(async |world| {
        let (alive, dead, own) = (listener().await, listener().await, listener().await);
        let [open, closed] = [&alive, &dead].map(|it| it.local_addr().unwrap().port());
        drop(dead);
        let run = || json!({"incarnation": "0123456789abcdef"});
        register(&world, "dead", "", closed, run()).await;
        register(&world, "dead-by-address", "127.0.0.1", closed, run()).await;
        register(&world, "alive", "", open, run()).await;
        register(&world, "elsewhere", "127.0.0.2", closed, run()).await;
        register(&world, "of-another-library", "", closed, json!({})).await;
        let registered = start(&world, web(&own));
        ready(&registered).await;
        let left =
            ["alive passing", "elsewhere passing", "of-another-library passing", "web-1 passing"];
        let cleared = async {
            while ids(&world).await != left {
                sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        if timeout(SOON, cleared).await.is_err() {
            panic!("not {left:?} in time, but {:?}", ids(&world).await);
        }
    })
    .await;
}
