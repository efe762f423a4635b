//! File descriptors: each connection needs two, one per end.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{debug, warn};

use crate::Config;

/// For listeners, the agent, the admin listener, the runtime.
const RESERVED: u64 = 128;

/// Raises the limit of this process to the most that it may have, and returns how many connections that allows.
pub(crate) fn connections() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    if let Err(error) = &raised {
        debug!(%error, "limit on open files not raised");
    }
    let limit = if raised.is_ok() { maximum } else { current };
    limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit.saturating_sub(RESERVED) / 2).unwrap_or(usize::MAX)
    })
}

/// The connections that can be served: those that are wanted, or fewer.
pub(crate) fn possible(wanted: usize) -> usize {
    let possible = connections();
    // The default is as many as possible.
    if possible < wanted && wanted != Config::CONNECTIONS_MAX {
        warn!(
            wanted,
            possible, "fewer connections, because of the limit on open files (ulimit -n)"
        );
    }
    wanted.min(possible)
}
