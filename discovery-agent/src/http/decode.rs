//! Request bodies: from JSON to the types of the state, and what Consul refuses.

use std::{collections::BTreeMap, time::Duration};

use consul_wire::{
    check::CheckStatus,
    service::{TaggedAddress, Weights},
};
use http::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    meta,
    reply::Failure,
    schema::{Shape, fit},
    shapes::{CHECK_ALONE, SERVICE, UPDATE},
};
use crate::state::{
    CheckDefinition, CheckKind, CheckTarget, HttpCheck, OUTPUT_BYTES_MAX, ServiceDefinition,
    TcpCheck, Thresholds,
};

/// The minimum interval of an HTTP or TCP check.
const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// The timeout of an HTTP or TCP check without `Timeout`.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    tags: Vec<String>,
    address: String,
    tagged_addresses: BTreeMap<String, RawAddress>,
    meta: BTreeMap<String, String>,
    port: i64,
    weights: Option<RawWeights>,
    enable_tag_override: bool,
    check: Option<Check>,
    checks: Vec<Check>,
    kind: String,
    proxy: Value,
    connect: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawAddress {
    address: String,
    port: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawWeights {
    passing: i64,
    warning: i64,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Check {
    #[serde(rename = "CheckID", alias = "ID")]
    id: String,
    name: String,
    notes: String,
    status: String,
    #[serde(rename = "ServiceID")]
    service_id: String,
    #[serde(rename = "TTL")]
    ttl: i64,
    #[serde(rename = "HTTP")]
    http: String,
    method: String,
    header: BTreeMap<String, Vec<String>>,
    body: String,
    #[serde(rename = "TCP")]
    tcp: String,
    interval: i64,
    timeout: i64,
    deregister_critical_service_after: i64,
    script_args: Vec<String>,
    args: Vec<String>,
    #[serde(rename = "DockerContainerID")]
    docker_container_id: String,
    #[serde(rename = "GRPC")]
    grpc: String,
    alias_node: String,
    alias_service: String,
    success_before_passing: i64,
    failures_before_critical: i64,
    output_max_size: i64,
}

/// A service registration: the service and its checks.
pub(crate) fn service(body: &[u8]) -> Result<(ServiceDefinition, Vec<CheckDefinition>), Failure> {
    let mut service: Service = read(body, SERVICE)?;
    if service.name.is_empty() {
        return Err(Failure::bad("Missing service name"));
    }
    if matches!(service.address.as_str(), "0.0.0.0" | "::" | "[::]") {
        return Err(Failure::bad("Invalid service address"));
    }
    let weights = weights(service.weights.as_ref())?;
    meta::validate(&service.meta)?;
    let checks = checks(service.check.take(), std::mem::take(&mut service.checks))?;
    refuse_mesh(&service)?;
    let address = |(tag, raw): (String, RawAddress)| {
        Ok((tag, TaggedAddress { address: raw.address, port: port(raw.port)? }))
    };
    let tagged = service.tagged_addresses.into_iter().map(address).collect::<Result<_, Failure>>();
    let definition = ServiceDefinition {
        id: if service.id.is_empty() { service.name.clone() } else { service.id },
        name: service.name,
        tags: service.tags,
        address: service.address,
        tagged_addresses: tagged?,
        meta: service.meta,
        port: port(service.port)?,
        weights,
        enable_tag_override: service.enable_tag_override,
    };
    Ok((definition, checks))
}

/// The checks of a service: the single one, which is ignored when it is empty, and the listed ones.
fn checks(single: Option<Check>, listed: Vec<Check>) -> Result<Vec<CheckDefinition>, Failure> {
    let single = single.filter(|check| *check != Check::default());
    let checks: Vec<Check> = single.into_iter().chain(listed).collect();
    for check in &checks {
        validate(check)?;
    }
    if checks.iter().any(|check| status(&check.status).is_none()) {
        return Err(Failure::bad("Status for checks must 'passing', 'warning', 'critical'"));
    }
    Ok(checks.into_iter().map(define).collect())
}

/// A check that is registered separately.
pub(crate) fn check(body: &[u8]) -> Result<CheckDefinition, Failure> {
    let check: Check = read(body, CHECK_ALONE)?;
    if check.name.is_empty() {
        return Err(Failure::bad("Missing check name"));
    }
    if status(&check.status).is_none() {
        return Err(Failure::bad("Bad check status"));
    }
    validate(&check)?;
    Ok(define(check))
}

/// The status and output of a check update.
pub(crate) fn update(body: &[u8]) -> Result<(CheckStatus, String), Failure> {
    #[derive(Debug, Default, Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    struct Update {
        status: String,
        output: String,
    }
    let update: Update = read(body, UPDATE)?;
    match status(&update.status) {
        Some(Some(status)) => Ok((status, update.output)),
        _ => Err(Failure::bad(format!("Invalid check status: '{}'", update.status))),
    }
}

/// Decodes the first value of a body. The bytes after it are ignored, as in Go.
fn read<T: DeserializeOwned + Default>(body: &[u8], shape: Shape) -> Result<T, Failure> {
    let failed = |why: String| Failure::bad(format!("Request decode failed: {why}"));
    let mut values = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
    let value = match values.next() {
        None => return Err(failed("EOF".to_owned())),
        Some(Err(err)) if err.is_eof() => return Err(failed("unexpected EOF".to_owned())),
        Some(Err(err)) => return Err(failed(err.to_string())),
        Some(Ok(value)) => value,
    };
    match fit(value, shape, "").map_err(failed)? {
        Value::Null => Ok(T::default()),
        value => serde_json::from_value(value).map_err(|err| failed(err.to_string())),
    }
}

fn port(port: i64) -> Result<u16, Failure> {
    u16::try_from(port).map_err(|_| Failure::bad(format!("Invalid service port {port}")))
}

fn weights(raw: Option<&RawWeights>) -> Result<Weights, Failure> {
    let Some(&RawWeights { passing, warning }) = raw else { return Ok(Weights::default()) };
    let invalid = |why: &str| Failure::bad(format!("Invalid Weights: {why}"));
    if passing < 1 {
        return Err(invalid("Passing must be greater than 0"));
    }
    if warning < 0 {
        return Err(invalid("Warning must be greater or equal than 0"));
    }
    match (u16::try_from(passing), u16::try_from(warning)) {
        (Ok(passing), Ok(warning)) => Ok(Weights { passing, warning }),
        _ => Err(invalid("DNS Weight must be between 0 and 65535")),
    }
}

/// `Some(None)`: not given.
fn status(text: &str) -> Option<Option<CheckStatus>> {
    match text {
        "" => Some(None),
        "passing" => Some(Some(CheckStatus::Passing)),
        "warning" => Some(Some(CheckStatus::Warning)),
        "critical" => Some(Some(CheckStatus::Critical)),
        _ => None,
    }
}

/// The first error that Consul finds in a check, in its order.
fn validate(check: &Check) -> Result<(), Failure> {
    let wrong = |what: &str| Err(Failure::bad(format!("Invalid check: {what}")));
    let scripted = !check.script_args.is_empty() || !check.args.is_empty();
    let looks = scripted
        || !check.http.is_empty()
        || !check.tcp.is_empty()
        || !check.grpc.is_empty()
        || !check.docker_container_id.is_empty();
    let aliased = !check.alias_node.is_empty() || !check.alias_service.is_empty();
    if check.interval > 0 && check.ttl > 0 {
        return wrong("Interval and TTL cannot both be specified");
    }
    if looks && check.interval <= 0 {
        return wrong("Interval must be > 0 for Script, HTTP, or TCP checks");
    }
    if !looks && !aliased && check.ttl <= 0 {
        return wrong("TTL must be > 0 for TTL checks");
    }
    if check.output_max_size < 0 {
        return wrong("MaxOutputMaxSize must be positive");
    }
    if scripted {
        return Err(Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Scripts are disabled on this agent from remote calls; to enable, configure 'enable_script_checks' to true",
        ));
    }
    if aliased || !check.grpc.is_empty() || !check.docker_container_id.is_empty() {
        return wrong("this agent runs TTL, HTTP and TCP checks");
    }
    if check.http.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:")) {
        return wrong("this agent runs HTTP checks without TLS");
    }
    Ok(())
}

fn define(check: Check) -> CheckDefinition {
    let interval = positive(check.interval).map_or(INTERVAL_MIN, |it| it.max(INTERVAL_MIN));
    let timeout = positive(check.timeout).unwrap_or(TIMEOUT_DEFAULT);
    let output_bytes_max = match usize::try_from(check.output_max_size) {
        Ok(0) | Err(_) => OUTPUT_BYTES_MAX,
        Ok(lower) => lower.min(OUTPUT_BYTES_MAX),
    };
    let kind = if !check.tcp.is_empty() {
        CheckKind::Active(CheckTarget::Tcp(TcpCheck { address: check.tcp, interval, timeout }))
    } else if !check.http.is_empty() {
        CheckKind::Active(CheckTarget::Http(HttpCheck {
            url: check.http,
            method: if check.method.is_empty() { "GET".to_owned() } else { check.method },
            headers: check.header,
            body: check.body,
            output_bytes_max,
            interval,
            timeout,
        }))
    } else {
        CheckKind::Ttl(positive(check.ttl).unwrap_or_default())
    };
    CheckDefinition {
        id: check.id,
        name: check.name,
        notes: check.notes,
        status: status(&check.status).flatten(),
        service_id: (!check.service_id.is_empty()).then_some(check.service_id),
        kind,
        deregister_after: positive(check.deregister_critical_service_after),
        thresholds: Thresholds {
            successes: check.success_before_passing.try_into().unwrap_or(0),
            failures: check.failures_before_critical.try_into().unwrap_or(0),
        },
        output_bytes_max,
    }
}

fn positive(nanos: i64) -> Option<Duration> {
    u64::try_from(nanos).ok().filter(|nanos| *nanos > 0).map(Duration::from_nanos)
}

/// Proxies and sidecars are not supported.
fn refuse_mesh(service: &Service) -> Result<(), Failure> {
    let something = |value: &Value| value.as_object().is_some_and(|map| !map.is_empty());
    if !service.kind.is_empty() || something(&service.proxy) || something(&service.connect) {
        return Err(Failure::bad(
            "Kind, Proxy and Connect are not supported: this agent has no service mesh",
        ));
    }
    Ok(())
}
