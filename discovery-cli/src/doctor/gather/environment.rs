//! The environment: the token file, proxies, the system's DNS server.

use std::{
    collections::BTreeMap,
    env, fs,
    net::{IpAddr, SocketAddr},
    os::unix::fs::PermissionsExt,
};

use crate::doctor::facts::{TokenFile, Variables};

/// The largest token file that is read.
const TOKEN_BYTES_MAX: u64 = 64 << 10;

const PROXIES: [&str; 6] =
    ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"];

pub(super) fn read(token_file: Option<&str>) -> Variables {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let proxies =
        PROXIES.iter().filter_map(|name| Some(((*name).to_owned(), without_password(&set(name)?))));
    Variables {
        unusable: None,
        token_file: token_file.map(inspect),
        has_token: token_file.is_some() || set("CONSUL_HTTP_TOKEN").is_some(),
        proxies: proxies.collect::<BTreeMap<_, _>>(),
    }
}

/// The URL without what is before its last `@`.
fn without_password(url: &str) -> String {
    match (url.rsplit_once('@'), url.split_once("://")) {
        (Some((_, host)), Some((scheme, _))) => format!("{scheme}://…@{host}"),
        (Some((_, host)), None) => format!("…@{host}"),
        (None, _) => url.to_owned(),
    }
}

fn inspect(path: &str) -> TokenFile {
    let read = || {
        let metadata = fs::metadata(path)?;
        if metadata.len() > TOKEN_BYTES_MAX || !metadata.is_file() {
            return Err(std::io::Error::other("it is not a small file with a token"));
        }
        let is_filled = !fs::read(path)?.trim_ascii().is_empty();
        Ok((is_filled, metadata.permissions().mode() & 0o004 != 0))
    };
    let read = read().map_err(|err| err.to_string());
    let is_world_readable = read.as_ref().is_ok_and(|(_, readable)| *readable);
    TokenFile {
        path: path.to_owned(),
        is_filled: read.map(|(is_filled, _)| is_filled),
        is_world_readable,
    }
}

/// The first DNS server of /etc/resolv.conf.
pub(super) fn resolver() -> Option<SocketAddr> {
    let text = fs::read_to_string("/etc/resolv.conf").ok()?;
    let server = |line: &str| line.trim().strip_prefix("nameserver")?.trim().parse::<IpAddr>().ok();
    Some(SocketAddr::new(text.lines().find_map(server)?, 53))
}
