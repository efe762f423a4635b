//! A registration with one request, for an instance that nothing keeps registered.

use super::{Registration, calls::published, subject::Subject};
use crate::{
    ServiceId,
    agent::AgentClient,
    error::{Error, Kind},
};

/// # Errors
/// A value is out of bounds, a check needs heartbeats, the agent did not answer, or it refused.
pub(crate) async fn register_once(
    agent: &AgentClient,
    registration: Registration,
) -> Result<ServiceId, Error> {
    registration.validate(agent.address())?;
    if registration.checks.heartbeat_every().is_some() {
        let text = format!(
            "{:?} can't be registered: a TTL check needs heartbeats, which a single request does not send; choose another check",
            registration.name
        );
        return Err(Error::new(Kind::Setting, text));
    }
    let subject = Subject::new(registration);
    let Registration { advertise, local, .. } = &subject.registration;
    let place = advertise.place(*local, agent.address(), &subject.names, None).await?;
    let host = published(agent, &subject, place).await;
    agent.register(&subject.body_once(host.as_ref())).await?;
    Ok(subject.id)
}
