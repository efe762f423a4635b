//! Indexes that can't be used. Whatever the index, the instances are those of the answer; only the pace differs.

use super::*;

/// Answers at once, with this index.
fn index(of: impl Fn(u64) -> String + Send + Sync + 'static) -> Act {
    Act::each(move |asked| vec![send(good(of(asked.nth), [82]))])
}

fn row(name: &'static str, act: Act, most: fn(Duration) -> u64) -> Row {
    Row { name, act, shows: Shows::Instances(&["10.0.0.1:82 passing"]), most }
}

pub(super) fn unusable() -> Vec<Row> {
    let fixed = |text: &'static str| index(move |_| text.to_owned());
    vec![
        row("counts down", index(|nth| (INDEX - 1 - nth).to_string()), following),
        row("counts up without waiting", index(|nth| (INDEX + 1 + nth).to_string()), following),
        row("never waits", fixed("1000000"), polling),
        row("has the index 0", fixed("0"), polling),
        row("has the index 1", fixed("1"), polling),
        row("has a negative index", fixed("-7"), polling),
        row("has an index of letters", fixed("seven"), polling),
        row("has two indexes in one", fixed("7, 8"), polling),
        row("has an index above 64 bits", fixed("18446744073709551616"), polling),
        row("has no index", Act::always([send(response(200, "", &list([82])))]), polling),
        row(
            "jumps to the last index and back",
            index(|nth| if nth % 2 == 0 { u64::MAX } else { 7 }.to_string()),
            following,
        ),
    ]
}

#[tokio::test]
async fn an_agent_that_is_behind_its_leader_makes_the_answer_older() {
    const YEARS: Duration = Duration::from_secs(3600 * 24 * 365 * 1000);
    for (contact, older) in [
        ("0", Duration::ZERO),
        ("60000", Duration::from_secs(60)),
        ("18446744073709551615", YEARS),
        ("-1", Duration::ZERO),
    ] {
        let headers = format!(
            "X-Consul-Index: 7\r\nX-Consul-Knownleader: false\r\nX-Consul-Lastcontact: {contact}\r\n"
        );
        let answer = response(200, &headers, &list([80]));
        let agent = Scripted::start(Act::Serve(7, answer)).await.unwrap();
        let watched = until_instances(&mut discovery(&agent).watch("web"), KNOWN).await;
        let age = watched.snapshot.unwrap().age(Instant::now());
        assert!(age >= older, "{age:?}");
    }
}

/// As an agent that was restarted does with an index that is in its future.
#[tokio::test]
async fn an_agent_that_holds_a_query_too_long_is_asked_without_an_index() {
    let agent = Scripted::start(Act::Serve(INDEX, good(INDEX, [80]))).await.unwrap();
    let mut watch = discovery(&agent).watch("web");
    until_instances(&mut watch, KNOWN).await;
    agent.set(Act::each(|asked| match asked.index {
        None => vec![send(good(INDEX, [80, 81]))],
        Some(_) => vec![Step::Silence],
    }));
    until_instances(&mut watch, &["10.0.0.1:80 passing", "10.0.0.1:81 passing"]).await;
}
