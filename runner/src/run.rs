//! Runs the program and its services, until all have ended: carries events to [`super::machine`], and executes its effects.

use std::{ffi::OsString, net::SocketAddr, sync::Arc, time::Duration};

use discovery::{Discovery, Lifecycle};
use rustix::process::{Signal, getpid, kill_process};
use tokio::{net::TcpStream, select, sync::watch, task::JoinSet, time::timeout};
use tracing::{debug, info};

use crate::{
    Error, Plan,
    children::{Child, Children, Status},
    exec,
    machine::{Effect, Event, Machine, Stop},
    service::{Kept, Order, Orders, probed_at},
    signals::{self, Signals},
    terminal,
};

/// The deadline of the check that no other process listens on the port of a service.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// Runs a program as registered services until it ends. Returns its exit code: 128 + n if signal n ended it.
///
/// Call it as early in the process as possible: before, signals have their default effect. It handles the signals of the whole process, and as
/// process 1 it reaps every child, so a process has one program.
///
/// # Errors
/// A registration is invalid, a port is in use, or the program can't be executed: then nothing was started. Or no caller could reach a service,
/// which may be known only later: then the program was ended with SIGTERM.
pub async fn run(discovery: &Discovery, plan: Plan) -> Result<u8, Error> {
    let mut signals = Signals::new().map_err(Error::signals)?;
    let mut of_children = signals::of_children().map_err(Error::signals)?;
    let children = Children::default();
    let Plan { command, hidden, services, drain, launcher } = plan;
    let hidden: Arc<[OsString]> = hidden.into();
    let mut kept = Vec::new();
    for service in services {
        let at = probed_at(&service);
        let service = Kept::new(discovery, service, at, children.clone(), hidden.clone())?;
        is_free(service.lifecycle().service(), at).await?;
        kept.push(service);
    }
    let program = exec::program(&command, &launcher, &hidden, &children)?;
    let name = command.first().map(|name| name.display());
    info!(pid = %program.pid(), program = name.map(tracing::field::display), "starting the program");
    let mut wrapper = Wrapper::new(program, kept, drain);
    while !wrapper.is_over() {
        let event = select! {
            signal = signals.next() => Event::Received(signal),
            _ = of_children.recv() => {
                children.collect();
                continue;
            }
            event = wrapper.event() => event,
        };
        wrapper.on(event);
    }
    wrapper.result()
}

/// Whether no process listens where a service of the program should: it would be taken for the program.
async fn is_free(service: &str, at: SocketAddr) -> Result<(), Error> {
    match timeout(CONNECT_WITHIN, TcpStream::connect(at)).await {
        Ok(Ok(_)) => Err(Error::in_use(service, at)),
        Ok(Err(_)) | Err(_) => Ok(()),
    }
}

/// The running program and its services.
struct Wrapper {
    machine: Machine,
    program: Child,
    code: Option<u8>,
    /// Dropping it ends all services.
    services: JoinSet<Result<(), discovery::Error>>,
    lifecycles: Vec<Lifecycle>,
    orders_tx: watch::Sender<Order>,
    failure: Option<discovery::Error>,
}

impl Wrapper {
    fn new(program: Child, kept: Vec<Kept>, drain: Duration) -> Self {
        let (orders_tx, orders_rx) = watch::channel(Order::Stay);
        let lifecycles = kept.iter().map(Kept::lifecycle).collect();
        let mut services = JoinSet::new();
        for service in kept {
            services.spawn(service.run(Orders(orders_rx.clone()), drain));
        }
        let machine = Machine::new();
        Self { machine, program, code: None, services, lifecycles, orders_tx, failure: None }
    }

    fn is_over(&self) -> bool {
        self.code.is_some() && self.services.is_empty()
    }

    fn result(self) -> Result<u8, Error> {
        match (self.failure, self.code) {
            (Some(failure), _) => Err(failure.into()),
            (None, code) => Ok(code.unwrap_or_default()),
        }
    }

    /// Waits for the next event of the program or of a service. Cancel-safe.
    async fn event(&mut self) -> Event {
        loop {
            select! {
                status = self.program.changed() => match status {
                    Status::Running => {}
                    Status::Stopped(signal) => return Event::Stopped(stop(signal)),
                    Status::Ended(code) => {
                        info!(code, "program ended");
                        self.code = Some(code);
                        return Event::Ended;
                    }
                },
                () = drained(&self.lifecycles), if self.machine.is_draining() => {
                    return Event::Drained;
                }
                Some(ended) = self.services.join_next() => match ended {
                    Ok(Ok(())) => return Event::Left,
                    Ok(Err(err)) => {
                        self.failure.get_or_insert(err);
                        return Event::Failed;
                    }
                    Err(err) => std::panic::resume_unwind(err.into_panic()),
                },
            }
        }
    }

    fn on(&mut self, event: Event) {
        let effect = self.machine.on(event);
        debug!(?event, ?effect, "event");
        match effect {
            None => {}
            Some(Effect::Leave) => self.order(Order::Leave),
            Some(Effect::LeaveNow) => self.order(Order::LeaveNow),
            Some(Effect::Send(signal)) => self.program.send(signal),
            Some(Effect::SendToGroup(signal)) => self.program.send_to_group(signal),
            Some(Effect::Suspend) => stop_self(Signal::STOP),
            Some(Effect::HandTerminal(signal)) => {
                if terminal::hand_to(self.program.pid()) {
                    self.program.send_to_group(Signal::CONT);
                } else {
                    stop_self(signal);
                }
            }
        }
    }

    fn order(&self, order: Order) {
        self.orders_tx.send_replace(order);
    }
}

/// Stops this process until it is continued. Process 1 of a container can't be stopped, and continues.
fn stop_self(signal: Signal) {
    if let Err(err) = kill_process(getpid(), signal) {
        debug!(error = %err, "the wrapper can't stop");
    }
}

/// Waits until the drain of all services is over. The end of one that left at once counts too.
async fn drained(lifecycles: &[Lifecycle]) {
    for lifecycle in lifecycles {
        lifecycle.drained().await;
    }
}

fn stop(signal: i32) -> Stop {
    match Signal::from_named_raw(signal) {
        Some(Signal::TSTP) => Stop::Suspended,
        Some(signal @ (Signal::TTIN | Signal::TTOU)) => Stop::NeedsTerminal(signal),
        _ => Stop::Other,
    }
}
