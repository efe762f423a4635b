//! Drawing an index by weight in constant time and linear space: Walker's alias method, in whole numbers, so that the shares are exact.

use fastrand::Rng;

/// Each cell has the same share of the total: its lower part belongs to its own index, the rest to one other index.
#[derive(Debug)]
pub(super) struct Alias {
    count: usize,
    /// None while all weights are equal, as they usually are: then each cell would belong to its own index.
    cells: Box<[Cell]>,
    /// The size of a cell: the sum of all weights.
    total: u64,
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    own: u64,
    other: u32,
}

impl Alias {
    /// If all weights are 0, all indexes are equally likely.
    pub(super) fn new(weights: &[u16]) -> Self {
        let count = weights.len();
        if weights.iter().all(|weight| *weight == weights[0]) {
            return Self { count, cells: Box::default(), total: 1 };
        }
        let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
        let share = |weight| u64::from(weight) * count as u64;
        let mut cells: Box<[Cell]> =
            weights.iter().map(|&weight| Cell { own: share(weight), other: 0 }).collect();
        let (mut poor, mut rich): (Vec<usize>, Vec<usize>) =
            (0..cells.len()).partition(|&index| cells[index].own < total);
        while let (Some(&giver), Some(taker)) = (rich.last(), poor.pop()) {
            cells[taker].other = giver as u32;
            cells[giver].own -= total - cells[taker].own;
            if cells[giver].own < total {
                rich.pop();
                poor.push(giver);
            }
        }
        Self { count, cells, total }
    }

    /// Whether all weights are equal.
    pub(super) fn is_even(&self) -> bool {
        self.cells.is_empty()
    }

    /// An index by weight. Panics if there is none.
    #[inline]
    pub(super) fn draw(&self, draws: &mut Rng) -> usize {
        let index = draws.usize(..self.count);
        let Some(cell) = self.cells.get(index) else { return index };
        if cell.own >= self.total || draws.u64(..self.total) < cell.own {
            index
        } else {
            cell.other as usize
        }
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use proptest::prelude::*;

    use super::Alias;

    /// The share of each index, of a total of `count * total`.
    fn shares(alias: &Alias) -> Vec<u64> {
        if alias.is_even() {
            return vec![1; alias.count];
        }
        let mut shares = vec![0; alias.count];
        for (index, cell) in alias.cells.iter().enumerate() {
            let own = cell.own.min(alias.total);
            shares[index] += own;
            shares[cell.other as usize] += alias.total - own;
        }
        shares
    }

    #[test]
    fn draws_follow_the_weights() {
        let (alias, mut draws) = (Alias::new(&[1, 0, 3]), Rng::with_seed(1));
        let mut drawn = [0; 3];
        (0..40_000).for_each(|_| drawn[alias.draw(&mut draws)] += 1);
        assert_eq!(drawn[1], 0);
        assert!((29_000..31_000).contains(&drawn[2]), "{drawn:?}");
    }

    proptest! {
        #[test]
        fn shares_are_exact(weights in prop::collection::vec(prop_oneof![Just(0), Just(u16::MAX), 0..10_u16, any::<u16>()], 1..60)) {
            let alias = Alias::new(&weights);
            let is_even = weights.iter().all(|&weight| weight == weights[0]);
            let share = |weight: u16| if is_even { 1 } else { u64::from(weight) * weights.len() as u64 };
            let expected: Vec<_> = weights.iter().map(|&weight| share(weight)).collect();
            prop_assert_eq!(shares(&alias), expected);
        }
    }
}
