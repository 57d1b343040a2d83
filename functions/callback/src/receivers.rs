//! How much of this process each receiver may occupy.
//!
//! An invocation lasts as long as the slowest delivery of its batch, so a receiver that does not
//! answer could occupy every sender for as long as it has callbacks. A receiver is a host as one
//! owner calls it: what an owner's URL does at a host that others use as well does not delay theirs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared::clock::Clock;
use shared::domain::limits::{CALLBACK_REST_FACTOR, CALLBACK_SLOW, CALLBACKS_AT_ONCE_MAX};
use shared::domain::operation::Owner;
use shared::domain::time::Timestamp;
use shared::queue::host;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The receivers that have a delivery under way, or rest. One for a process.
pub(crate) struct Receivers {
    by_name: Mutex<HashMap<Name, Arc<Receiver>>>,
    slow: Duration,
    clock: Arc<dyn Clock>,
}

/// An owner, and the host and port of a URL.
type Name = (Owner, String);

struct Receiver {
    turns: Arc<Semaphore>,
    rests_until: Mutex<Timestamp>,
}

/// The right to make one delivery. It ends when it is dropped.
pub(crate) struct Turn {
    receiver: Arc<Receiver>,
    slow: Duration,
    _permit: OwnedSemaphorePermit,
}

/// A receiver has enough deliveries from this process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Busy {
    /// How much longer it rests, at least.
    pub(crate) rest: Duration,
}

impl Receivers {
    /// A delivery that uses up a shorter `timeout` is slow as well.
    pub(crate) fn new(timeout: Duration, clock: Arc<dyn Clock>) -> Self {
        Self {
            by_name: Mutex::default(),
            slow: timeout.min(CALLBACK_SLOW),
            clock,
        }
    }

    /// Waits for a turn to deliver, for as long as a delivery that is not slow takes. An invocation
    /// that waits has a delivery under way, and so lasts no longer for it.
    pub(crate) async fn turn(&self, owner: &Owner, url: &str) -> Result<Turn, Busy> {
        let now = self.clock.now();
        let name = (owner.clone(), host(url).to_ascii_lowercase());
        let receiver = self.receiver(name, now);
        receiver.is_ready(now)?;
        let turns = Arc::clone(&receiver.turns);
        let permit = tokio::select! {
            biased;
            permit = turns.acquire_owned() => permit,
            () = self.clock.sleep_until(now + self.slow) => {
                return Err(Busy { rest: Duration::ZERO });
            }
        };
        // The semaphore is never closed.
        let permit = permit.map_err(|_| Busy {
            rest: Duration::ZERO,
        })?;
        receiver.is_ready(self.clock.now())?;
        Ok(Turn {
            receiver,
            slow: self.slow,
            _permit: permit,
        })
    }

    fn receiver(&self, name: Name, now: Timestamp) -> Arc<Receiver> {
        let mut receivers = lock(&self.by_name);
        receivers.retain(|_, receiver| {
            Arc::strong_count(receiver) > 1 || *lock(&receiver.rests_until) > now
        });
        let receiver = receivers.entry(name).or_insert_with(|| {
            Arc::new(Receiver {
                turns: Arc::new(Semaphore::new(CALLBACKS_AT_ONCE_MAX)),
                rests_until: Mutex::new(now),
            })
        });
        Arc::clone(receiver)
    }
}

impl Receiver {
    fn is_ready(&self, now: Timestamp) -> Result<(), Busy> {
        let rest = lock(&self.rests_until).since(now);
        if rest > Duration::ZERO {
            return Err(Busy { rest });
        }
        Ok(())
    }
}

impl Turn {
    /// Ends the turn. After a slow delivery the receiver rests, so that it occupies no more than a
    /// part of this process's time.
    pub(crate) fn end(self, took: Duration, now: Timestamp) {
        if took >= self.slow {
            *lock(&self.receiver.rests_until) = now + took * CALLBACK_REST_FACTOR;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole between any two calls.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use shared::clock::ManualClock;

    fn receivers() -> (Receivers, ManualClock) {
        let clock = ManualClock::new(Timestamp::from_secs(1_800_000_000));
        (
            Receivers::new(Duration::from_secs(5), Arc::new(clock.clone())),
            clock,
        )
    }

    const URL: &str = "https://example.com/hook";

    fn owner(name: &str) -> Owner {
        Owner::new("local", name).unwrap()
    }

    #[test]
    fn a_receiver_has_so_many_deliveries_at_once_and_the_next_waits_its_turn() {
        let (receivers, clock) = receivers();
        let alice = owner("alice");
        let turn = || receivers.turn(&alice, URL).now_or_never();
        let mut turns: Vec<_> = (0..CALLBACKS_AT_ONCE_MAX)
            .map(|_| turn().unwrap().unwrap())
            .collect();
        assert!(turn().is_none(), "waits");
        assert!(
            receivers
                .turn(&owner("bob"), URL)
                .now_or_never()
                .unwrap()
                .is_ok()
        );

        let mut next = Box::pin(receivers.turn(&alice, URL));
        assert!(next.as_mut().now_or_never().is_none());
        turns
            .pop()
            .unwrap()
            .end(Duration::from_millis(100), clock.now());
        assert!(next.now_or_never().unwrap().is_ok());
    }

    #[test]
    fn who_waits_for_longer_than_a_quick_delivery_takes_is_deferred() {
        let (receivers, clock) = receivers();
        let alice = owner("alice");
        let _turns: Vec<_> = (0..CALLBACKS_AT_ONCE_MAX)
            .map(|_| receivers.turn(&alice, URL).now_or_never().unwrap().unwrap())
            .collect();
        let mut next = Box::pin(receivers.turn(&alice, URL));
        assert!(next.as_mut().now_or_never().is_none());
        clock.advance(CALLBACK_SLOW.checked_sub(Duration::from_millis(1)).unwrap());
        assert!(next.as_mut().now_or_never().is_none());
        clock.advance(Duration::from_millis(1));
        let busy = next.now_or_never().unwrap().err();
        assert_eq!(
            busy,
            Some(Busy {
                rest: Duration::ZERO
            })
        );
    }

    #[test]
    fn after_a_slow_delivery_a_receiver_rests_and_no_other_does() {
        let (receivers, clock) = receivers();
        let (alice, bob) = (owner("alice"), owner("bob"));
        let turn = |owner| receivers.turn(owner, URL).now_or_never().unwrap();
        for (took_millis, rest_secs) in [(1_999, 0), (2_000, 6), (5_000, 15)] {
            let took = Duration::from_millis(took_millis);
            turn(&alice).unwrap().end(took, clock.now());
            let rest = Duration::from_secs(rest_secs);
            assert_eq!(
                turn(&alice).err().map_or(Duration::ZERO, |busy| busy.rest),
                rest
            );
            assert!(turn(&bob).is_ok());
            clock.advance(rest);
            assert!(turn(&alice).is_ok());
        }
    }

    #[test]
    fn one_that_waited_while_the_receiver_proved_slow_is_deferred() {
        let (receivers, clock) = receivers();
        let alice = owner("alice");
        let mut turns: Vec<_> = (0..CALLBACKS_AT_ONCE_MAX)
            .map(|_| receivers.turn(&alice, URL).now_or_never().unwrap().unwrap())
            .collect();
        let mut next = Box::pin(receivers.turn(&alice, URL));
        assert!(next.as_mut().now_or_never().is_none());
        turns
            .pop()
            .unwrap()
            .end(Duration::from_secs(2), clock.now());
        let busy = next.now_or_never().unwrap().err();
        assert_eq!(
            busy,
            Some(Busy {
                rest: Duration::from_secs(6)
            })
        );
    }

    #[test]
    fn a_receiver_without_deliveries_and_rest_is_forgotten() {
        let (receivers, clock) = receivers();
        for n in 0..100 {
            let turn = receivers.turn(&owner(&n.to_string()), URL).now_or_never();
            turn.unwrap().unwrap().end(Duration::ZERO, clock.now());
        }
        assert_eq!(lock(&receivers.by_name).len(), 1);
    }
}
