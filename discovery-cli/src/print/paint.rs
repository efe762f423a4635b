//! Colours: only on a terminal, and not with NO_COLOR (<https://no-color.org>).

use std::{env, io::IsTerminal};

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    On,
    Off,
}

/// The meaning of a colour; the text has the same information.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Heading,
    Good,
    Doubtful,
    Bad,
}

impl Paint {
    /// For stdout.
    pub(crate) fn stdout() -> Self {
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if std::io::stdout().is_terminal() && !refused { Self::On } else { Self::Off }
    }

    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        let code = match (self, tone) {
            (Self::Off, _) | (_, Tone::Plain) => return text.to_owned(),
            (Self::On, Tone::Heading) => "1",
            (Self::On, Tone::Good) => "32",
            (Self::On, Tone::Doubtful) => "33",
            (Self::On, Tone::Bad) => "31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}
