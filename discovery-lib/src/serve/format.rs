//! The two text formats of `/metrics`, and content negotiation between them.

use http::{HeaderMap, header};

/// A text format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Every scraper supports it.
    Prometheus,
    OpenMetrics,
}

const OPENMETRICS: &str = "application/openmetrics-text";
const PLAIN: &str = "text/plain";

impl Format {
    /// The format that Accept prefers; Prometheus's own without a preference.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let accepted =
            headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges: Vec<_> = accepted.flat_map(|value| value.split(',')).map(range).collect();
        // A wildcard does not select OpenMetrics: only scrapers that name it support it.
        let weight = |types: &[&str]| {
            let named = |wanted: &&str| ranges.iter().find(|(name, _)| name == wanted);
            types.iter().find_map(named).map_or(0.0, |(_, weight)| *weight)
        };
        if weight(&[OPENMETRICS]) > weight(&[PLAIN, "text/*", "*/*"]) {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Converts OpenMetrics text to this format. In Prometheus's own, `# TYPE` of a counter has the suffix `_total`, and there is no `# EOF`.
    pub(super) fn of_openmetrics(self, text: String) -> String {
        if self == Self::OpenMetrics {
            return text;
        }
        let counter = |line: &str| -> Option<String> {
            Some(line.strip_prefix("# TYPE ")?.strip_suffix(" counter")?.to_owned())
        };
        let counters: Vec<_> = text.lines().filter_map(counter).collect();
        let renamed = |line: &str| -> Option<String> {
            let (word, rest) = line.strip_prefix("# ")?.split_once(' ')?;
            let (name, rest) = rest.split_once(' ')?;
            let is_counter = counters.iter().any(|counter| counter == name);
            is_counter.then(|| format!("# {word} {name}_total {rest}\n"))
        };
        let lines = text.lines().filter(|line| *line != "# EOF");
        lines.map(|line| renamed(line).unwrap_or_else(|| format!("{line}\n"))).collect()
    }
}

/// A media range without its parameters, in lower case, and its weight.
fn range(text: &str) -> (String, f32) {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
    (name, weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_sent_only_if_accept_prefers_it() {
        use Format::{OpenMetrics, Prometheus};
        for (accept, format) in [
            (&[][..], Prometheus),
            (&["*/*"], Prometheus),
            (&["text/html,application/xhtml+xml,*/*;q=0.8"], Prometheus),
            (&["text/plain;version=0.0.4;q=0.5,*/*;q=0.1"], Prometheus),
            // Prometheus 2.5 to 2.50, and 3.
            (
                &[
                    "application/openmetrics-text; version=1.0.0; q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                ],
                OpenMetrics,
            ),
            (&["application/openmetrics-text"], OpenMetrics),
            (&["Application/OpenMetrics-Text;version=1.0.0"], OpenMetrics),
            (&["text/plain;q=0.1", "application/openmetrics-text;q=0.2"], OpenMetrics),
            (&["application/openmetrics-text;q=0.5, text/plain"], Prometheus),
            (&["application/openmetrics-text;q=0"], Prometheus),
            (&["application/openmetrics-text, text/*;q=0.9"], OpenMetrics),
        ] {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(header::ACCEPT, value.parse().unwrap());
            }
            assert_eq!(Format::wanted(&headers), format, "{accept:?}");
        }
    }
}
