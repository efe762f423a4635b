//! The addresses of host names, from the system's resolver: its hosts file, search domains, name service switch and DNS, as for other programs.
//!
//! The system's look-up blocks a thread and can't be cancelled, so there is at most one at a time per name. It returns no TTL, so answers are
//! cached for [`KEPT`].

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{net::lookup_host, sync::watch, time::Instant};
use tokio_util::task::AbortOnDropHandle;

use crate::{Error, Host, Instance, Pool, error::Kind};

/// How long an answer is cached. Longer makes fewer look-ups; calls to a host that moved fail for this long.
const KEPT: Duration = Duration::from_secs(5);
/// How long a failure is cached.
const FAILURE_KEPT: Duration = Duration::from_secs(1);
/// Cached names. Above that, those with an answer are removed.
const NAMES_MAX: usize = 1024;

/// The addresses of a host, with port 0, in the order of the system. At least one.
pub(crate) type Found = Result<Arc<[SocketAddr]>, Arc<io::Error>>;

/// A cache of look-ups.
#[derive(Debug, Default)]
pub(crate) struct Names {
    asked: Mutex<HashMap<Arc<str>, Asked>>,
}

/// A look-up that is running or done.
#[derive(Debug)]
struct Asked {
    /// None while it runs; then its result, and until when that is cached.
    found_rx: watch::Receiver<Option<(Found, Instant)>>,
    _task: AbortOnDropHandle<()>,
}

impl Names {
    /// The addresses of a host. Dropping the future does not cancel the look-up for other waiters.
    pub(crate) async fn find(&self, host: &str) -> Found {
        let system =
            |host: Arc<str>| async move { lookup_host((&*host, 0)).await.map(Iterator::collect) };
        self.find_by(host, system).await
    }

    async fn find_by<F>(&self, host: &str, look_up: impl Fn(Arc<str>) -> F) -> Found
    where
        F: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        loop {
            let mut found_rx = self.asked(host, &look_up);
            if let Ok(found) = found_rx.wait_for(Option::is_some).await
                && let Some((found, _)) = &*found
            {
                return found.clone();
            }
            // The look-up ended with its runtime: the next one uses this caller's.
        }
    }

    /// The last look-up, if its result is cached or it is running, else a new one.
    fn asked<F>(
        &self,
        host: &str,
        look_up: impl Fn(Arc<str>) -> F,
    ) -> watch::Receiver<Option<(Found, Instant)>>
    where
        F: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        let now = Instant::now();
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = asked.get(host).filter(|last| last.counts(now)) {
            return last.found_rx.clone();
        }
        if asked.len() >= NAMES_MAX {
            asked.retain(|_, one| one.is_running());
        }
        let (found_tx, found_rx) = watch::channel(None);
        let host = Arc::<str>::from(host);
        let look_up = look_up(host.clone());
        let task = tokio::spawn(async move {
            let found = found(look_up.await);
            let kept = if found.is_ok() { KEPT } else { FAILURE_KEPT };
            found_tx.send_replace(Some((found, Instant::now() + kept)));
        });
        let new = Asked { found_rx: found_rx.clone(), _task: AbortOnDropHandle::new(task) };
        asked.insert(host, new);
        found_rx
    }
}

impl Asked {
    fn counts(&self, now: Instant) -> bool {
        match &*self.found_rx.borrow() {
            Some((_, until)) => now < *until,
            None => self.is_running(),
        }
    }

    fn is_running(&self) -> bool {
        self.found_rx.borrow().is_none() && self.found_rx.has_changed().is_ok()
    }
}

impl Pool {
    /// The addresses of an instance, at least one: its own, or those of its host name, which are cached for 5 s. For protocols other than
    /// TCP; see [`Pool::connect`] for TCP. Cancel safe.
    ///
    /// # Errors
    ///
    /// Its host name has no address ([`Error::is_no_instance`]).
    pub async fn addresses(&self, instance: &Instance) -> Result<Vec<SocketAddr>, Error> {
        let name = match &instance.host {
            Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, instance.port)]),
            Host::Name(name) => name,
        };
        let found = self.names().find(name).await.map_err(|why| {
            Error::new(Kind::NoInstance, format!("{instance} has no address")).because(why)
        })?;
        Ok(found.iter().map(|address| SocketAddr::new(address.ip(), instance.port)).collect())
    }
}

fn found(answer: io::Result<Vec<SocketAddr>>) -> Found {
    match answer {
        Ok(none) if none.is_empty() => Err(Arc::new(io::Error::other("it has no address"))),
        Ok(addresses) => Ok(addresses.into()),
        Err(error) => Err(Arc::new(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use tokio::time::{advance, sleep};

    use super::*;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 0))
    }

    type LookUp = std::pin::Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

    /// A system whose nth look-up takes a minute and finds the nth address; each third one fails.
    #[derive(Default)]
    struct System(AtomicUsize);

    impl System {
        fn look_up(self: &Arc<Self>) -> impl Fn(Arc<str>) -> LookUp {
            let system = self.clone();
            move |_| {
                let count = system.0.fetch_add(1, Relaxed) + 1;
                Box::pin(async move {
                    sleep(Duration::from_secs(60)).await;
                    if count.is_multiple_of(3) {
                        return Err(io::Error::other("no answer"));
                    }
                    Ok(vec![address(u8::try_from(count).unwrap())])
                })
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_looked_up_once_however_many_ask_and_give_up() {
        let (names, system) = (Names::default(), Arc::<System>::default());
        let second = Duration::from_secs(1);
        for _ in 0..100 {
            let given_up = tokio::time::timeout(second / 10, names.find_by("db", system.look_up()));
            assert!(given_up.await.is_err());
        }
        for (found, count) in [(Some(1), 1), (Some(1), 1)] {
            let answer = names.find_by("db", system.look_up()).await.ok();
            assert_eq!(
                answer.as_deref(),
                found.map(|last| [address(last)]).as_ref().map(|it| &it[..])
            );
            assert_eq!(system.0.load(Relaxed), count);
        }
        names.find_by("other", system.look_up()).await.unwrap();
        assert_eq!(system.0.load(Relaxed), 2, "another name");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_kept_for_its_time_and_a_failure_for_less() {
        let (names, system) = (Names::default(), Arc::<System>::default());
        for (wait, count) in [
            (Duration::ZERO, 1),
            (KEPT - Duration::from_millis(1), 1),
            (Duration::from_millis(1), 2),
            // The third fails.
            (KEPT, 3),
            (FAILURE_KEPT - Duration::from_millis(1), 3),
            (Duration::from_millis(1), 4),
        ] {
            advance(wait).await;
            let found = names.find_by("db", system.look_up()).await;
            assert_eq!((found.is_ok(), system.0.load(Relaxed)), (count != 3, count), "{wait:?}");
        }
    }

    #[test]
    fn a_look_up_whose_runtime_ended_is_made_again() {
        let runtime =
            || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let names = Names::default();
        runtime().block_on(async {
            let never = |_| std::future::pending();
            let asked = names.find_by("db", never);
            assert!(tokio::time::timeout(Duration::from_millis(1), asked).await.is_err());
        });
        let found = runtime().block_on(names.find_by("db", |_| async { Ok(vec![address(1)]) }));
        assert_eq!(&*found.unwrap(), [address(1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn names_are_limited() {
        let names = Names::default();
        for number in 0..=NAMES_MAX {
            let name = number.to_string();
            let found = names.find_by(&name, |_| async { Ok(vec![address(1)]) });
            found.await.unwrap();
        }
        assert_eq!(names.asked.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn the_systems_names_are_found() {
        let found = Names::default().find("localhost").await.unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 0));
        Names::default().find("no.such.host.invalid").await.unwrap_err();
    }
}
