//! Consul's HTTP catalog as a backend: `/v1/health/service/NAME`, and `/v1/query/NAME/execute` for a prepared query.
//!
//! The default is to read all instances whatever their status, so that one that turned critical differs from one that left. That does not
//! wake more often than `?passing` does (M12).

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    backends::Reach,
    entry::{self, Record},
    left_out::LeftOutLog,
    machine::Reply,
    permits::Permits,
    snapshot::Origin,
};
use crate::{
    Error, Include, Query, Status,
    agent::{AgentClient, LastAnswer},
};

#[derive(Debug, Clone)]
pub(super) struct Catalog {
    agent: AgentClient,
    permits: Arc<Permits>,
    query: Arc<Query>,
    last: Arc<Mutex<LastAnswer<Record>>>,
    left_out_log: LeftOutLog,
}

impl Catalog {
    pub(super) fn new(query: &Query, reach: &Reach) -> Self {
        let (agent, permits) = (reach.agent.clone(), reach.permits.clone());
        let (query, last) = (Arc::new(query.clone()), Arc::default());
        Self { agent, permits, query, last, left_out_log: LeftOutLog::default() }
    }

    pub(super) fn endpoint(&self) -> String {
        format!("the agent at {}", self.agent.address())
    }

    pub(super) async fn ask(&self, after: Option<(u64, Duration)>) -> Result<Reply, Error> {
        if let Some((_, wait)) = after
            && let Some(permit) = self.permits.waiting(wait).await
        {
            let answered = self.send(after).await;
            // After a timeout the agent may still hold the query. After any other failure the connection is closed at its end too.
            if !answered.as_ref().is_err_and(Error::is_timeout) {
                permit.answered();
            }
            return answered;
        }
        let _permit = self.permits.at_once().await;
        self.send(None).await
    }

    async fn send(&self, after: Option<(u64, Duration)>) -> Result<Reply, Error> {
        let query = &self.query;
        let answer = self.agent.health_again(query, after, &self.last, entry::record).await?;
        let (mut instances, mut remarks) = entry::instances(answer.body);
        if query.near.is_none() {
            instances.sort_by(|a, b| (&a.node, &a.id).cmp(&(&b.node, &b.id)));
        }
        let is_prepared = query.is_prepared;
        if is_prepared && query.include == Include::Passing {
            instances.retain(|instance| instance.status == Status::Passing);
        }
        remarks.left_out.extend(answer.left_out);
        remarks.is_filtered_by_acls = answer.is_filtered_by_acls;
        self.left_out_log.report(&query.service, &remarks);
        Ok(Reply {
            origin: if is_prepared { Origin::PreparedQuery } else { Origin::Catalog },
            instances,
            // That of a prepared query can't be waited for.
            index: answer.index.filter(|_| !is_prepared),
            last_contact: answer.last_contact,
            ttl: Duration::ZERO,
            remarks,
        })
    }
}

#[cfg(test)]
mod tests;
