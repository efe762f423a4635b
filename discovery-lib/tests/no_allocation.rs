//! A pick, its verdict and its end do not allocate, for any verdict. A separate binary, because it uses a counting allocator.

use std::{net::SocketAddr, time::Duration};

use discovery::{
    BreakerEvent, Charge, ConsistentHash, LeastInFlight, Locality, PeakEwma, PickError,
    PickOptions, Pool, PoolOptions, RoundRobin, UniformRandom, Verdict, WeightedRandom,
};

fn pool(members: u16) -> Pool {
    Pool::fixed("web", (1..=members).map(|port| SocketAddr::from(([127, 0, 0, 1], port))))
}

/// First warms what a thread sets up once: its random numbers, its place with the published state.
#[track_caller]
fn allocates_nothing(mut work: impl FnMut()) {
    work();
    let counted = allocation_counter::measure(|| (0..1000).for_each(|_| work()));
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

#[test]
fn a_pick_its_outcome_and_its_end_allocate_nothing() {
    let signals = [
        BreakerEvent::Success,
        BreakerEvent::Failure,
        BreakerEvent::Refused,
        BreakerEvent::ServerError,
        BreakerEvent::None,
    ];
    let charges =
        [Charge::Measured, Charge::AtLeast(Duration::from_secs(5)), Charge::IfAboveEstimate];
    for members in [1, 2, 40] {
        let pool = pool(members);
        for (signal, charge) in
            signals.into_iter().flat_map(|signal| charges.map(|charge| (signal, charge)))
        {
            allocates_nothing(|| {
                let pick = pool.pick().unwrap();
                drop(pick.judge(Verdict { latency: charge, breaker: signal }));
                pool.pick_with(PickOptions::new().repeatable()).unwrap().succeed();
            });
        }
    }
}

#[test]
fn a_pick_without_another_member_allocates_nothing() {
    let (pool, empty) = (pool(3), pool(0));
    allocates_nothing(|| {
        let first = pool.pick().unwrap();
        let second = pool.pick_with(PickOptions::new().apart_from(&[first.member()])).unwrap();
        let third = pool
            .pick_with(PickOptions::new().apart_from(&[first.member(), second.member()]))
            .unwrap();
        let tried = [first.member(), second.member(), third.member()];
        assert_eq!(
            pool.pick_with(PickOptions::new().apart_from(&tried)).unwrap_err(),
            PickError::AllTried
        );
        first.fail();
        second.succeed();
        drop(third);
        assert_eq!(empty.pick().unwrap_err(), PickError::NoInstances);
    });
}

#[test]
fn a_pick_by_another_policy_allocates_nothing() {
    let new = PoolOptions::new;
    for options in [
        new().policy(PeakEwma),
        new().policy(LeastInFlight::new()),
        new().policy(RoundRobin),
        new().policy(UniformRandom),
        new().policy(WeightedRandom),
        new().policy(ConsistentHash::new()),
        new().policy(Locality::new().datacenter("dc1")),
    ] {
        let addresses = (1..=40).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let pool = Pool::fixed_with("web", addresses, options).unwrap();
        let pick = || pool.pick_with(PickOptions::new().key(3)).unwrap();
        allocates_nothing(|| pick().succeed());
        // While one is ejected, the eligible ones are listed.
        (0..5).for_each(|_| pick().fail());
        allocates_nothing(|| pick().succeed());
    }
}
