//! The addresses to query, and one answer per way.

use std::{env, sync::Arc, time::Duration};

use discovery::{
    Discovery, Error, Instance, Query, Settings, Snapshot, Source, Watch, agent::ReadOptions,
};
use program::chain;
use tokio::time::timeout;

use super::{Line, Verdict, compare};

/// Deadline of an answer.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The addresses to query; the token and others come from CONSUL_*, as for Consul's own command.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Ask {
    /// Consul's HTTP API: HOST:PORT, http[s]://HOST:PORT or unix:///PATH; unset: 127.0.0.1:8500
    #[arg(long, env = "CONSUL_HTTP_ADDR", value_name = "ADDRESS")]
    http_addr: Option<String>,
    /// Consul's DNS: HOST:PORT; unset: port 8600 of the agent's host
    #[arg(long, env = "CONSUL_DNS_ADDR", value_name = "ADDRESS")]
    dns_addr: Option<String>,
    /// A file with the ACL token
    #[arg(long, env = "CONSUL_HTTP_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<String>,
    /// Datacenter to query; unset: the datacenter of the agent
    #[arg(long, value_name = "NAME")]
    datacenter: Option<String>,
}

/// Consul by HTTP and by DNS.
#[derive(Debug, Clone)]
pub(crate) struct Consul(Discovery);

/// The answer about a service, or one sentence with the error.
pub(crate) type Answer = Result<Arc<Snapshot>, String>;

/// A service by HTTP and by DNS.
#[derive(Debug, Clone)]
pub(crate) struct BothAnswers {
    pub(crate) http: Answer,
    pub(crate) dns: Answer,
}

impl Ask {
    /// The file with the ACL token.
    pub(crate) fn token_file(&self) -> Option<&str> {
        self.token_file.as_deref().filter(|path| !path.is_empty())
    }

    pub(crate) fn consul(self) -> Result<Consul, Error> {
        Ok(Consul(Discovery::new(self.settings()?)?))
    }

    /// The settings of the Consul client.
    pub(crate) fn settings(self) -> Result<Settings, Error> {
        let Self { http_addr, dns_addr, token_file, datacenter } = self;
        let mut settings = Settings::from_vars(|name| match name {
            "CONSUL_HTTP_ADDR" => http_addr.clone(),
            "CONSUL_DNS_ADDR" => dns_addr.clone(),
            "CONSUL_HTTP_TOKEN_FILE" => token_file.clone(),
            _ => env::var_os(name).map(|value| value.to_string_lossy().into_owned()),
        })?;
        settings.datacenter = datacenter;
        Ok(settings)
    }
}

impl Consul {
    pub(crate) fn discovery(&self) -> &Discovery {
        &self.0
    }

    /// The names of all services with their tags, from the HTTP catalog.
    pub(crate) async fn services(&self) -> Result<Vec<(String, Vec<String>)>, String> {
        let Self(discovery) = self;
        let mut options = ReadOptions::new();
        options.datacenter = discovery.settings().datacenter.as_deref().map(Into::into);
        match timeout(ANSWER_WITHIN, discovery.agent().services(&options)).await {
            Ok(Ok(answer)) => Ok(answer.body.into_iter().collect()),
            Ok(Err(err)) => Err(with_hint(&err)),
            Err(_) => Err(no_answer(&format!("the agent at {}", discovery.agent().address()))),
        }
    }

    /// Queries a service in both ways at once.
    pub(crate) async fn look(&self, service: &str) -> BothAnswers {
        let (http, dns) =
            tokio::join!(self.ask(service, Source::Catalog), self.ask(service, Source::Dns));
        BothAnswers { http, dns }
    }

    /// Queries once. A blocking query would stay at the agent after the end of this program.
    async fn ask(&self, service: &str, source: Source) -> Answer {
        let Self(discovery) = self;
        let query = Query::new(service).source(source.clone());
        match timeout(ANSWER_WITHIN, discovery.ask(query)).await {
            Ok(Ok(snapshot)) => Ok(Arc::new(snapshot)),
            Ok(Err(err)) => Err(with_hint(&err)),
            Err(_) => {
                let Settings { agent, dns, .. } = discovery.settings();
                Err(no_answer(&match source {
                    Source::Dns => format!("the DNS server at {dns}"),
                    _ => format!("the agent at {}", agent.address),
                }))
            }
        }
    }

    /// Watches a service in both ways: HTTP, DNS.
    pub(crate) fn watch(&self, service: &str) -> (Watch, Watch) {
        let Self(discovery) = self;
        let watch = |source| discovery.watch(Query::new(service).source(source));
        (watch(Source::Catalog), watch(Source::Dns))
    }
}

impl BothAnswers {
    /// All instances; if one way failed, those of the other.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let seen = |seen: &Answer| seen.as_ref().map(|snapshot| snapshot.instances.clone()).ok();
        let alone = |instances: &[Arc<Instance>]| {
            let line =
                |seen: &Arc<Instance>| Line { instance: seen.clone(), verdict: Verdict::Same };
            instances.iter().map(line).collect()
        };
        match (seen(&self.http), seen(&self.dns)) {
            (Some(http), Some(dns)) => compare(&http, &dns),
            (Some(one), None) | (None, Some(one)) => alone(&one),
            (None, None) => Vec::new(),
        }
    }

    /// The errors, if any.
    pub(crate) fn failure(&self) -> Option<String> {
        match (&self.http, &self.dns) {
            (Ok(_), Ok(_)) => None,
            (Err(http), Ok(_)) => Some(format!("by HTTP: {http}")),
            (Ok(_), Err(dns)) => Some(format!("by DNS: {dns}")),
            // One error is enough: both ways use the same agent.
            (Err(http), Err(_)) => Some(format!("by HTTP: {http}")),
        }
    }
}

/// The error; if the agent is unreachable, with advice.
pub(super) fn with_hint(err: &Error) -> String {
    let text = chain(err);
    if err.status().is_none() && err.is_retryable() {
        text + "; start one with `discovery agent`, or set --http-addr and --dns-addr"
    } else {
        text
    }
}

pub(super) fn no_answer(target: &str) -> String {
    format!("{target} did not answer within {} s", ANSWER_WITHIN.as_secs())
}
