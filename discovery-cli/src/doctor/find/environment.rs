//! Variables that can't be used, and proxies between this machine's programs and the agent.

use std::net::IpAddr;

use crate::doctor::{
    Facts, Finding,
    facts::{Agent, TokenFile, Variables},
};

pub(super) fn find(facts: &Facts) -> Vec<Finding> {
    let unusable = facts.variables.unusable.as_ref().map(|why| {
        Finding::fault(
            "setting",
            "A setting can't be used, so nothing else was looked at.",
            "Correct or unset the variable or the flag.",
        )
        .seen([why.clone()])
    });
    let token_file = facts.variables.token_file.as_ref().and_then(token_file);
    let proxy = facts.agent.as_ref().and_then(|agent| proxy(&facts.variables, agent));
    unusable.into_iter().chain(token_file).chain(proxy).collect()
}

fn token_file(file: &TokenFile) -> Option<Finding> {
    let path = &file.path;
    let remedy = "Write a token into it, or unset --token-file and CONSUL_HTTP_TOKEN_FILE.";
    match &file.is_filled {
        Err(why) => Some(
            Finding::fault("token-file", format!("The token file {path} can't be read."), remedy)
                .seen([why.clone()]),
        ),
        Ok(false) => {
            Some(Finding::fault("token-file", format!("The token file {path} is blank."), remedy))
        }
        Ok(true) if file.is_world_readable => Some(Finding::fault(
            "token-file",
            format!("Every user of this machine can read the token file {path}."),
            format!("chmod o-r {path}"),
        )),
        Ok(true) => None,
    }
}

/// Who sends plain HTTP through the proxy of a variable, as curl, wget, Python's urllib and Consul's own command do it. This command does not.
fn users(variable: &str, is_loopback: bool) -> &'static str {
    match (variable, is_loopback) {
        ("http_proxy", true) => "curl, wget and Python",
        ("http_proxy", false) => "curl, wget, Python and the consul command",
        ("HTTP_PROXY", true) => "Python",
        ("HTTP_PROXY", false) => "Python and the consul command",
        _ => "curl",
    }
}

fn proxy(variables: &Variables, agent: &Agent) -> Option<Finding> {
    let host = agent.host.as_deref()?;
    let set = &variables.proxies;
    let exceptions = ["no_proxy", "NO_PROXY"].iter().find_map(|name| set.get(*name));
    if exceptions.is_some_and(|list| is_excepted(list, host)) {
        return None;
    }
    let bare = host.trim_matches(['[', ']']);
    let is_loopback = bare == "localhost" || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    let proxies = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
    let found: Vec<_> = proxies
        .into_iter()
        .filter_map(|name| {
            let value = set.get(name)?;
            Some(format!("{name} is {value}: used by {}", users(name, is_loopback)))
        })
        .collect();
    (!found.is_empty()).then(|| {
        Finding::fault(
            "proxy",
            format!("Other programs send their requests to the agent at {} through a proxy.", agent.address),
            format!("Add {bare} to NO_PROXY and no_proxy, separated by a comma. This command uses no proxy."),
        )
        .seen(found)
    })
}

/// Whether an element of this list is the host, a domain that it is in, or `*`.
fn is_excepted(list: &str, host: &str) -> bool {
    let bare = host.trim_matches(['[', ']']);
    list.split(',').map(str::trim).any(|element| {
        let domain = element.trim_start_matches('.');
        let is_in = bare.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        element == "*"
            || bare == domain
            || (is_in && !domain.is_empty())
            || is_in_network(element, bare)
    })
}

/// Whether the host is an address of an IPv4 network like `10.0.0.0/8`.
fn is_in_network(network: &str, host: &str) -> bool {
    let parsed = || {
        let (base, bits) = network.split_once('/')?;
        let IpAddr::V4(base) = base.parse().ok()? else { return None };
        let IpAddr::V4(host) = host.parse().ok()? else { return None };
        let rest = 32_u32.checked_sub(bits.parse().ok()?)?;
        Some((base.to_bits() ^ host.to_bits()).checked_shr(rest).unwrap_or(0) == 0)
    };
    parsed().unwrap_or(false)
}
