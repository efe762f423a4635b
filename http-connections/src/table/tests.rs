//! Which connections stay open and which are ended, without sockets.

use proptest::prelude::*;

use super::*;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const LIMITS: Limits = Limits {
    places: 4,
    per_client: None,
    head: Duration::from_secs(3),
    quiet: Duration::from_secs(9),
};

fn table(limits: Limits) -> Arc<Table> {
    Arc::new(Table::new(limits, CancellationToken::new()))
}

/// The activity of a connection.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Doing {
    Nothing,
    HalfAHead,
    HalfABody,
    InHand,
    Served,
}

/// Enters a connection with this activity; its request lasts until the returned exchange is dropped.
fn enter(table: &Arc<Table>, doing: Doing) -> (Place, Option<crate::Exchange>) {
    let place = table.enter(HERE).unwrap();
    let exchange = match doing {
        Doing::Nothing => None,
        Doing::HalfAHead => {
            place.slot.received();
            None
        }
        Doing::HalfABody => Some(place.exchanges().begin()),
        Doing::InHand | Doing::Served => {
            let exchange = place.exchanges().begin();
            exchange.in_hand();
            (doing == Doing::InHand).then_some(exchange)
        }
    };
    (place, exchange)
}

fn is_ended(place: &Place) -> bool {
    place.slot.end.is_cancelled()
}

#[test]
fn connections_over_their_time_are_ended_unless_in_hand() {
    for (doing, ticks) in [
        (Doing::Nothing, Some(10)),
        (Doing::Served, Some(10)),
        (Doing::HalfAHead, Some(4)),
        (Doing::HalfABody, None),
        (Doing::InHand, None),
    ] {
        let table = table(LIMITS);
        let (place, _exchange) = enter(&table, doing);
        let ended = (1..50).find(|_| {
            table.tick();
            is_ended(&place)
        });
        assert_eq!(ended, ticks, "{doing:?}");
    }
}

#[test]
fn bytes_of_an_answer_extend_the_time_and_bytes_of_a_head_do_not() {
    let table = table(LIMITS);
    let (trickling, _) = enter(&table, Doing::HalfAHead);
    let (taking, _) = enter(&table, Doing::Served);
    for _ in 0..20 {
        table.tick();
        trickling.slot.received();
        taking.slot.sent();
    }
    assert!(is_ended(&trickling));
    assert!(!is_ended(&taking));
}

#[test]
fn the_weakest_connection_is_ended_first() {
    use Doing::{HalfABody, HalfAHead, InHand, Nothing, Served};
    for (there, weakest) in [
        (&[Served, HalfAHead, Served, Served][..], Some(1)),
        (&[Served, Nothing, HalfAHead, Served], Some(1)),
        (&[InHand, Served, HalfABody, Served], Some(2)),
        (&[InHand, Served, Served, InHand], Some(1)),
        (&[InHand, InHand, InHand, InHand], None),
    ] {
        let table = table(LIMITS);
        let places: Vec<_> = there.iter().map(|doing| enter(&table, *doing)).collect();
        assert_eq!(table.make_room(), weakest.is_some(), "{there:?}");
        let ended = places.iter().position(|(place, _)| is_ended(place));
        assert_eq!(ended, weakest, "{there:?}");
        assert!(!table.make_room(), "one place is enough");
    }
}

#[test]
fn the_longest_idle_connection_is_ended_before_the_oldest() {
    let table = table(LIMITS);
    let places: Vec<_> = (0..4).map(|_| enter(&table, Doing::Served)).collect();
    table.tick();
    for used in [0, 1, 3] {
        drop(places[used].0.exchanges().begin());
    }
    table.make_room();
    let ended = places.iter().position(|(place, _)| is_ended(place));
    assert_eq!(ended, Some(2));
}

#[test]
fn a_client_at_its_limit_loses_an_idle_connection_or_is_refused() {
    let table = table(Limits { places: 100, per_client: Some(2), ..LIMITS });
    let elsewhere = table.enter([127, 0, 0, 2].into()).unwrap();
    let (busy, _in_hand) = enter(&table, Doing::InHand);
    let (idle, _) = enter(&table, Doing::Served);
    let (also_busy, _also_in_hand) = enter(&table, Doing::InHand);
    assert!(is_ended(&idle));
    assert!(table.enter(HERE).is_none(), "all of its places are in hand");
    assert!(!is_ended(&elsewhere));
    drop(also_busy);
    assert!(table.enter(HERE).is_some(), "a released place can be taken again");
    drop((busy, idle, elsewhere));
    let inner = table.lock();
    assert!(inner.places.is_empty() && inner.clients.is_empty() && inner.staying == 0);
}

#[tokio::test]
async fn a_new_connection_waits_while_all_are_in_hand() {
    let table = table(LIMITS);
    let mut places: Vec<_> = (0..4).map(|_| enter(&table, Doing::InHand)).collect();
    let mut room = std::pin::pin!(table.room());
    std::future::poll_fn(|cx| {
        assert!(room.as_mut().poll(cx).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    places.pop();
    room.await;
}

#[tokio::test]
async fn a_request_that_begins_while_its_connection_ends_is_finished() {
    let table = table(LIMITS);
    let (place, _) = enter(&table, Doing::Served);
    table.give_way();
    assert_eq!(place.ended().await, crate::End::AtOnce);
    let exchange = place.exchanges().begin();
    exchange.in_hand();
    assert_eq!(place.ended().await, crate::End::InOrder);
}

#[derive(Debug, Clone)]
enum Step {
    Enter(u8, bool),
    Leave(usize),
    Tick,
    GiveWay,
}

proptest! {
    #[test]
    fn counts_match_the_places(steps in proptest::collection::vec(step(), 0..200)) {
        let table = table(Limits { places: 8, per_client: Some(3), ..LIMITS });
        let mut held = Vec::new();
        for step in steps {
            match step {
                Step::Enter(client, in_hand) => {
                    if table.lock().places.len() < 8
                        && let Some(place) = table.enter([127, 0, 0, client].into())
                    {
                        let exchange = place.exchanges().begin();
                        if in_hand {
                            exchange.in_hand();
                            held.push((place, Some(exchange)));
                        } else {
                            held.push((place, None));
                        }
                        table.make_room();
                    }
                }
                Step::Leave(which) if !held.is_empty() => {
                    held.swap_remove(which % held.len());
                }
                Step::Leave(_) => {}
                Step::Tick => table.tick(),
                Step::GiveWay => table.give_way(),
            }
            let inner = table.lock();
            prop_assert_eq!(inner.places.len(), held.len());
            let staying = held.iter().filter(|(place, _)| !is_ended(place));
            prop_assert_eq!(inner.staying, staying.count());
            prop_assert_eq!(inner.staying, inner.clients.values().sum::<usize>());
            prop_assert!(inner.clients.values().all(|count| (1..=3).contains(count)));
            prop_assert!(held.iter().all(|(place, exchange)| exchange.is_none() || !is_ended(place)));
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..4_u8, any::<bool>()).prop_map(|(client, in_hand)| Step::Enter(client, in_hand)),
        2 => any::<usize>().prop_map(Step::Leave),
        1 => Just(Step::Tick),
        1 => Just(Step::GiveWay),
    ]
}
