//! The explanation of a service by a pool of this command, from one answer of the catalog.

use discovery::{Pool, Query, Source, Watched};
use serde_json::Value;
use tokio::{sync::watch, time::timeout};

use super::ask::{ANSWER_WITHIN, Consul, no_answer, with_hint};

impl Consul {
    /// Asks once. A blocking query would stay at the agent after the end of this program.
    ///
    /// # Errors
    /// No answer, in one sentence.
    pub(crate) async fn explain(&self, service: &str) -> Result<Value, String> {
        let discovery = self.discovery();
        let query = Query::new(service).source(Source::Catalog);
        let snapshot = match timeout(ANSWER_WITHIN, discovery.ask(query)).await {
            Ok(answer) => answer.map_err(|err| with_hint(&err))?,
            Err(_) => {
                return Err(no_answer(&format!("the agent at {}", discovery.agent().address())));
            }
        };
        let (_answer, watched) = watch::channel(Watched::from(snapshot));
        let pool = Pool::from_watch(service, watched);
        pool.ready().await.map_err(|err| with_hint(&err))?;
        serde_json::to_value(pool.explain()).map_err(|err| err.to_string())
    }
}
