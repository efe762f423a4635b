//! A real Consul agent, started by a test on its own ports and in its own directory. It never uses a running agent.

mod binary;
mod guard;
mod process;
mod settings;

use std::{
    fs,
    io::{self, Read as _, Seek as _, SeekFrom},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{self, Instant};

use self::process::Process;
pub use self::{
    binary::{Binary, is_required, print_note},
    settings::{Clients, Settings},
};
use crate::{http::Request, ports};

/// The time limit for a start. A single server elects itself in about a second; slow machines and clusters need more.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// The time limit for a stop. SIGTERM takes a fraction of a second, or 5 s if the agent leaves a cluster.
const STOPPED_WITHIN: Duration = Duration::from_secs(20);
/// The interval at which readiness and exit are polled.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The number of log lines in an error.
const LOG_TAIL: u64 = 2_000;

/// A running (or killed) Consul agent. Dropping it kills and reaps the process and removes its directory, also if the test process is killed.
#[derive(Debug)]
pub struct Consul {
    settings: Settings,
    ports: Ports,
    process: Option<Process>,
    // The last field, so that the process ends before its directory is removed.
    dir: TempDir,
}

/// The data of a Consul agent that is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// As after a restart.
    Kept,
    /// As on a new machine: the data is removed.
    Wiped,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    http: u16,
    https: u16,
    dns: u16,
    server: u16,
    serf_lan: u16,
    serf_wan: u16,
}

impl Consul {
    /// The settings of a single server with this binary. It is not started yet.
    pub fn of(binary: &Binary) -> Settings {
        Settings::of(binary)
    }

    /// The address of its HTTP API.
    pub fn http_addr(&self) -> SocketAddr {
        local(self.ports.http)
    }

    /// The address of its HTTP API over TLS. Nothing listens there without [`Settings::tls`].
    pub fn https_addr(&self) -> SocketAddr {
        local(self.ports.https)
    }

    /// The address of its DNS, over UDP and TCP.
    pub fn dns_addr(&self) -> SocketAddr {
        local(self.ports.dns)
    }

    /// The address at which other agents of its datacenter join it (`retry_join`).
    pub fn serf_addr(&self) -> SocketAddr {
        local(self.ports.serf_lan)
    }

    /// The address at which servers of other datacenters join it (`retry_join_wan`).
    pub fn serf_wan_addr(&self) -> SocketAddr {
        local(self.ports.serf_wan)
    }

    /// Its node's name.
    pub fn node(&self) -> &str {
        &self.settings.node
    }

    /// Its datacenter.
    pub fn datacenter(&self) -> &str {
        &self.settings.datacenter
    }

    /// Its log so far.
    ///
    /// # Errors
    ///
    /// The file can't be read.
    pub fn log(&self) -> io::Result<String> {
        fs::read_to_string(self.log_file())
    }

    /// Sends SIGKILL and reaps the process. A second call does nothing.
    ///
    /// # Errors
    ///
    /// The system refused the signal.
    pub fn kill(&mut self) -> io::Result<()> {
        match self.process.take() {
            Some(process) => process.kill(),
            None => Ok(()),
        }
    }

    /// Sends SIGTERM and waits for the exit. Consul exits with 1 if it is configured to end without leaving (`leave_on_terminate`).
    ///
    /// # Errors
    ///
    /// It is not running, or has not exited after 20 s (it is then killed).
    pub async fn stop(&mut self) -> io::Result<ExitStatus> {
        let mut process =
            self.process.take().ok_or_else(|| io::Error::other("consul is not running"))?;
        process.signal(Signal::TERM)?;
        let deadline = Instant::now() + STOPPED_WITHIN;
        while Instant::now() < deadline {
            if let Some(status) = process.exited()? {
                return Ok(status);
            }
            time::sleep(LOOK_EVERY).await;
        }
        process.kill()?;
        Err(io::Error::new(io::ErrorKind::TimedOut, "consul did not stop on SIGTERM"))
    }

    /// Starts it on the same ports, under the same name, after [`kill`](Self::kill) or [`stop`](Self::stop), and waits as for the first start.
    ///
    /// # Errors
    ///
    /// As [`Settings::start`]; also when it is still running.
    pub async fn start_again(&mut self, data: Data) -> io::Result<()> {
        if self.process.is_some() {
            return Err(io::Error::other("consul is still running"));
        }
        if data == Data::Wiped {
            fs::remove_dir_all(self.data_dir())?;
        }
        self.spawn()?;
        self.ready().await
    }

    /// Sends SIGSTOP: its sockets stay open, and nothing is answered. A second call in a row is an error.
    ///
    /// # Errors
    ///
    /// It is not running.
    pub fn freeze(&self) -> io::Result<()> {
        self.running()?.freeze()
    }

    /// Sends SIGCONT: it continues.
    ///
    /// # Errors
    ///
    /// It is not running.
    pub fn thaw(&self) -> io::Result<()> {
        self.running()?.signal(Signal::CONT)
    }

    fn create(settings: Settings) -> io::Result<Self> {
        let [http, https, dns, server, serf_lan, serf_wan] = ports::free()?;
        let ports = Ports { http, https, dns, server, serf_lan, serf_wan };
        let dir = tempfile::Builder::new().prefix("consul-").tempdir()?;
        let consul = Self { settings, ports, process: None, dir };
        let ours = consul.settings.ours(ports, &consul.data_dir());
        fs::write(consul.dir.path().join("1-ours.json"), ours.to_string())?;
        fs::write(consul.dir.path().join("2-theirs.json"), consul.settings.config.to_string())?;
        Ok(consul)
    }

    #[expect(clippy::print_stderr, reason = "the output of a test must show its Consul")]
    async fn begin(mut self) -> io::Result<Self> {
        self.spawn()?;
        self.ready().await?;
        eprintln!("{} as {} at {}", self.settings.binary, self.node(), self.http_addr());
        Ok(self)
    }

    fn spawn(&mut self) -> io::Result<()> {
        let log = fs::File::options().create(true).append(true).open(self.log_file())?;
        let mut command = Command::new(self.settings.binary.path());
        command.args(["agent", "-config-dir"]).arg(self.dir.path()).env_clear();
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.process = Some(Process::start(&mut command, self.dir.path())?);
        Ok(())
    }

    async fn ready(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        while !self.answers().await {
            if let Some(process) = &mut self.process
                && let Some(status) = process.exited()?
            {
                return Err(self.failed(&format!("consul ended with {status}")));
            }
            if Instant::now() > deadline {
                return Err(self.failed("consul was not ready in time"));
            }
            time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Ready: the node is in the catalog with its check, which the leader sets, and its addresses, which its agent sets. The catalog does not
    /// change after that.
    async fn answers(&self) -> bool {
        let node = self.ask(&format!("/v1/catalog/node/{}", self.node())).await;
        let checks = self.ask(&format!("/v1/health/node/{}", self.node())).await;
        let addresses =
            node["Node"]["TaggedAddresses"].as_object().map(|addresses| addresses.len());
        let checks = checks.as_array().map(Vec::len);
        addresses > Some(0) && checks > Some(0)
    }

    /// Null without an answer.
    async fn ask(&self, target: &str) -> Value {
        match Request::get(target).send(self.http_addr()).await {
            Ok(answer) if answer.status.is_success() => answer.json(),
            _ => Value::Null,
        }
    }

    fn failed(&self, what: &str) -> io::Error {
        let tail = self.log_tail().unwrap_or_else(|error| error.to_string());
        let kind = if tail.contains("address already in use") {
            io::ErrorKind::AddrInUse
        } else {
            io::ErrorKind::Other
        };
        io::Error::new(kind, format!("{what}; its log ends: {tail}"))
    }

    fn log_tail(&self) -> io::Result<String> {
        let mut file = fs::File::open(self.log_file())?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        Ok(String::from_utf8_lossy(&tail).into_owned())
    }

    fn running(&self) -> io::Result<&Process> {
        self.process.as_ref().ok_or_else(|| io::Error::other("consul is not running"))
    }

    fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("consul.log")
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests;
