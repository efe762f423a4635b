//! The name of this host: in a container, the id of the container.

/// The name of this host.
pub(crate) fn name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
