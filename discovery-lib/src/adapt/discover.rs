//! The instances of a pool for a balancer of tower: a `Discover`.

use std::{
    collections::{HashSet, VecDeque},
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use tower::discover::Change;

use crate::{
    Instance, MemberId, Pool,
    pool::{Usable, UsableChanges},
};

/// The instances of a pool as a [`Discover`](tower::discover::Discover), for a balancer of tower, or one of your own, with any protocol.
///
/// It has the instances that the pool picks from by their status in Consul: those whose checks all pass; if there are none, those with a warning;
/// if there are none of these either, those with a weight of 0, and then those that vanished or turned critical a short while ago
/// ([`PoolOptions::reserve`](crate::PoolOptions::reserve)). Each is inserted when it becomes one of these, and removed when it is none of them any
/// more. A copy that restarts is another one, also at the same address. While Consul does not answer, nothing changes. Before the first answer the
/// stream is pending; it never ends and never fails.
///
/// The balancer measures and excludes instances by itself: it does not know of ejections by the pool, nor the pool of its results. Unlike a
/// [`Client`](crate::Client) it does not repeat a request on another instance.
///
/// ```
/// use discovery::{Instance, Pool, adapt::Endpoints};
/// use tower::{balance::p2c::Balance, load::{CompleteOnResponse, PendingRequestsDiscover}};
/// use std::sync::Arc;
///
/// /// A client of one instance, in any protocol.
/// struct Connection(Arc<Instance>);
/// # impl tower::Service<()> for Connection {
/// #     type Response = ();
/// #     type Error = std::convert::Infallible;
/// #     type Future = std::future::Ready<Result<(), Self::Error>>;
/// #     fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
/// #         std::task::Poll::Ready(Ok(()))
/// #     }
/// #     fn call(&mut self, _: ()) -> Self::Future { std::future::ready(Ok(())) }
/// # }
///
/// # async fn run(pool: Pool) -> Result<(), tower::BoxError> {
/// let endpoints = Endpoints::new(&pool, |instance| Connection(Arc::clone(instance)));
/// let loaded = PendingRequestsDiscover::new(endpoints, CompleteOnResponse::default());
/// let balance = Balance::new(loaded);
/// tower::ServiceExt::oneshot(balance, ()).await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a stream does nothing unless polled"]
pub struct Endpoints<S> {
    changes: UsableChanges,
    known: HashSet<MemberId>,
    /// Of the last state: at most one per instance that came or left.
    queue: VecDeque<Change<MemberId, Arc<Instance>>>,
    make: Make<S>,
}

type Make<S> = Box<dyn FnMut(&Arc<Instance>) -> S + Send>;

impl<S> Endpoints<S> {
    /// The instances of this pool, each as what `make` returns for it. The pool is fed while this is held.
    pub fn new(pool: &Pool, make: impl FnMut(&Arc<Instance>) -> S + Send + 'static) -> Self {
        let (known, queue) = (HashSet::new(), VecDeque::new());
        Self { changes: pool.usable_changes(), known, queue, make: Box::new(make) }
    }

    fn endpoint(&mut self, change: Change<MemberId, Arc<Instance>>) -> Change<MemberId, S> {
        match change {
            Change::Insert(id, instance) => Change::Insert(id, (self.make)(&instance)),
            Change::Remove(id) => Change::Remove(id),
        }
    }
}

impl<S> Stream for Endpoints<S> {
    type Item = Result<Change<MemberId, S>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(change) = self.queue.pop_front() {
                return Poll::Ready(Some(Ok(self.endpoint(change))));
            }
            let Some(usable) = ready!(Pin::new(&mut self.changes).poll_next(cx)) else {
                return Poll::Ready(None);
            };
            self.queue = changes(&self.known, &usable).into();
            self.known = usable.into_iter().map(|(id, _)| id).collect();
        }
    }
}

/// From one state to the next. Those that come are first, so that a balancer is not empty between the two.
fn changes(known: &HashSet<MemberId>, usable: &Usable) -> Vec<Change<MemberId, Arc<Instance>>> {
    let stays: HashSet<_> = usable.iter().map(|(id, _)| *id).collect();
    let come = usable.iter().filter(|(id, _)| !known.contains(id));
    let left = known.difference(&stays);
    come.map(|(id, instance)| Change::Insert(*id, Arc::clone(instance)))
        .chain(left.map(|id| Change::Remove(*id)))
        .collect()
}

impl<S> fmt::Debug for Endpoints<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoints").field("known", &self.known).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        sync::watch,
        time::{Instant, advance, sleep},
    };

    use super::*;
    use crate::{Host, Origin, Snapshot, Status, Watched, Weights};

    /// A pool, its source, and what a balancer has of it.
    struct World {
        answers: watch::Sender<Watched>,
        endpoints: Endpoints<u16>,
        /// Port by key.
        has: Vec<(MemberId, u16)>,
    }

    impl World {
        fn new() -> Self {
            let (answers, watched) = watch::channel(Watched::default());
            let pool = Pool::from_watch("web", watched);
            let endpoints = Endpoints::new(&pool, |instance| instance.port);
            Self { answers, endpoints, has: Vec::new() }
        }

        /// The changes that an answer brings, as text: `+8001`, `-8001`.
        async fn answer(&mut self, instances: impl IntoIterator<Item = Instance>) -> Vec<String> {
            let instances = instances.into_iter().map(Arc::new);
            let snapshot = Snapshot::new(instances, Origin::Catalog, Instant::now());
            let snapshot = Some(Arc::new(Snapshot { index: 1, ..snapshot }));
            self.answers.send_replace(Watched { snapshot, ..Watched::default() });
            self.changes().await
        }

        async fn changes(&mut self) -> Vec<String> {
            // The clock is paused: this is until all tasks are idle.
            sleep(Duration::from_millis(1)).await;
            let mut changes = Vec::new();
            let mut cx = Context::from_waker(std::task::Waker::noop());
            while let Poll::Ready(change) = Pin::new(&mut self.endpoints).poll_next(&mut cx) {
                changes.push(match change.unwrap().unwrap() {
                    Change::Insert(id, port) => {
                        assert!(self.has.iter().all(|(known, _)| *known != id));
                        self.has.push((id, port));
                        format!("+{port}")
                    }
                    Change::Remove(id) => {
                        let place = self.has.iter().position(|(known, _)| *known == id);
                        format!("-{}", self.has.remove(place.unwrap()).1)
                    }
                });
            }
            changes
        }
    }

    fn instance(port: u16, status: Status) -> Instance {
        Instance { status, ..Instance::at("web", Host::from("10.0.0.1"), port) }
    }

    fn passing(ports: &[u16]) -> Vec<Instance> {
        ports.iter().map(|port| instance(*port, Status::Passing)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn an_instance_is_inserted_when_it_comes_and_removed_when_it_is_unusable() {
        use Status::{Critical, Maintenance, Passing, Warning};
        let mut world = World::new();
        assert!(world.changes().await.is_empty());
        let with = |status| [instance(1, Passing), instance(2, status)];
        let spare = Weights { passing: 0, warning: 0 };
        let weightless = Instance { weights: spare, ..instance(2, Passing) };
        for (answer, expected) in [
            (passing(&[]), &[][..]),
            (passing(&[1]), &["+1"]),
            (passing(&[1]), &[]),
            (passing(&[1, 2]), &["+2"]),
            (with(Warning).into(), &["-2"]),
            (with(Passing).into(), &["+2"]),
            (with(Critical).into(), &["-2"]),
            (with(Passing).into(), &["+2"]),
            (with(Maintenance).into(), &["-2"]),
            (with(Passing).into(), &["+2"]),
            (vec![instance(1, Passing), weightless], &["-2"]),
            (passing(&[3, 1]), &["+3"]),
            (passing(&[4]), &["+4", "-1", "-3"]),
            // Those of the next rank, where there is no better one.
            (vec![instance(4, Warning), instance(5, Warning)], &["+5"]),
            (vec![instance(4, Warning), instance(5, Passing)], &["-4"]),
            // Consul may be wrong: without a usable one, those of a short while ago.
            (vec![instance(5, Critical)], &["+1", "+2", "+3", "+4"]),
            (passing(&[5]), &["-1", "-2", "-3", "-4"]),
        ] {
            let mut changes = world.answer(answer.clone()).await;
            // Those that leave have no order.
            changes.sort();
            assert_eq!(changes, expected, "{answer:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_come_are_inserted_before_others_are_removed() {
        let mut world = World::new();
        world.answer(passing(&[1])).await;
        assert_eq!(world.answer(passing(&[2])).await, ["+2", "-1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_that_restarted_is_another_one() {
        let mut world = World::new();
        let run = |run: &str| {
            let mut instance = instance(1, Status::Passing);
            instance.meta.insert(crate::instance::INCARNATION.into(), run.into());
            instance
        };
        assert_eq!(world.answer([run("a")]).await, ["+1"]);
        assert_eq!(world.answer([run("a")]).await, [""; 0]);
        assert_eq!(world.answer([run("b")]).await, ["+1", "-1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_vanished_from_consul_is_removed_at_the_end_of_its_reserve() {
        let mut world = World::new();
        world.answer(passing(&[1])).await;
        assert_eq!(world.answer([]).await, [""; 0]);
        advance(Duration::from_secs(3600)).await;
        assert_eq!(world.changes().await, ["-1"]);
    }
}
