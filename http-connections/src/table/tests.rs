//! Which connections stay open and which are ended, without sockets.

use proptest::prelude::*;

use super::*;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const LIMITS: Limits = Limits {
    connections: 4,
    per_client: None,
    head: Duration::from_secs(3),
    idle: Duration::from_secs(9),
};

fn table(limits: Limits) -> Arc<Table> {
    Arc::new(Table::new(limits, CancellationToken::new()))
}

/// The activity of a connection.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Activity {
    Nothing,
    HalfAHead,
    HalfABody,
    InProgress,
    Served,
}

/// Adds a connection with this activity; its request lasts until the returned exchange is dropped.
fn connect(table: &Arc<Table>, activity: Activity) -> (Permit, Option<crate::Exchange>) {
    let permit = table.acquire(HERE).unwrap();
    let exchange = match activity {
        Activity::Nothing => None,
        Activity::HalfAHead => {
            permit.entry.received();
            None
        }
        Activity::HalfABody => Some(permit.exchanges().begin()),
        Activity::InProgress | Activity::Served => {
            let exchange = permit.exchanges().begin();
            exchange.in_progress();
            (activity == Activity::InProgress).then_some(exchange)
        }
    };
    (permit, exchange)
}

fn is_ended(permit: &Permit) -> bool {
    permit.entry.end.is_cancelled()
}

#[test]
fn connections_over_their_time_are_ended_unless_in_progress() {
    for (activity, ticks) in [
        (Activity::Nothing, Some(10)),
        (Activity::Served, Some(10)),
        (Activity::HalfAHead, Some(4)),
        (Activity::HalfABody, None),
        (Activity::InProgress, None),
    ] {
        let table = table(LIMITS);
        let (permit, _exchange) = connect(&table, activity);
        let ended = (1..50).find(|_| {
            table.tick();
            is_ended(&permit)
        });
        assert_eq!(ended, ticks, "{activity:?}");
    }
}

#[test]
fn bytes_of_an_answer_extend_the_time_and_bytes_of_a_head_do_not() {
    let table = table(LIMITS);
    let (trickling, _) = connect(&table, Activity::HalfAHead);
    let (taking, _) = connect(&table, Activity::Served);
    for _ in 0..20 {
        table.tick();
        trickling.entry.received();
        taking.entry.sent();
    }
    assert!(is_ended(&trickling));
    assert!(!is_ended(&taking));
}

#[test]
fn an_unused_connection_is_ended_before_an_idle_one() {
    use Activity::{HalfABody, HalfAHead, InProgress, Nothing, Served};
    for (present, evicted) in [
        (&[Served, HalfAHead, Served, Served][..], Some(1)),
        (&[Served, Nothing, HalfAHead, Served], Some(1)),
        (&[InProgress, Served, HalfABody, Served], Some(2)),
        (&[InProgress, Served, Served, InProgress], Some(1)),
        (&[InProgress, InProgress, InProgress, InProgress], None),
    ] {
        let table = table(LIMITS);
        let permits: Vec<_> = present.iter().map(|activity| connect(&table, *activity)).collect();
        assert_eq!(table.make_room(), evicted.is_some(), "{present:?}");
        let ended = permits.iter().position(|(permit, _)| is_ended(permit));
        assert_eq!(ended, evicted, "{present:?}");
        assert!(!table.make_room(), "one free permit is enough");
    }
}

#[test]
fn the_longest_idle_connection_is_ended_before_the_oldest() {
    let table = table(LIMITS);
    let permits: Vec<_> = (0..4).map(|_| connect(&table, Activity::Served)).collect();
    table.tick();
    for used in [0, 1, 3] {
        drop(permits[used].0.exchanges().begin());
    }
    table.make_room();
    let ended = permits.iter().position(|(permit, _)| is_ended(permit));
    assert_eq!(ended, Some(2));
}

#[test]
fn a_client_at_its_limit_loses_an_idle_connection_or_is_refused() {
    let table = table(Limits { connections: 100, per_client: Some(2), ..LIMITS });
    let elsewhere = table.acquire([127, 0, 0, 2].into()).unwrap();
    let (busy, _in_progress) = connect(&table, Activity::InProgress);
    let (idle, _) = connect(&table, Activity::Served);
    let (also_busy, _also_in_progress) = connect(&table, Activity::InProgress);
    assert!(is_ended(&idle));
    assert!(table.acquire(HERE).is_none(), "all of its requests are in progress");
    assert!(!is_ended(&elsewhere));
    drop(also_busy);
    assert!(table.acquire(HERE).is_some(), "a released permit can be acquired again");
    drop((busy, idle, elsewhere));
    let inner = table.lock();
    assert!(inner.entries.is_empty() && inner.clients.is_empty() && inner.open == 0);
}

#[tokio::test]
async fn a_new_connection_waits_while_all_are_in_progress() {
    let table = table(LIMITS);
    let mut permits: Vec<_> = (0..4).map(|_| connect(&table, Activity::InProgress)).collect();
    let mut room = std::pin::pin!(table.room());
    std::future::poll_fn(|cx| {
        assert!(room.as_mut().poll(cx).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    permits.pop();
    room.await;
}

#[tokio::test]
async fn a_request_that_begins_while_its_connection_ends_is_finished() {
    let table = table(LIMITS);
    let (permit, _) = connect(&table, Activity::Served);
    table.shed();
    assert_eq!(permit.ended().await, crate::End::Immediate);
    let exchange = permit.exchanges().begin();
    exchange.in_progress();
    assert_eq!(permit.ended().await, crate::End::Graceful);
}

#[derive(Debug, Clone)]
enum Step {
    Acquire(u8, bool),
    Release(usize),
    Tick,
    Shed,
}

proptest! {
    #[test]
    fn counts_match_the_entries(steps in proptest::collection::vec(step(), 0..200)) {
        let table = table(Limits { connections: 8, per_client: Some(3), ..LIMITS });
        let mut held = Vec::new();
        for step in steps {
            match step {
                Step::Acquire(client, in_progress) => {
                    if table.lock().entries.len() < 8
                        && let Some(permit) = table.acquire([127, 0, 0, client].into())
                    {
                        let exchange = permit.exchanges().begin();
                        if in_progress {
                            exchange.in_progress();
                            held.push((permit, Some(exchange)));
                        } else {
                            held.push((permit, None));
                        }
                        table.make_room();
                    }
                }
                Step::Release(which) if !held.is_empty() => {
                    held.swap_remove(which % held.len());
                }
                Step::Release(_) => {}
                Step::Tick => table.tick(),
                Step::Shed => table.shed(),
            }
            let inner = table.lock();
            prop_assert_eq!(inner.entries.len(), held.len());
            let open = held.iter().filter(|(permit, _)| !is_ended(permit));
            prop_assert_eq!(inner.open, open.count());
            prop_assert_eq!(inner.open, inner.clients.values().sum::<usize>());
            prop_assert!(inner.clients.values().all(|count| (1..=3).contains(count)));
            prop_assert!(held.iter().all(|(permit, exchange)| exchange.is_none() || !is_ended(permit)));
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..4_u8, any::<bool>()).prop_map(|(client, in_progress)| Step::Acquire(client, in_progress)),
        2 => any::<usize>().prop_map(Step::Release),
        1 => Just(Step::Tick),
        1 => Just(Step::Shed),
    ]
}
