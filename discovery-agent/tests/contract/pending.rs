//! What the embedded agent is yet to do. A row that holds and is still listed fails, so that the list only shrinks; it goes with its last row.

/// Names of rows.
pub(crate) const PENDING: &[&str] = &[
    "dns::names::every_address_has_a_name",
    "health::a_service_may_be_asked_by_tags",
    "http::json_is_compact_unless_asked_otherwise",
    "probes::a_deregistered_check_runs_no_more",
    "probes::a_tcp_check_goes_by_the_connection",
    "probes::an_http_check_asks_as_it_is_told",
    "probes::an_http_check_ends_with_its_timeout",
    "probes::an_http_check_goes_by_the_status_code",
    "probes::an_http_check_of_nobody_is_critical",
    "probes::an_http_check_says_who_asks",
    "probes::an_http_check_shows_what_was_answered",
    "query::namespaces_are_for_those_who_pay",
    "query::there_is_no_way_to_another_datacenter",
    "refused::checks_that_are_none",
    "refused::fields_that_nobody_knows",
    "refused::weights_that_are_none",
];
