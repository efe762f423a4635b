//! `/explain` of a running program's admin listener.

use std::{collections::BTreeSet, error::Error as _, fmt, net::SocketAddr, time::Duration};

use discovery::{
    Error,
    agent::{AgentClient, AgentSettings},
};
use program::printable;
use serde_json::Value;

/// Deadline of the whole answer. The program has it in memory.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What a program explains: itself, and its pools.
#[derive(Debug)]
pub(crate) struct Admin {
    at: SocketAddr,
    answer: Value,
}

impl Admin {
    /// Asks the admin listener at this address.
    ///
    /// # Errors
    /// One sentence: there is none, or it is not one of these programs.
    pub(crate) async fn ask(at: SocketAddr) -> Result<Self, String> {
        let answer = fetch(at).await.map_err(|err| {
            let cause = root(&err);
            format!("no program answers at {at}: {cause}; set --admin to its ADMIN address")
        })?;
        if answer["calls"].is_array() || answer["routes"].is_array() {
            Ok(Self { at, answer })
        } else {
            Err(format!(
                "{at} is not the admin listener of a program: set --admin to its ADMIN address"
            ))
        }
    }

    /// The explanation of one service.
    ///
    /// # Errors
    /// The program does not call it: the sentence names those that it calls.
    pub(crate) fn explanation(&self, service: &str) -> Result<Value, String> {
        if let Some(found) = self.calls().find(|it| it["service"] == service) {
            return Ok(found.clone());
        }
        let known: BTreeSet<_> = self.calls().filter_map(|it| it["service"].as_str()).collect();
        let known = match known.len() {
            0 => "no service".to_owned(),
            _ => known.into_iter().collect::<Vec<_>>().join(", "),
        };
        Err(format!("{self} does not call {service}: it calls {known}"))
    }

    /// The explanation of each service: a server has a list, an ambassador has one per route.
    fn calls(&self) -> impl Iterator<Item = &Value> {
        let list = |field: &str| self.answer[field].as_array().into_iter().flatten();
        let routes = list("routes").map(|route| &route["calls"]);
        list("calls").chain(routes).filter(|it| it.is_object())
    }
}

impl fmt::Display for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.answer["id"].as_str() {
            Some(id) => write!(f, "{} at {}", printable(id), self.at),
            None => write!(f, "the program at {}", self.at),
        }
    }
}

/// The reason without the request, which the reader did not make.
fn root(err: &Error) -> String {
    match err.source() {
        _ if err.is_timeout() => format!("no answer within {} s", ANSWER_WITHIN.as_secs()),
        Some(cause) => cause.to_string(),
        None => err.to_string(),
    }
}

/// The client of an agent is a plain HTTP client with a deadline and a limit. It has no token here.
async fn fetch(at: SocketAddr) -> Result<Value, Error> {
    let client = AgentClient::new(AgentSettings::new(at))?;
    let answer = client.get("/explain", ANSWER_WITHIN).await?;
    // Another server answers with something else; that is not an error of the connection.
    Ok(serde_json::from_slice(answer.body()).unwrap_or(Value::Null))
}
