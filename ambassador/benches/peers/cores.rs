//! The processors that the processes of the bench may use.

use std::fmt;

use program::Usage;
use rustix::{
    io,
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

use crate::Result;

/// Where the proxies run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// One thread, on a processor that nothing else of the bench uses.
    OneCore,
    /// Two threads, on any processor.
    Free,
}

/// The numbers of the processors that this process may use, at least two.
#[derive(Debug)]
pub(crate) struct Cores(Vec<usize>);

impl Placement {
    pub(crate) const ALL: [Self; 2] = [Self::OneCore, Self::Free];

    /// Those of a proxy.
    pub(crate) fn threads(self) -> usize {
        match self {
            Self::OneCore => 1,
            Self::Free => 2,
        }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneCore => "one core",
            Self::Free => "free",
        })
    }
}

impl Cores {
    /// # Errors
    /// There is only one.
    pub(crate) fn of_machine() -> Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let cores: Vec<_> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
        if cores.len() < 2 {
            let text = "this needs two processors, one for the proxies and one for the load";
            return Err(Usage(text.to_owned()).into());
        }
        Ok(Self(cores))
    }

    pub(crate) fn of_proxies(&self, placement: Placement) -> &[usize] {
        match placement {
            Placement::OneCore => &self.0[..1],
            Placement::Free => &self.0,
        }
    }

    pub(crate) fn of_the_rest(&self, placement: Placement) -> &[usize] {
        match placement {
            Placement::OneCore => &self.0[1..],
            Placement::Free => &self.0,
        }
    }
}

/// Keeps this thread on these processors, and all that it starts.
pub(crate) fn pin(cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    sched_setaffinity(None, &set)
}
