//! `deregister ID`: removes a service from its agent.

use program::{Outcome, printable};

use super::consul::{Agent, with_hint};
use crate::print::write_stdout;

/// Removes a service from the agent at which it is registered
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: discovery deregister web-10.0.0.7-80

A service that something keeps registered, such as `discovery run`, is back a moment later.
Exit code 1: the agent does not have it, or did not answer.")]
pub(crate) struct Deregister {
    /// Its id, as `discovery resolve` lists it
    id: String,
    #[command(flatten)]
    agent: Agent,
}

impl Deregister {
    pub(super) async fn run(self) -> Outcome {
        let discovery = self.agent.discovery()?;
        let agent = discovery.agent();
        let id = self.id.as_str().into();
        let Some(service) = agent.service(&id).await.map_err(|err| with_hint(&err))? else {
            return Err(format!(
                "the agent at {} has no service with the id {:?}; `discovery resolve NAME` lists the ids of a service and the node of each",
                agent.address(),
                self.id
            )
            .into());
        };
        agent.deregister(&id).await.map_err(|err| with_hint(&err))?;
        write_stdout(&format!(
            "deregistered {} of {}\n",
            printable(&self.id),
            printable(&service.service)
        ))?;
        Ok(())
    }
}
