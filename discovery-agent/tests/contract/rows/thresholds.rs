//! `SuccessBeforePassing` and `FailuresBeforeCritical`: how many results in a row change a check that the agent executes.

use std::{collections::VecDeque, sync::Mutex};

use serde_json::{Value, json};

use crate::{
    probed::{INTERVAL, Probed, answer, becomes, with_check},
    table::{Row, row},
    target::{AnswerExt as _, Target},
};

pub(crate) const ROWS: &[Row] = &[
    row!(the_first_result_changes_a_check),
    row!(failures_in_a_row_make_a_check_critical),
    row!(successes_in_a_row_make_a_check_passing),
    row!(without_a_positive_threshold_each_result_changes_a_check),
    row!(the_first_result_after_a_registration_changes_a_check),
    row!(a_heartbeat_needs_no_threshold),
];

/// More than any row waits for.
const NEVER: u32 = 1000;

/// Answers with these status codes in order, then with the last one; the body is the number of the probe.
async fn scripted(codes: &[u16]) -> Probed {
    let codes = Mutex::new((0, codes.iter().copied().collect::<VecDeque<_>>()));
    Probed::with(move |_| {
        let (number, codes) = &mut *codes.lock().unwrap();
        *number += 1;
        let code = if codes.len() > 1 { codes.pop_front() } else { codes.front().copied() };
        answer(code.unwrap(), "", &number.to_string())
    })
    .await
}

/// Which probe gave the check this status. The results after it are of the other kind, whose threshold is never reached.
async fn decided(target: &Target, codes: &[u16], mut check: Value, status: &str) -> String {
    let probed = scripted(codes).await;
    (check["HTTP"], check["Interval"]) = (json!(probed.url("/")), json!(INTERVAL));
    let check = with_check(target, check).await;
    let output = becomes(target, &check, status).await;
    output.rsplit(' ').next().unwrap_or_default().to_owned()
}

async fn the_first_result_changes_a_check(target: &Target) {
    let check = json!({
        "Status": "warning", "FailuresBeforeCritical": NEVER, "SuccessBeforePassing": NEVER,
    });
    let (first, second) = tokio::join!(
        decided(target, &[500, 200, 500], check.clone(), "critical"),
        decided(target, &[200, 500, 200], check.clone(), "passing"),
    );
    assert_eq!([first, second], ["1", "1"]);
}

async fn failures_in_a_row_make_a_check_critical(target: &Target) {
    let check = json!({ "FailuresBeforeCritical": 3, "SuccessBeforePassing": NEVER });
    // A success between them starts the count over, and so does a warning.
    let (first, second) = tokio::join!(
        decided(target, &[200, 500, 500, 200, 500, 500, 500, 200], check.clone(), "critical"),
        decided(target, &[429, 500, 500, 429, 500, 500, 500, 200], check.clone(), "critical"),
    );
    assert_eq!([first, second], ["7", "7"]);
}

async fn successes_in_a_row_make_a_check_passing(target: &Target) {
    let check = json!({ "SuccessBeforePassing": 3, "FailuresBeforeCritical": NEVER });
    // A warning is a success too. The last one decides what the check becomes.
    let (first, second) = tokio::join!(
        decided(target, &[500, 200, 200, 500, 200, 429, 200, 500], check.clone(), "passing"),
        decided(target, &[500, 200, 200, 500, 200, 200, 429, 500], check.clone(), "warning"),
    );
    assert_eq!([first, second], ["7", "7"]);
}

async fn without_a_positive_threshold_each_result_changes_a_check(target: &Target) {
    for threshold in [-3, 0, 1] {
        let check = json!({
            "Status": "passing", "FailuresBeforeCritical": threshold, "SuccessBeforePassing": NEVER,
        });
        assert_eq!(decided(target, &[200, 500, 200], check, "critical").await, "2", "{threshold}");
    }
}

/// Consul starts the check anew, even if the registration is the same.
async fn the_first_result_after_a_registration_changes_a_check(target: &Target) {
    let probed = scripted(&[200, 500]).await;
    let name = target.unique("again");
    let check = json!({
        "HTTP": probed.url("/"), "Interval": INTERVAL, "FailuresBeforeCritical": NEVER,
    });
    let (check_id, service) = (format!("service:{name}"), json!({ "Name": name, "Check": check }));
    target.register(&service).await;
    target.until("two failures", || async { probed.asked().len() > 2 }).await;
    assert_eq!(target.status(&check_id).await.0, "passing");
    target.put_json("/v1/agent/service/register", &service).await.is(200, "");
    becomes(target, &check_id, "critical").await;
}

async fn a_heartbeat_needs_no_threshold(target: &Target) {
    let check = json!({ "TTL": "1h", "SuccessBeforePassing": 3, "FailuresBeforeCritical": 3 });
    let check = with_check(target, check).await;
    for (report, status) in [("pass", "passing"), ("fail", "critical"), ("warn", "warning")] {
        target.put(format!("/v1/agent/check/{report}/{check}")).await.is(200, "");
        assert_eq!(target.status(&check).await.0, status);
    }
}
