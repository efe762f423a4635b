//! The table against a plain list that decides the same.

use proptest::prelude::*;

use super::*;

/// What happens to a table, and after how many seconds.
#[derive(Debug, Clone)]
enum Step {
    /// A datagram of this client.
    Datagram(u8),
    /// Its session fails.
    Remove(u8),
    RemoveQuietest,
    Expire,
}

/// The same decisions on a list: the quietest session first.
#[derive(Debug, Default)]
struct Model(Vec<(u8, Instant)>);

impl Model {
    fn remove(&mut self, client: u8) -> Option<u8> {
        let at = self.0.iter().position(|(it, _)| *it == client)?;
        Some(self.0.remove(at).0)
    }

    fn expire(&mut self, now: Instant) -> Option<u8> {
        self.0.first().filter(|(_, at)| *at + IDLE <= now)?;
        Some(self.0.remove(0).0)
    }

    fn datagram(&mut self, client: u8, now: Instant, max: usize) -> Option<u8> {
        let is_new = self.remove(client).is_none();
        let ended = (is_new && self.0.len() >= max).then(|| self.0.remove(0).0);
        self.0.push((client, now));
        ended
    }
}

fn step() -> impl Strategy<Value = (Step, u64)> {
    let step = prop_oneof![
        8 => (0..12_u8).prop_map(Step::Datagram),
        1 => (0..12_u8).prop_map(Step::Remove),
        1 => Just(Step::RemoveQuietest),
        2 => Just(Step::Expire),
    ];
    (step, 0..40_u64)
}

proptest! {
    #[test]
    fn the_table_decides_as_a_list_would(steps in prop::collection::vec(step(), 0..200), max in 1..8_usize) {
        let (mut table, mut model) = (Sessions::new(max), Model::default());
        let mut now = Instant::now();
        for (step, seconds) in steps {
            now += Duration::from_secs(seconds);
            match step {
                Step::Datagram(client) => {
                    let found = table.touch(&client, now).copied();
                    let ended = if found.is_none() { table.insert(client, client, now) } else { None };
                    prop_assert_eq!(ended, model.datagram(client, now, max));
                }
                Step::Remove(client) => prop_assert_eq!(table.remove(&client), model.remove(client)),
                Step::RemoveQuietest => {
                    let quietest = model.0.first().map(|(client, _)| *client);
                    prop_assert_eq!(table.remove_quietest(), quietest.and_then(|it| model.remove(it)));
                }
                Step::Expire => loop {
                    let (ended, expected) = (table.expire(now), model.expire(now));
                    prop_assert_eq!(ended, expected);
                    if ended.is_none() { break; }
                },
            }
            prop_assert_eq!(table.len(), model.0.len());
            prop_assert!(table.len() <= max);
            prop_assert_eq!(table.next_deadline(), model.0.first().map(|(_, at)| *at + IDLE));
        }
    }
}

#[test]
fn a_new_client_replaces_the_quietest_one() {
    let now = Instant::now();
    let mut table = Sessions::new(2);
    assert_eq!(table.insert("first", 1, now), None);
    assert_eq!(table.insert("second", 2, now), None);
    assert_eq!(table.touch(&"first", now), Some(&mut 1));
    assert_eq!(table.insert("third", 3, now), Some(2));
}

#[test]
fn a_session_with_datagrams_stays() {
    let mut now = Instant::now();
    let mut table = Sessions::new(2);
    table.insert("busy", 1, now);
    table.insert("quiet", 2, now);
    now += IDLE / 2;
    table.touch(&"busy", now);
    now += IDLE / 2;
    assert_eq!((table.expire(now), table.expire(now)), (Some(2), None));
    assert_eq!(table.next_deadline(), Some(now + IDLE / 2));
}
