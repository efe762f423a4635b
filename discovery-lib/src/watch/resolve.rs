//! How the instances of a service are found, as `RESOLVE` writes it. Parsing only.

use std::{fmt, str::FromStr, sync::Arc};

use super::fixed;
use crate::{Error, Host, error::Kind};

/// Where the instances of a service come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Resolve {
    /// Consul's HTTP catalog: changes come as they happen, with every instance's status and tags.
    #[default]
    Catalog,
    /// Consul's DNS: polled, and only what is not critical.
    Dns,
    /// A list, for a program that is to run without Consul.
    Fixed(Arc<[(Host, u16)]>),
}

/// Before a fixed list.
const FIXED: &str = "fixed:";

impl FromStr for Resolve {
    type Err = Error;

    /// `catalog`, `dns`, or `fixed:HOST:PORT,...`.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "catalog" => Ok(Self::Catalog),
            "dns" => Ok(Self::Dns),
            _ => match text.strip_prefix(FIXED) {
                Some(list) => fixed::parse(list).map(Self::Fixed),
                None => {
                    Err(Error::new(Kind::Setting, "it takes catalog, dns or fixed:HOST:PORT,..."))
                }
            },
        }
    }
}

impl fmt::Display for Resolve {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Catalog => f.write_str("catalog"),
            Self::Dns => f.write_str("dns"),
            Self::Fixed(places) => {
                f.write_str(FIXED)?;
                for (count, (host, port)) in places.iter().enumerate() {
                    let comma = if count == 0 { "" } else { "," };
                    write!(f, "{comma}{host}:{port}")?;
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
    fn what_is_read_is_written_again() {
        for text in ["catalog", "dns", "fixed:10.0.0.1:80", "fixed:db:80,[::1]:81"] {
            assert_eq!(text.parse::<Resolve>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_can_not_be_read_says_what_can() {
        for (text, said) in [
            ("", "it takes catalog, dns or fixed:HOST:PORT,..."),
            ("DNS", "it takes catalog, dns or fixed:HOST:PORT,..."),
            ("db:80", "it takes catalog, dns or fixed:HOST:PORT,..."),
            ("fixed:db", "`db` has no port: write db:PORT"),
        ] {
            assert_eq!(text.parse::<Resolve>().unwrap_err().to_string(), said);
        }
    }
}
