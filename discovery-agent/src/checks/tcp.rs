//! TCP checks: a connection that can be made is all there is to it.

use consul_wire::check::CheckStatus;
use tokio::{net::TcpStream, time::timeout};

use super::Finding;
use crate::state::TcpCheck;

pub(super) async fn look(check: &TcpCheck) -> Finding {
    let address = &check.address;
    match timeout(check.timeout, TcpStream::connect(address)).await {
        Ok(Ok(_)) => (CheckStatus::Passing, format!("TCP connect {address}: Success")),
        Ok(Err(err)) => (CheckStatus::Critical, format!("dial tcp {address}: {err}")),
        Err(_) => (CheckStatus::Critical, format!("dial tcp {address}: i/o timeout")),
    }
}
