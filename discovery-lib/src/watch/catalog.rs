//! Consul's HTTP catalog as a source: `/v1/health/service/NAME?stale`, all instances whatever their status, so that one that turned critical
//! is told apart from one that left. Asking for all of them wakes no oftener than `?passing` does (M12).

use std::{sync::Arc, time::Duration};

use super::{carry::Source, entry, machine::Reply, seats::Seats, snapshot::Origin};
use crate::{
    Error,
    agent::{AgentClient, Question},
};

#[derive(Debug)]
pub(super) struct Catalog {
    pub(super) agent: AgentClient,
    pub(super) seats: Arc<Seats>,
    pub(super) service: Arc<str>,
    pub(super) datacenter: Option<String>,
}

impl Source for Catalog {
    const ORIGIN: Origin = Origin::Catalog;

    async fn ask(&self, after: Option<(u64, Duration)>) -> Result<Reply, Error> {
        if after.is_some()
            && let Some(_seat) = self.seats.waiting().await
        {
            return self.question(after).await;
        }
        let _place = self.seats.at_once().await;
        self.question(None).await
    }
}

impl Catalog {
    async fn question(&self, after: Option<(u64, Duration)>) -> Result<Reply, Error> {
        let question = Question { after, stale: true, datacenter: self.datacenter.clone() };
        let answer = self.agent.health(&self.service, &question).await?;
        Ok(Reply {
            instances: entry::instances(answer.body),
            index: answer.index,
            last_contact: answer.last_contact,
            ttl: Duration::ZERO,
        })
    }
}
