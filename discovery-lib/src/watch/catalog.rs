//! Consul's HTTP catalog as a source: `/v1/health/service/NAME?stale`, all instances whatever their status, so that one that turned critical
//! is told apart from one that left. Asking for all of them does not wake more often than `?passing` does (M12).

use std::{sync::Arc, time::Duration};

use super::{carry::Source, entry, machine::Reply, odd::Odd, permits::Permits, snapshot::Origin};
use crate::{
    Error,
    agent::{AgentClient, Question},
};

#[derive(Debug, Clone)]
pub(super) struct Catalog {
    pub(super) agent: AgentClient,
    pub(super) permits: Arc<Permits>,
    pub(super) service: Arc<str>,
    pub(super) datacenter: Option<String>,
    pub(super) odd: Odd,
}

impl Source for Catalog {
    const ORIGIN: Origin = Origin::Catalog;

    async fn ask(&self, after: Option<(u64, Duration)>) -> Result<Reply, Error> {
        if let Some((_, wait)) = after
            && let Some(permit) = self.permits.waiting(wait).await
        {
            let answered = self.question(after).await;
            // After a timeout the agent may have the question still. Any other failure means that the connection is gone at its end too.
            if !answered.as_ref().is_err_and(Error::is_timeout) {
                permit.answered();
            }
            return answered;
        }
        let _permit = self.permits.at_once().await;
        self.question(None).await
    }

    fn whom(&self) -> String {
        format!("the agent at {}", self.agent.address())
    }
}

impl Catalog {
    async fn question(&self, after: Option<(u64, Duration)>) -> Result<Reply, Error> {
        let question = Question { after, stale: true, datacenter: self.datacenter.clone() };
        let answer = self.agent.health(&self.service, &question).await?;
        let (instances, unusable) = entry::instances(answer.body);
        self.odd.tell(&self.service, answer.left_out.into_iter().chain(unusable).collect());
        Ok(Reply {
            instances,
            index: answer.index,
            last_contact: answer.last_contact,
            ttl: Duration::ZERO,
        })
    }
}
