//! The two backends and the three proxies in front of them, as processes.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Command,
};

use tempfile::TempDir;

use crate::{
    Result, configs,
    configs::Service,
    cores::{Cores, Placement, pin},
    process::Process,
    roles::{AMBASSADOR, BACKEND},
    rows::Protocol,
};

/// A proxy that is measured.
#[derive(Debug)]
struct Program {
    name: &'static str,
    /// Of Debian; none if it is a part of this executable.
    package: Option<&'static str>,
    has_tcp: bool,
    /// Writes its configuration to a directory, and returns its command line.
    command: fn(&Service, &Path) -> io::Result<Vec<String>>,
}

const PROGRAMS: [Program; 3] = [
    Program { name: "ambassador", package: None, has_tcp: true, command: ambassador },
    Program { name: "haproxy", package: Some("haproxy"), has_tcp: true, command: haproxy },
    Program { name: "nginx", package: Some("nginx-light"), has_tcp: false, command: nginx },
];

/// All processes of a placement. They end when it is dropped, the proxies first.
#[derive(Debug)]
pub(crate) struct World {
    proxies: Vec<Proxy>,
    _backends: Vec<Process>,
    _dir: TempDir,
}

/// A running proxy.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) name: &'static str,
    pub(crate) process: Process,
    service: Service,
    has_tcp: bool,
}

/// What the programs that are installed say about their versions.
///
/// # Errors
/// One is not installed.
pub(crate) fn versions() -> Result<Vec<String>> {
    let mut versions = Vec::new();
    for Program { name, package, .. } in PROGRAMS {
        let Some(package) = package else { continue };
        let said = Command::new(name).arg("-v").output().map_err(|err| match err.kind() {
            io::ErrorKind::NotFound => {
                format!("{name} is not in PATH (often /usr/sbin): install the package {package}")
            }
            _ => format!("{name}: {err}"),
        })?;
        // nginx says it on stderr.
        let text = String::from_utf8([said.stdout, said.stderr].concat())?;
        versions.push(text.lines().next().unwrap_or(name).to_owned());
    }
    Ok(versions)
}

impl World {
    /// Starts the backends and the proxies. From now on, this process runs where the backends do.
    ///
    /// # Errors
    /// One of them does not start.
    pub(crate) async fn start(cores: &Cores, placement: Placement) -> Result<Self> {
        let (own, rest) = (cores.of_proxies(placement), cores.of_the_rest(placement));
        pin(rest)?;
        let dir = tempfile::tempdir()?;
        let this = path(&std::env::current_exe()?);
        let backends @ [a, b] = testkit::ports::free()?.map(local);
        let mut processes = Vec::new();
        for at in [a, b] {
            let command = [this.clone(), BACKEND.to_owned(), at.to_string()];
            let mut backend = Process::start("backend", rest, &command)?;
            backend.accepting(at).await?;
            processes.push(backend);
        }
        let mut proxies = Vec::new();
        for Program { name, has_tcp, command, .. } in PROGRAMS {
            let [tcp, http] = testkit::ports::free()?.map(local);
            let service = Service { threads: placement.threads(), tcp, http, backends };
            let mut process = Process::start(name, own, &command(&service, dir.path())?)?;
            process.accepting(http).await?;
            proxies.push(Proxy { name, process, service, has_tcp });
        }
        Ok(Self { proxies, _backends: processes, _dir: dir })
    }

    /// Those that have this protocol.
    pub(crate) fn proxies(&self, protocol: Protocol) -> impl Iterator<Item = &Proxy> {
        self.proxies.iter().filter(move |proxy| protocol == Protocol::Http || proxy.has_tcp)
    }
}

impl Proxy {
    pub(crate) fn at(&self, protocol: Protocol) -> SocketAddr {
        match protocol {
            Protocol::Tcp => self.service.tcp,
            Protocol::Http => self.service.http,
        }
    }

    /// An error of a load, with the name of the proxy.
    pub(crate) fn failed(&self, err: &io::Error) -> String {
        format!("{}: {err}", self.name)
    }
}

/// Runs a copy of this executable, so that it shares no page with the backends and the load: a part of its memory would be taken for theirs.
fn ambassador(service: &Service, dir: &Path) -> io::Result<Vec<String>> {
    let Service { threads, tcp, http, backends: [a, b] } = service;
    let program = dir.join("ambassador");
    fs::copy(std::env::current_exe()?, &program)?;
    Ok(vec![
        path(&program),
        AMBASSADOR.to_owned(),
        threads.to_string(),
        format!("fixed:{a},{b}"),
        format!("{tcp}=backend"),
        format!("{http}=http:backend"),
    ])
}

fn haproxy(service: &Service, dir: &Path) -> io::Result<Vec<String>> {
    let file = dir.join("haproxy.cfg");
    fs::write(&file, configs::haproxy(service))?;
    Ok(["haproxy", "-db", "-f", &path(&file)].map(str::to_owned).to_vec())
}

fn nginx(service: &Service, dir: &Path) -> io::Result<Vec<String>> {
    let file = dir.join("nginx.conf");
    fs::write(&file, configs::nginx(service, dir))?;
    // Without -e, it opens the log of the system before it reads its file.
    Ok(["nginx", "-e", "stderr", "-c", &path(&file)].map(str::to_owned).to_vec())
}

fn path(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
