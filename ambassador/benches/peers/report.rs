//! Medians over rounds, and numbers as text.

use std::time::Duration;

use crate::load::Run;

/// The rounds of one proxy in one row.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    rates: Vec<f64>,
    p99s: Vec<Duration>,
    calls: usize,
    cpu: Duration,
}

impl Summary {
    /// A round, and the CPU time that the proxy used meanwhile.
    pub(crate) fn add(&mut self, run: &Run, cpu: Duration) {
        let calls = run.latencies.len();
        self.rates.push(calls as f64 / run.elapsed.as_secs_f64());
        self.p99s.push(p99(&run.latencies));
        self.calls += calls;
        self.cpu += cpu;
    }

    /// Calls per second.
    pub(crate) fn rate(&self) -> f64 {
        let mut rates = self.rates.clone();
        rates.sort_unstable_by(f64::total_cmp);
        rates[rates.len() / 2]
    }

    pub(crate) fn p99(&self) -> Duration {
        let mut p99s = self.p99s.clone();
        p99s.sort_unstable();
        p99s[p99s.len() / 2]
    }

    /// Of all rounds: in one of them, the clock of the system is too coarse.
    pub(crate) fn cpu_per_call(&self) -> Duration {
        self.cpu.div_f64(self.calls as f64)
    }
}

/// The memory of a process without connections, and with them.
pub(crate) fn memory(idle: u64, connected: u64) -> String {
    let [idle, more] = [idle, connected.saturating_sub(idle)].map(|bytes| bytes as f64 / 1e6);
    format!("{idle:.1} MB, {more:.1} MB more with them")
}

/// With commas between thousands.
pub(crate) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The smallest of them that 99 of 100 do not exceed (nearest rank).
fn p99(sorted: &[Duration]) -> Duration {
    sorted[(sorted.len() * 99).div_ceil(100) - 1]
}
