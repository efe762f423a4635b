//! The schemas of the bodies that Consul accepts: every field that it accepts, including those that are only refused here.

use super::schema::{Field, Shape, aliased, field};

/// `PUT /v1/agent/service/register`.
pub(super) const SERVICE: Shape = Shape::Object(&[&[
    field("ID", Shape::Text),
    field("Name", Shape::Text),
    field("Tags", Shape::List(&Shape::Text)),
    field("Address", Shape::Text),
    aliased("TaggedAddresses", "tagged_addresses", Shape::Map(&ADDRESS)),
    field("Meta", Shape::Map(&Shape::Text)),
    field("Port", Shape::Int),
    field("Weights", WEIGHTS),
    aliased("EnableTagOverride", "enable_tag_override", Shape::Flag),
    field("Check", CHECK),
    field("Checks", Shape::List(&CHECK)),
    field("Kind", Shape::Text),
    field("Token", Shape::Text),
    field("Proxy", Shape::Any),
    field("Connect", Shape::Any),
]]);
const ADDRESS: Shape =
    Shape::Object(&[&[field("Address", Shape::Text), field("Port", Shape::Int)]]);
const WEIGHTS: Shape =
    Shape::Object(&[&[field("Passing", Shape::Int), field("Warning", Shape::Int)]]);
/// A check within a registration.
const CHECK: Shape = Shape::Object(&[&[field("CheckID", Shape::Text)], CHECK_FIELDS]);
/// `PUT /v1/agent/check/register`, where the id of the check has another name.
pub(super) const CHECK_ALONE: Shape =
    Shape::Object(&[&[field("ID", Shape::Text), field("Token", Shape::Text)], CHECK_FIELDS]);
const CHECK_FIELDS: &[Field] = &[
    field("Name", Shape::Text),
    field("Notes", Shape::Text),
    field("Status", Shape::Text),
    aliased("ServiceID", "service_id", Shape::Text),
    field("TTL", Shape::Duration),
    field("HTTP", Shape::Text),
    field("Method", Shape::Text),
    field("Header", Shape::Map(&Shape::List(&Shape::Text))),
    field("Body", Shape::Text),
    field("TCP", Shape::Text),
    field("Interval", Shape::Duration),
    field("Timeout", Shape::Duration),
    field("OutputMaxSize", Shape::Int),
    aliased("DeregisterCriticalServiceAfter", "deregister_critical_service_after", Shape::Duration),
    aliased("ScriptArgs", "script_args", Shape::List(&Shape::Text)),
    field("Args", Shape::List(&Shape::Text)),
    aliased("DockerContainerID", "docker_container_id", Shape::Text),
    field("Shell", Shape::Text),
    field("GRPC", Shape::Text),
    field("GRPCUseTLS", Shape::Flag),
    aliased("TLSSkipVerify", "tls_skip_verify", Shape::Flag),
    field("AliasNode", Shape::Text),
    field("AliasService", Shape::Text),
    field("SuccessBeforePassing", Shape::Int),
    field("FailuresBeforeCritical", Shape::Int),
    field("ProxyHTTP", Shape::Any),
    field("ProxyGRPC", Shape::Any),
];
/// `PUT /v1/agent/check/update/:id`.
pub(super) const UPDATE: Shape =
    Shape::Object(&[&[field("Status", Shape::Text), field("Output", Shape::Text)]]);
