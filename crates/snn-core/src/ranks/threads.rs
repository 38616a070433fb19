//! Replicas in threads of one process.

use super::Ranks;
use crate::error::{Error, Result};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// One of several replicas in threads of one process.
///
/// ```
/// use snn_core::{Ranks, ThreadRank};
/// let sums = std::thread::scope(|scope| {
///     let threads = ThreadRank::group(2).into_iter().map(|rank| {
///         scope.spawn(move || {
///             let mut values = [1.0, rank.rank() as f64 + 0.5];
///             rank.sum("an example", &mut values).map(|()| values)
///         })
///     });
///     let threads: Vec<_> = threads.collect();
///     threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
/// });
/// for sums in sums {
///     assert_eq!(sums?, [2.0, 2.0]);
/// }
/// # Ok::<(), snn_core::Error>(())
/// ```
#[derive(Debug)]
pub struct ThreadRank {
    rank: usize,
    meeting: Arc<Meeting>,
}

/// Where replicas meet.
#[derive(Debug)]
struct Meeting {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What each replica has brought to this sum, and what it calls it.
    brought: Vec<Option<(String, Vec<f64>)>>,
    /// Sums so far.
    sums: u64,
    /// The last sum.
    result: Vec<f64>,
    /// Why there will be no other.
    failure: Option<String>,
}

impl ThreadRank {
    /// The replicas of a new group.
    pub fn group(count: usize) -> Vec<Self> {
        let state = State { brought: vec![None; count], ..State::default() };
        let meeting = Arc::new(Meeting { state: Mutex::new(state), changed: Condvar::new() });
        (0..count).map(|rank| Self { rank, meeting: Arc::clone(&meeting) }).collect()
    }
}

impl Meeting {
    /// No panic leaves the state half changed: nothing panics under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Adds up what all have brought, in the order of ranks.
    fn add_up(&mut self) {
        let all: Vec<_> = self.brought.iter_mut().filter_map(Option::take).collect();
        let Some((first, rest)) = all.split_first() else { return };
        let (what, values) = first;
        if let Some((rank, (other, found))) =
            (1..).zip(rest).find(|(_, (other, found))| other != what || found.len() != values.len())
        {
            self.failure = Some(format!(
                "rank 0 sums {} values of {what}, rank {rank} {} of {other}: replicas must \
                 compute the same graph",
                values.len(),
                found.len()
            ));
            return;
        }
        self.result.clone_from(values);
        for (_, more) in rest {
            for (sum, more) in self.result.iter_mut().zip(more) {
                *sum += more;
            }
        }
        self.sums += 1;
    }
}

impl Ranks for ThreadRank {
    fn count(&self) -> usize {
        self.meeting.lock().brought.len()
    }

    fn rank(&self) -> usize {
        self.rank
    }

    fn sum(&self, what: &str, values: &mut [f64]) -> Result<()> {
        let mut state = self.meeting.lock();
        let before = state.sums;
        if state.failure.is_none() {
            state.brought[self.rank] = Some((what.to_string(), values.to_vec()));
            if state.brought.iter().all(Option::is_some) {
                state.add_up();
                self.meeting.changed.notify_all();
            }
        }
        // The next sum is not made before this replica has brought something to it.
        while state.sums == before && state.failure.is_none() {
            state = self.meeting.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.sums == before {
            let why = state.failure.clone().unwrap_or_default();
            return Err(Error::Replica(why));
        }
        values.copy_from_slice(&state.result);
        Ok(())
    }

    fn fail(&self, why: &str) {
        let mut state = self.meeting.lock();
        state.failure.get_or_insert_with(|| format!("rank {}: {why}", self.rank));
        self.meeting.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_added_in_the_order_of_ranks_whoever_comes_last() {
        // Not associative: in another order these give other bits.
        let values = [1e16, 1.0, -1e16, 1.0];
        let expected = ((values[0] + values[1]) + values[2]) + values[3];
        for round in 0..50 {
            std::thread::scope(|scope| {
                for rank in ThreadRank::group(4) {
                    scope.spawn(move || {
                        if rank.rank() == round % 4 {
                            std::thread::yield_now();
                        }
                        for _ in 0..20 {
                            let mut sum = [values[rank.rank()]];
                            rank.sum("values", &mut sum).unwrap();
                            assert_eq!(sum[0].to_bits(), expected.to_bits());
                        }
                    });
                }
            });
        }
    }

    #[test]
    fn others_end_where_one_fails_or_sums_something_else() {
        let fails = |act: fn(&ThreadRank) -> Result<()>| {
            let [first, second] = ThreadRank::group(2).try_into().unwrap();
            std::thread::scope(|scope| {
                let waiting = scope.spawn(move || first.sum("a", &mut [1.0]));
                let own = act(&second);
                (waiting.join().unwrap().unwrap_err().to_string(), own)
            })
        };
        let (error, _) = fails(|rank| {
            rank.fail("no memory");
            Ok(())
        });
        assert_eq!(error, "a replica failed: rank 1: no memory");
        for act in [
            (|rank: &ThreadRank| rank.sum("b", &mut [1.0])) as fn(&ThreadRank) -> Result<()>,
            |rank| rank.sum("a", &mut [1.0, 2.0]),
        ] {
            let (error, own) = fails(act);
            assert!(error.contains("must compute the same graph"), "{error}");
            assert_eq!(own.unwrap_err().to_string(), error);
        }
    }
}
