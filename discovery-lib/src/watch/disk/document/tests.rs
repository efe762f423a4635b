//! Files that can be used, and files that can't.

use proptest::{collection::btree_map, collection::vec, option, prelude::*};
use serde_json::{Value, json};

use super::*;

const TENANT: Tenant = Tenant { namespace: None, partition: None };

fn saved(query: &Query) -> SavedQuery {
    SavedQuery::new(query, &TENANT)
}

fn web() -> SavedQuery {
    saved(&Query::new("web"))
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn instance() -> impl Strategy<Value = Instance> {
    let host = prop_oneof![
        Just("10.0.0.1".into()),
        Just("::1".into()),
        "[a-z]{1,9}(\\.[a-z]{1,9}){0,2}".prop_map(|name| name.as_str().into()),
    ];
    let status = prop_oneof![
        Just(Status::Passing),
        Just(Status::Warning),
        Just(Status::Critical),
        Just(Status::Maintenance),
    ];
    let meta = || btree_map(".{0,4}", ".{0,4}", 0..3);
    let names = (".{0,6}", ".{0,6}", option::of(".{1,6}"));
    let weights = (any::<u16>(), any::<u16>());
    let tagged = btree_map(".{0,4}", (host.clone(), any::<u16>()), 0..3);
    let place = (host, 1..=u16::MAX, tagged);
    (names, meta(), place, vec(".{0,6}", 0..3), meta(), weights, status).prop_map(
        |(
            (id, node, datacenter),
            node_meta,
            (host, port, tagged),
            tags,
            meta,
            (passing, warning),
            status,
        )| {
            Instance {
                id: id.into(),
                node: node.into(),
                datacenter: datacenter.map(Into::into),
                node_meta: Arc::new(node_meta),
                tagged_addresses: tagged
                    .into_iter()
                    .map(|(name, (host, port))| (name, TaggedAddress::new(host, port)))
                    .collect(),
                tags,
                meta,
                weights: Weights { passing, warning },
                status,
                ..Instance::at("web", host, port)
            }
        },
    )
}

proptest! {
    #[test]
    fn what_was_written_is_read_with_its_age(instances in vec(instance(), 1..5), age in 0..AGE_MAX.as_secs()) {
        let shared: Vec<_> = instances.iter().cloned().map(Arc::new).collect();
        let now = at(2_000_000_000);
        let bytes = encode(&web(), now - Duration::from_secs(age), &shared).unwrap();
        let recalled = Recalled { instances, age: Duration::from_secs(age) };
        prop_assert_eq!(decode(&bytes, &web(), now), Ok(recalled));
    }

    #[test]
    fn a_part_of_a_file_is_not_used(instances in vec(instance(), 1..3), share in 0.0..1.0) {
        let shared: Vec<_> = instances.into_iter().map(Arc::new).collect();
        let bytes = encode(&web(), at(100), &shared).unwrap();
        let length = (bytes.len() as f64 * share) as usize;
        prop_assert!(decode(&bytes[..length], &web(), at(100)).is_err());
    }

    #[test]
    fn no_bytes_make_a_panic(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert!(decode(&bytes, &web(), at(100)).is_err());
    }
}

/// A file of one instance, whose answer was true at 1000 s.
fn good() -> Value {
    let instance = Arc::new(Instance::at("web", "10.0.0.1".into(), 80));
    serde_json::from_slice(&encode(&web(), at(1000), &[instance]).unwrap()).unwrap()
}

fn with(pointer: &str, value: &Value) -> Vec<u8> {
    let mut document = good();
    *document.pointer_mut(pointer).unwrap() = value.clone();
    serde_json::to_vec(&document).unwrap()
}

#[track_caller]
fn check(bytes: &[u8], now: SystemTime, expected: Result<u64, &str>) {
    let age = decode(bytes, &web(), now).map(|recalled| recalled.age.as_secs());
    match (&age, expected) {
        (Ok(age), Ok(expected)) => assert_eq!(*age, expected),
        (Err(why), Err(expected)) => assert!(why.starts_with(expected), "{why}"),
        _ => panic!("{age:?}, not {expected:?}"),
    }
}

#[test]
fn a_file_that_can_not_be_used_is_an_error_that_says_why() {
    let now = at(1000);
    let good = serde_json::to_vec(&good()).unwrap();
    check(&good, now, Ok(0));
    let huge = [good, vec![b' '; 16 << 20]].concat();
    let nested = [b'['; 100_000];
    let host = |text: &str| with("/instances/0/host", &json!(text));
    for (bytes, why) in [
        (&b""[..], "it is damaged: "),
        (b"{", "it is damaged: "),
        (b"\0\xff garbage", "it is damaged: "),
        (b"[]", "it is damaged: "),
        (b"{\"version\":1}", "it is damaged: missing field"),
        (&nested, "it is damaged: "),
        (&huge, "it is larger than the limit of 16 MiB"),
        (&with("/version", &json!(2)), "it has format version 2, not 1"),
        (&with("/query/service", &json!("db")), "it is the answer to another query"),
        (&with("/query/datacenter", &json!("dc2")), "it is the answer to another query"),
        (&with("/instances", &json!([])), "it has no instance"),
        (&with("/instances/0/port", &json!(0)), "its instance 10.0.0.1:80: it has no port"),
        (&with("/instances/0/port", &json!(70_000)), "it is damaged: "),
        (&with("/instances/0/status", &json!("well")), "it is damaged: "),
        (&with("/instances/0/weights", &json!({"passing": 1})), "it is damaged: "),
        (&host("a b"), "the host of its instance 10.0.0.1:80: \"a b\" is neither"),
        (&host("0.0.0.0"), "the host of its instance 10.0.0.1:80: 0.0.0.0 is not"),
    ] {
        check(bytes, now, Err(why));
    }
}

#[test]
fn a_file_has_a_known_age_within_limits() {
    let good = serde_json::to_vec(&good()).unwrap();
    let (day, future) = (24 * 60 * 60, Err("it is from the future"));
    for (now, expected) in [
        (1000, Ok(0)),
        (1010, Ok(10)),
        (1000 + 7 * day, Ok(7 * day)),
        (1001 + 7 * day, Err("it is older than 7 days")),
        (999, Ok(0)),
        (940, Ok(0)),
        (939, future),
        (0, future),
    ] {
        check(&good, at(now), expected);
    }
    check(&with("/as_of_unix_ms", &json!(u64::MAX)), at(1000), future);
}

#[test]
fn the_age_of_a_file_has_no_clock_before_1970() {
    let good = serde_json::to_vec(&good()).unwrap();
    check(&good, UNIX_EPOCH - Duration::from_secs(1), Err("it is from the future"));
}

#[test]
fn different_queries_have_different_files_and_do_not_read_each_other() {
    let web = || Query::new("web");
    let tenant = |name: &str| Tenant { namespace: Some(name.into()), partition: None };
    let of_team = SavedQuery::new(&web(), &tenant("team"));
    let queries: Vec<_> = [
        web(),
        Query::prepared("web"),
        Query::new("web/"),
        Query::new("web_"),
        web().source("dns".parse().unwrap()),
        web().datacenter("dc2"),
        web().tag("a"),
        web().tag("b"),
        web().filter("x"),
        web().node_meta("a", "b"),
        web().near("_agent"),
        web().consistency(Consistency::Default),
        web().consistency(Consistency::Consistent),
        web().consistency(Consistency::Cached),
        web().only_passing(),
        web().failover(["dc2"]),
        web().failover(["dc2"]).failover_below(50),
        web().failover(["dc2", "dc3"]),
    ]
    .iter()
    .map(saved)
    .chain([of_team])
    .collect();
    let names: BTreeSet<_> = queries.iter().map(SavedQuery::file_name).collect();
    assert_eq!(names.len(), queries.len());
    let instance = Arc::new(Instance::at("web", "10.0.0.1".into(), 80));
    for written in &queries {
        let bytes = encode(written, at(0), std::slice::from_ref(&instance)).unwrap();
        for read in &queries {
            assert_eq!(decode(&bytes, read, at(0)).is_ok(), read == written);
        }
    }
}

#[test]
fn the_name_of_a_file_is_a_plain_name_and_the_same_in_each_run() {
    let name = |service: &str| saved(&Query::new(service)).file_name();
    assert_eq!(name("web"), "web-7b6cc6cb5f214eab.snapshot.json");
    for service in ["", "..", "../../etc/passwd", "a b\0c", "käse", &"x".repeat(1000)] {
        let name = name(service);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        assert!(name.chars().all(is_plain) && name.len() < 100, "{name}");
        assert_eq!(name.matches('.').count(), 2, "{name}");
    }
}

#[test]
fn an_answer_that_is_too_large_is_not_written() {
    let tags = vec!["x".repeat(16 << 20)];
    let instance = Arc::new(Instance { tags, ..Instance::at("web", "10.0.0.1".into(), 80) });
    let error = encode(&web(), at(0), &[instance]).unwrap_err();
    assert_eq!(error, "it is larger than the limit of 16 MiB");
}
