//! A child process: where it runs, what it uses, and its end.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, ExitCode},
    thread,
    time::Duration,
};

use rustix::{
    param::clock_ticks_per_second,
    process::{Pid, Signal, kill_process, set_parent_process_death_signal},
};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};

use crate::{Result, cores::pin, roles::RUN};

/// For a process to accept connections, and to end after SIGTERM.
const WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A process and its children. They get SIGTERM when this is dropped, and when this process dies.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    /// Starts a command on these processors.
    pub(crate) fn start(
        name: &'static str,
        cores: &[usize],
        command: &[String],
    ) -> io::Result<Self> {
        let cores: Vec<_> = cores.iter().map(usize::to_string).collect();
        let mut starter = Command::new(std::env::current_exe()?);
        // In a group of its own, so that Ctrl-C is for this process alone, which ends the others.
        starter.process_group(0).args([RUN, &cores.join(",")]).args(command);
        Ok(Self { name, child: starter.spawn()? })
    }

    /// Waits until it accepts connections.
    pub(crate) async fn accepting(&mut self, at: SocketAddr) -> Result<()> {
        let until = Instant::now() + WITHIN;
        while TcpStream::connect(at).await.is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("{} ended at its start: {status}", self.name).into());
            }
            if Instant::now() >= until {
                return Err(format!("{} does not accept after {WITHIN:?}", self.name).into());
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// User and system time so far.
    pub(crate) fn cpu(&self) -> Duration {
        let ticks: u64 = self.pids().iter().map(|pid| ticks(&read(*pid, "stat"))).sum();
        Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64)
    }

    /// Resident bytes; of pages shared with other processes, a share (Pss).
    pub(crate) fn memory(&self) -> u64 {
        self.pids().iter().map(|pid| pss(&read(*pid, "smaps_rollup"))).sum()
    }

    /// Itself and its children.
    fn pids(&self) -> Vec<u32> {
        let own = self.child.id();
        let children = read(own, &format!("task/{own}/children"));
        let children = children.split_whitespace().map(|pid| pid.parse().unwrap());
        std::iter::once(own).chain(children).collect()
    }

    fn end(&mut self) -> io::Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let until = Instant::now() + WITHIN;
        while self.child.try_wait()?.is_none() {
            if Instant::now() >= until {
                self.child.kill()?;
                self.child.wait()?;
                return Err(io::Error::other("killed, because it did not end after SIGTERM"));
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }
}

impl Drop for Process {
    #[expect(clippy::print_stderr, reason = "a drop can't return an error")]
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("{}: {error}", self.name);
        }
    }
}

/// Becomes a program on some processors, which gets SIGTERM when its parent dies.
pub(crate) fn run(words: &[String]) -> ExitCode {
    let [cores, program, arguments @ ..] = words else { panic!("{words:?}") };
    let cores: Vec<usize> = cores.split(',').map(|core| core.parse().unwrap()).collect();
    pin(&cores).unwrap();
    set_parent_process_death_signal(Some(Signal::TERM)).unwrap();
    panic!("{program}: {}", Command::new(program).args(arguments).exec())
}

fn read(pid: u32, file: &str) -> String {
    let path = PathBuf::from(format!("/proc/{pid}/{file}"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The fields after the name, which is in brackets and may contain spaces, begin with the third. User time is the 14th, system time the 15th.
fn ticks(stat: &str) -> u64 {
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    [11, 12].map(|field| fields[field].parse::<u64>().unwrap()).iter().sum()
}

fn pss(rollup: &str) -> u64 {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}
