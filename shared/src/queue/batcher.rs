//! Calls of the same moment, sent as one batch request.
//!
//! SQS bills a batch of up to ten entries as one request, and messages that are served concurrently
//! make the same calls at about the same time. Each caller yields once, so that its neighbours can
//! submit as well; the first that runs again sends all entries.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::clock::BoxFuture;

/// Entries of one batch request (`SendMessageBatch` in the Amazon SQS API Reference). Ten of
/// Ferry's messages are far smaller than the 1 MiB that a request may have.
pub const BATCH_MAX: usize = 10;

/// The entries that wait to be sent. Clones share them.
#[derive(Debug)]
pub(super) struct Batcher<E, R> {
    waiting: Arc<Mutex<Waiting<E, R>>>,
}

#[derive(Debug)]
struct Waiting<E, R> {
    /// Each with its caller's channel for the outcome.
    entries: Vec<(E, oneshot::Sender<R>)>,
    /// How many entries have been taken to be sent so far.
    taken: usize,
}

impl<E, R> Batcher<E, R> {
    /// Sends an entry, by this caller's `send` or by another caller's, and returns its outcome.
    /// None when the caller that sent it was dropped first: the entry may or may not have been
    /// sent.
    ///
    /// The request starts when `turn` is ready, and keeps the output of `turn` (a lock's guard)
    /// until the response. With a lock, entries submitted during a request share the next one; with
    /// a future that is ready at once, no caller waits for another's request.
    ///
    /// The entry of a caller that is dropped before it was taken is not sent.
    pub(super) async fn submit<'a, T>(
        &self,
        entry: E,
        turn: impl Future<Output = T>,
        send: impl Fn(Vec<E>) -> BoxFuture<'a, Vec<R>>,
    ) -> Option<R> {
        let (sender, mut outcome) = oneshot::channel();
        let number = self.waiting().push(entry, sender);
        tokio::task::yield_now().await;
        let turn = tokio::select! {
            biased;
            outcome = &mut outcome => return outcome.ok(),
            turn = turn => turn,
        };
        // Empty when another caller took this entry: it reports the outcome. Entries that were
        // submitted since wait for the next request.
        let mut taken = self.waiting().take_with(number).into_iter();
        loop {
            let (entries, senders): (Vec<_>, Vec<_>) = taken.by_ref().take(BATCH_MAX).unzip();
            if entries.is_empty() {
                break;
            }
            for (sender, outcome) in senders.into_iter().zip(send(entries).await) {
                // Fails when the caller was dropped meanwhile.
                let _ = sender.send(outcome);
            }
        }
        drop(turn);
        outcome.await.ok()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<E, R>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E, R> Waiting<E, R> {
    /// Returns the entry's number.
    fn push(&mut self, entry: E, sender: oneshot::Sender<R>) -> usize {
        self.entries.push((entry, sender));
        self.taken + self.entries.len() - 1
    }

    /// All entries whose callers still wait; none when the entry of this number was taken already.
    fn take_with(&mut self, number: usize) -> Vec<(E, oneshot::Sender<R>)> {
        if number < self.taken {
            return Vec::new();
        }
        self.taken += self.entries.len();
        let mut entries = mem::take(&mut self.entries);
        entries.retain(|(_, sender)| !sender.is_closed());
        entries
    }
}

impl<E, R> Default for Batcher<E, R> {
    fn default() -> Self {
        let nothing = Waiting {
            entries: Vec::new(),
            taken: 0,
        };
        Self {
            waiting: Arc::new(Mutex::new(nothing)),
        }
    }
}

impl<E, R> Clone for Batcher<E, R> {
    fn clone(&self) -> Self {
        Self {
            waiting: Arc::clone(&self.waiting),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::Mutex;

    use futures_util::FutureExt as _;
    use futures_util::future::join_all;

    use super::*;

    #[derive(Default)]
    struct Doubler {
        batcher: Batcher<u32, u32>,
        turn: tokio::sync::Mutex<()>,
        sent: Mutex<Vec<Vec<u32>>>,
    }

    impl Doubler {
        /// Sends at once, whether another request is in flight or not.
        async fn twice(&self, entry: u32) -> Option<u32> {
            self.double(entry, ready(())).await
        }

        /// Sends when no other request is in flight.
        async fn twice_in_turn(&self, entry: u32) -> Option<u32> {
            self.double(entry, self.turn.lock()).await
        }

        async fn double<T>(&self, entry: u32, turn: impl Future<Output = T>) -> Option<u32> {
            let send = |entries: Vec<u32>| -> BoxFuture<'_, Vec<u32>> {
                Box::pin(async move {
                    self.sent.lock().unwrap().push(entries.clone());
                    tokio::task::yield_now().await;
                    entries.into_iter().map(|entry| entry * 2).collect()
                })
            };
            self.batcher.submit(entry, turn, send).await
        }

        fn sent(&self) -> Vec<Vec<u32>> {
            mem::take(&mut *self.sent.lock().unwrap())
        }
    }

    #[tokio::test]
    async fn callers_of_one_moment_share_batches_and_each_gets_its_own_outcome() {
        let doubler = Doubler::default();
        let outcomes = join_all((0..23).map(|entry| doubler.twice(entry))).await;
        assert_eq!(
            outcomes,
            (0..23).map(|entry| Some(entry * 2)).collect::<Vec<_>>()
        );
        let sent: Vec<_> = doubler.sent().iter().map(Vec::len).collect();
        assert_eq!(sent, [10, 10, 3]);
    }

    #[tokio::test]
    async fn a_later_caller_does_not_wait_for_a_request_in_flight() {
        let doubler = Doubler::default();
        let mut stuck = Box::pin(doubler.twice(1));
        for _ in 0..2 {
            assert!(stuck.as_mut().now_or_never().is_none());
        }
        assert_eq!(doubler.twice(2).await, Some(4));
        assert_eq!(doubler.sent(), [[1], [2]]);
    }

    #[tokio::test]
    async fn with_a_lock_later_callers_share_the_next_request() {
        let doubler = Doubler::default();
        let [mut first, mut second, mut third, mut fourth] =
            [1, 2, 3, 4].map(|entry| Box::pin(doubler.twice_in_turn(entry)));
        for call in [&mut first, &mut second, &mut third] {
            for _ in 0..2 {
                assert_eq!(call.as_mut().now_or_never(), None);
            }
        }
        assert_eq!(doubler.sent(), [[1]], "in flight");
        assert_eq!(first.as_mut().now_or_never(), Some(Some(2)));
        assert_eq!(second.as_mut().now_or_never(), None);
        assert_eq!(doubler.sent(), [[2, 3]], "in flight");
        assert_eq!(fourth.as_mut().now_or_never(), None);
        assert_eq!(second.as_mut().now_or_never(), Some(Some(4)));
        assert_eq!(
            third.as_mut().now_or_never(),
            Some(Some(6)),
            "does not send the fourth's"
        );
        assert_eq!(fourth.await, Some(8));
        assert_eq!(doubler.sent(), [[4]]);
    }

    #[tokio::test]
    async fn a_caller_whose_entry_was_sent_sends_no_request() {
        let doubler = Doubler::default();
        let [mut first, mut second, mut third] =
            [1, 2, 3].map(|entry| Box::pin(doubler.twice(entry)));
        assert_eq!(first.as_mut().now_or_never(), None);
        assert_eq!(second.as_mut().now_or_never(), None);
        assert_eq!(first.as_mut().now_or_never(), None);
        assert_eq!(third.as_mut().now_or_never(), None);
        assert_eq!(second.as_mut().now_or_never(), None);
        assert_eq!(doubler.sent(), [[1, 2]], "not the third's");
        assert_eq!(third.await, Some(6));
    }

    #[tokio::test]
    async fn a_caller_that_is_dropped_first_is_not_sent() {
        let doubler = Doubler::default();
        let mut dropped = Box::pin(doubler.twice(1));
        assert_eq!(dropped.as_mut().now_or_never(), None);
        drop(dropped);
        assert_eq!(doubler.twice(2).await, Some(4));
        assert_eq!(doubler.sent(), [[2]]);
    }

    #[tokio::test]
    async fn an_entry_whose_sender_is_dropped_has_no_outcome() {
        let doubler = Doubler::default();
        let mut first = Box::pin(doubler.twice_in_turn(1));
        assert!(first.as_mut().now_or_never().is_none());
        let mut second = Box::pin(doubler.twice_in_turn(2));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(first.as_mut().now_or_never().is_none());
        drop(first);
        assert_eq!(second.await, None);
        assert_eq!(doubler.twice_in_turn(3).await, Some(6));
        assert_eq!(doubler.sent(), [vec![1, 2], vec![3]]);
    }
}
