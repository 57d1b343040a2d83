//! Limits how much of this process each receiver may occupy.
//!
//! An invocation lasts as long as the slowest delivery of its batch, so a receiver that does not
//! answer could occupy every sender for as long as it has callbacks. A receiver is an owner
//! together with a host, so one owner's slow URL at a host does not delay the callbacks of other
//! owners to it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared::clock::Clock;
use shared::domain::limits::{CALLBACK_PAUSE_FACTOR, CALLBACK_SLOW, CALLBACKS_AT_ONCE_MAX};
use shared::domain::operation::Owner;
use shared::domain::time::Timestamp;
use shared::queue::host;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The receivers that have a delivery in progress, or are paused. One per process.
pub(crate) struct Receivers {
    by_name: Mutex<HashMap<Name, Arc<Receiver>>>,
    slow: Duration,
    clock: Arc<dyn Clock>,
}

/// An owner, and the host and port of a URL.
type Name = (Owner, String);

struct Receiver {
    turns: Arc<Semaphore>,
    paused_until: Mutex<Timestamp>,
}

/// Permission for one delivery, until it is dropped.
pub(crate) struct Turn {
    receiver: Arc<Receiver>,
    slow: Duration,
    _permit: OwnedSemaphorePermit,
}

/// The receiver cannot take another delivery from this process now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Busy {
    /// How much longer the receiver is paused. Zero when it is not paused but has too many
    /// deliveries.
    pub(crate) pause: Duration,
}

impl Receivers {
    /// `timeout` is that of one delivery. A delivery that times out counts as slow even if the
    /// timeout is below [`CALLBACK_SLOW`].
    pub(crate) fn new(timeout: Duration, clock: Arc<dyn Clock>) -> Self {
        Self {
            by_name: Mutex::default(),
            slow: timeout.min(CALLBACK_SLOW),
            clock,
        }
    }

    /// Waits for a turn to deliver, at most as long as a delivery that is not slow takes. An
    /// invocation in which a message waits has a delivery in progress, so the wait does not make
    /// the invocation longer.
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
                return Err(Busy { pause: Duration::ZERO });
            }
        };
        let permit = permit.expect("the semaphore is never closed");
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
            Arc::strong_count(receiver) > 1 || *lock(&receiver.paused_until) > now
        });
        let receiver = receivers.entry(name).or_insert_with(|| {
            Arc::new(Receiver {
                turns: Arc::new(Semaphore::new(CALLBACKS_AT_ONCE_MAX)),
                paused_until: Mutex::new(now),
            })
        });
        Arc::clone(receiver)
    }
}

impl Receiver {
    fn is_ready(&self, now: Timestamp) -> Result<(), Busy> {
        let pause = lock(&self.paused_until).since(now);
        if pause > Duration::ZERO {
            return Err(Busy { pause });
        }
        Ok(())
    }
}

impl Turn {
    /// Ends the turn. After a slow delivery the receiver is paused, which limits the part of this
    /// process's time that it occupies.
    pub(crate) fn end(self, took: Duration, now: Timestamp) {
        if took >= self.slow {
            *lock(&self.receiver.paused_until) = now + took * CALLBACK_PAUSE_FACTOR;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each critical section leaves the value consistent, so a panic in another does not matter.
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
    fn a_receiver_has_a_limited_number_of_deliveries_at_once_and_the_next_waits() {
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
    fn a_wait_for_a_turn_as_long_as_a_slow_delivery_ends_in_a_deferral() {
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
                pause: Duration::ZERO
            })
        );
    }

    #[test]
    fn a_receiver_is_paused_after_a_slow_delivery_and_others_are_not() {
        let (receivers, clock) = receivers();
        let (alice, bob) = (owner("alice"), owner("bob"));
        let turn = |owner| receivers.turn(owner, URL).now_or_never().unwrap();
        for (took_millis, pause_secs) in [(1_999, 0), (2_000, 6), (5_000, 15)] {
            let took = Duration::from_millis(took_millis);
            turn(&alice).unwrap().end(took, clock.now());
            let pause = Duration::from_secs(pause_secs);
            assert_eq!(
                turn(&alice).err().map_or(Duration::ZERO, |busy| busy.pause),
                pause
            );
            assert!(turn(&bob).is_ok());
            clock.advance(pause);
            assert!(turn(&alice).is_ok());
        }
    }

    #[test]
    fn a_delivery_whose_receiver_was_paused_while_it_waited_is_deferred() {
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
                pause: Duration::from_secs(6)
            })
        );
    }

    #[test]
    fn a_receiver_without_deliveries_or_pause_is_removed() {
        let (receivers, clock) = receivers();
        for n in 0..100 {
            let turn = receivers.turn(&owner(&n.to_string()), URL).now_or_never();
            turn.unwrap().unwrap().end(Duration::ZERO, clock.now());
        }
        assert_eq!(lock(&receivers.by_name).len(), 1);
    }
}
