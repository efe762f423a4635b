//! The source of the instances of a service, as text and as a value. Parsing only.

use std::{fmt, str::FromStr, sync::Arc};

use super::fixed;
use crate::{Error, Host, error::Kind};

/// The source of the instances of a service.
///
/// Text form: `catalog`, `dns` or `fixed:HOST:PORT,...`; several of them in order, separated by commas, with a fixed list last, are
/// [`Source::FirstOf`]: `catalog,dns` or `catalog,fixed:10.0.0.1:80,10.0.0.2:80`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Source {
    /// Consul's HTTP catalog: changes arrive as they happen, with the status and tags of each instance.
    #[default]
    Catalog,
    /// Consul's DNS: polled, without critical instances. Without the feature `dns`, a query of this source is an error.
    Dns,
    /// A list, for a program that works without Consul. It never fails.
    Fixed(Arc<[(Host, u16)]>),
    /// Several in order. The first one is queried. The next one is queried when that fails, or has no answer within 1 s (then the first
    /// answer of both is used); an empty answer is not a failure. Each answer names its origin
    /// ([`Snapshot::origin`](crate::Snapshot::origin)).
    FirstOf(Arc<[Self]>),
}

/// Before a fixed list.
const FIXED: &str = "fixed:";
const TAKES: &str = "it takes catalog, dns or fixed:HOST:PORT,...";

impl FromStr for Source {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut sources = Vec::new();
        let mut rest = Some(text);
        while let Some(text) = rest {
            if let Some(list) = text.strip_prefix(FIXED) {
                sources.push(fixed::parse(list).map(Self::Fixed)?);
                break;
            }
            let (first, others) = text.split_once(',').map_or((text, None), |(a, b)| (a, Some(b)));
            let source = match first {
                "catalog" => Self::Catalog,
                "dns" => Self::Dns,
                _ => return Err(Error::new(Kind::Setting, TAKES)),
            };
            if sources.contains(&source) {
                return Err(Error::new(Kind::Setting, format!("`{first}` is listed twice")));
            }
            sources.push(source);
            rest = others;
        }
        match sources.len() {
            1 => Ok(sources.remove(0)),
            _ => Ok(Self::FirstOf(sources.into())),
        }
    }
}

impl fmt::Display for Source {
    /// As it is parsed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comma = |count| if count == 0 { "" } else { "," };
        match self {
            Self::Catalog => f.write_str("catalog"),
            Self::Dns => f.write_str("dns"),
            Self::Fixed(addresses) => {
                f.write_str(FIXED)?;
                for (count, (host, port)) in addresses.iter().enumerate() {
                    write!(f, "{}{host}:{port}", comma(count))?;
                }
                Ok(())
            }
            Self::FirstOf(sources) => {
                for (count, source) in sources.iter().enumerate() {
                    write!(f, "{}{source}", comma(count))?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_parsed_and_displayed_unchanged() {
        for text in [
            "catalog",
            "dns",
            "fixed:10.0.0.1:80",
            "fixed:db:80,[::1]:81",
            "catalog,dns",
            "dns,catalog,fixed:db:80,[::1]:81",
        ] {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn several_sources_keep_their_order() {
        let sources = Source::FirstOf([Source::Dns, Source::Catalog].into());
        assert_eq!("dns,catalog".parse::<Source>().unwrap(), sources);
    }

    #[test]
    fn text_that_can_not_be_parsed_is_an_error_that_names_what_can() {
        for (text, error) in [
            ("", TAKES),
            ("DNS", TAKES),
            ("db:80", TAKES),
            ("catalog,", TAKES),
            ("catalog,dns,catalog", "`catalog` is listed twice"),
            ("fixed:db", "`db` has no port: write db:PORT"),
            ("catalog,fixed:db", "`db` has no port: write db:PORT"),
        ] {
            assert_eq!(text.parse::<Source>().unwrap_err().to_string(), error, "{text:?}");
        }
    }
}
