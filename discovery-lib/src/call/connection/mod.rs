//! Connections to instances: how they are opened, used and kept.

pub(super) mod dial;
mod http1;
pub(super) mod idle;
mod socket;
mod upload;
mod waker;

pub(super) use http1::{Connection, HEAD_MAX, HEADERS_MAX, Lost};
pub(super) use socket::Traffic;
pub(super) use upload::Upload;
