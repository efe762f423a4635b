//! The effect of answers on members, by rows and by any sequence of answers.

use proptest::prelude::*;

use super::*;
use crate::instance::INCARNATION;

/// One of a few ids at one of a few addresses, in one of two copies, so that copies collide, move and replace each other.
fn instance(id: u8, port: u16, run: u8, status: Status) -> Arc<Instance> {
    let mut instance = Instance::at("web", Host::from("10.0.0.1"), port);
    instance.id = format!("web-{id}").into();
    instance.status = status;
    instance.meta.insert(INCARNATION.into(), run.to_string());
    Arc::new(instance)
}

fn at(id: u8, status: Status) -> Arc<Instance> {
    instance(id, u16::from(id), 0, status)
}

/// A member of an earlier update.
#[derive(Debug)]
struct Old {
    instance: Arc<Instance>,
    reserve_until: Option<Instant>,
    is_dropped: bool,
}

impl Old {
    fn live(instance: Arc<Instance>) -> Self {
        Self { instance, reserve_until: None, is_dropped: false }
    }

    fn known(&self) -> Known<'_> {
        let Self { ref instance, reserve_until, is_dropped } = *self;
        Known { instance, reserve_until, is_dropped }
    }
}

fn updated(old: &[Old], answer: &[Arc<Instance>], now: Instant) -> Vec<Next> {
    update(&old.iter().map(Old::known).collect::<Vec<_>>(), answer, Duration::from_secs(60), now)
}

/// The effect of this answer on a member that was not a reserve.
#[track_caller]
fn check(answer: &[Arc<Instance>], expected: &[(&str, Option<usize>, bool)]) {
    let old = [Old::live(at(1, Status::Passing))];
    let next = updated(&old, answer, Instant::now());
    let seen: Vec<_> = next
        .iter()
        .map(|it| (it.instance.id.as_str(), it.known, it.reserve_until.is_some()))
        .collect();
    assert_eq!(seen, expected);
}

#[test]
fn effect_of_an_answer_on_a_member() {
    check(&[at(1, Status::Passing)], &[("web-1", Some(0), false)]);
    check(&[at(1, Status::Warning)], &[("web-1", Some(0), false)]);
    check(&[at(1, Status::Critical)], &[("web-1", Some(0), true)]);
    check(&[at(1, Status::Maintenance)], &[]);
    check(&[], &[("web-1", Some(0), true)]);
}

#[test]
fn a_new_instance_is_a_member_if_it_may_be_called() {
    let old = [("web-1", Some(0), false)];
    let with = |status| [at(1, Status::Passing), at(2, status)];
    check(&with(Status::Passing), &[old[0], ("web-2", None, false)]);
    check(&with(Status::Warning), &[old[0], ("web-2", None, false)]);
    check(&with(Status::Critical), &old);
    check(&with(Status::Maintenance), &old);
}

#[test]
fn a_replaced_copy_is_not_a_reserve() {
    let restarted = instance(1, 1, 7, Status::Passing);
    check(&[restarted], &[("web-1", None, false)]);
    let moved = instance(1, 99, 0, Status::Passing);
    check(&[moved], &[("web-1", None, false)]);
    let restarted_badly = instance(1, 1, 7, Status::Critical);
    check(&[restarted_badly], &[]);
    let other_at_its_address = instance(2, 1, 0, Status::Passing);
    check(&[other_at_its_address], &[("web-2", None, false)]);
}

#[test]
fn a_reserve_ends_in_time_or_at_its_first_refusal_and_returns_when_healthy() {
    let (now, gone) = (Instant::now(), Vec::<Option<Instant>>::new());
    let until = now + Duration::from_secs(3);
    let critical = at(1, Status::Critical);
    for (is_dropped, now, answer, expected) in [
        (false, now, None, vec![Some(until)]),
        (false, now, Some(Status::Critical), vec![Some(until)]),
        (false, until, None, gone.clone()),
        (false, until, Some(Status::Critical), gone.clone()),
        (true, now, None, gone.clone()),
        (true, now, Some(Status::Critical), gone.clone()),
        (true, now, Some(Status::Passing), vec![None]),
        (false, now, Some(Status::Maintenance), gone),
    ] {
        let old = Old { instance: Arc::clone(&critical), reserve_until: Some(until), is_dropped };
        let answer: Vec<_> = answer.map(|status| at(1, status)).into_iter().collect();
        let next = updated(&[old], &answer, now);
        let reserves: Vec<_> = next.iter().map(|it| it.reserve_until).collect();
        assert_eq!(reserves, expected, "dropped: {is_dropped}, {answer:?}");
    }
}

fn status() -> impl Strategy<Value = Status> {
    prop::sample::select(vec![
        Status::Passing,
        Status::Warning,
        Status::Critical,
        Status::Maintenance,
    ])
}

/// An answer with each id at most once, the seconds since the previous one, and the reserves that refuse a caller before the next one.
fn answer() -> impl Strategy<Value = (Vec<Arc<Instance>>, u64, [bool; 8])> {
    let one = (0_u16..4, 0_u8..2, status());
    let some = prop::collection::btree_map(0_u8..6, one, 0..6);
    (some, 0_u64..50, any::<[bool; 8]>()).prop_map(|(some, wait, refusing)| {
        let instances =
            some.into_iter().map(|(id, (port, run, status))| instance(id, port, run, status));
        (instances.collect(), wait, refusing)
    })
}

proptest! {
    #[test]
    fn members_may_be_called_and_reserves_were_members_recently(
        answers in prop::collection::vec(answer(), 1..12),
    ) {
        let mut now = Instant::now();
        let mut old: Vec<Old> = Vec::new();
        let mut last_well: HashMap<Arc<str>, Instant> = HashMap::new();
        for (answer, wait, refusing) in answers {
            now += Duration::from_secs(wait);
            let next = updated(&old, &answer, now);
            let copy = |it: &Instance| -> Arc<str> { format!("{} {it} {:?}", it.id, it.meta).into() };
            let usable = |it: &Instance| matches!(it.status, Status::Passing | Status::Warning);
            let live: Vec<_> = next.iter().filter(|it| it.reserve_until.is_none()).collect();
            prop_assert_eq!(live.len(), answer.iter().filter(|it| usable(it)).count());
            for it in &next {
                if let Some(known) = it.known {
                    prop_assert!(old[known].instance.is_same_copy(&it.instance));
                } else {
                    prop_assert!(!old.iter().any(|old| old.instance.is_same_copy(&it.instance)));
                }
                match it.reserve_until {
                    None => prop_assert!(usable(&it.instance)),
                    Some(until) => {
                        prop_assert!(until > now);
                        // It was missing at most 50 s after it was last healthy, and stays for 60 s from then.
                        prop_assert!(now < last_well[&copy(&it.instance)] + Duration::from_secs(110));
                        prop_assert!(it.known.is_some());
                    }
                }
            }
            for dropped in old.iter().filter(|it| it.is_dropped) {
                let same = next.iter().filter(|it| it.instance.is_same_copy(&dropped.instance));
                prop_assert!({ same }.all(|it| it.reserve_until.is_none()), "a reserve refused and was kept");
            }
            let mut keys: Vec<_> = next.iter().map(|it| key(&it.instance)).collect();
            keys.sort_unstable();
            keys.dedup();
            prop_assert_eq!(keys.len(), next.len(), "one copy at a time");
            prop_assert_eq!(next_deadline(&next).is_some(), live.len() < next.len());
            for it in live {
                last_well.insert(copy(&it.instance), now);
            }
            old = next
                .into_iter()
                .zip(refusing.into_iter().cycle())
                .map(|(it, refuses)| Old {
                    is_dropped: refuses && it.reserve_until.is_some(),
                    instance: it.instance,
                    reserve_until: it.reserve_until,
                })
                .collect();
        }
    }

    /// A pointer saves work and decides nothing.
    #[test]
    fn an_instance_that_is_kept_and_one_that_is_equal_have_the_same_effect(
        answers in prop::collection::vec(answer(), 2..8),
        order in prop::collection::vec(any::<prop::sample::Index>(), 6),
    ) {
        let (mut now, mut old, mut last) = (Instant::now(), Vec::<Old>::new(), Vec::new());
        for (mut answer, wait, keeping) in answers {
            now += Duration::from_secs(wait);
            for (instance, keeps) in answer.iter_mut().zip(keeping) {
                let before = last.iter().find(|it: &&Arc<Instance>| it.id == instance.id);
                *instance = before.filter(|_| keeps).unwrap_or(instance).clone();
            }
            for (place, other) in order.iter().enumerate().take(answer.len()) {
                let other = other.index(answer.len());
                answer.swap(place, other);
            }
            let next = updated(&old, &answer, now);
            let equal: Vec<_> = answer.iter().map(|it| Arc::new(Instance::clone(it))).collect();
            prop_assert_eq!(&next, &updated(&old, &equal, now));
            let is_dropped = false;
            let member = |Next { instance, reserve_until, .. }| Old { instance, reserve_until, is_dropped };
            old = next.into_iter().map(member).collect();
            last = answer;
        }
    }
}
