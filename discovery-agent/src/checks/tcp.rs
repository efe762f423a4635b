//! TCP checks: a check passes if a connection can be made.

use consul_wire::check::CheckStatus;
use tokio::{net::TcpStream, time::timeout};

use super::CheckResult;
use crate::state::TcpCheck;

pub(super) async fn run(check: &TcpCheck) -> CheckResult {
    let address = &check.address;
    match timeout(check.timeout, TcpStream::connect(address)).await {
        Ok(Ok(_)) => (CheckStatus::Passing, format!("TCP connect {address}: Success")),
        Ok(Err(err)) => (CheckStatus::Critical, format!("dial tcp {address}: {err}")),
        Err(_) => (CheckStatus::Critical, format!("dial tcp {address}: i/o timeout")),
    }
}
