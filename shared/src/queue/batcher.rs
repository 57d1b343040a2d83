//! Requests of the same moment, sent as one.
//!
//! SQS bills a batch of up to ten like a single request, and the messages of a batch that are served side by side ask for the same
//! things at about the same time. Whoever asks gives way once, so that its neighbours can ask as well; the first to go on sends for
//! all of them.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::BATCH_MAX;
use crate::clock::BoxFuture;

/// What has been asked for and not yet sent. Clones share it.
#[derive(Debug)]
pub(super) struct Batcher<E, R> {
    waiting: Arc<Mutex<Waiting<E, R>>>,
}

#[derive(Debug)]
struct Waiting<E, R> {
    /// Each with who is told what came of it.
    entries: Vec<(E, oneshot::Sender<R>)>,
    /// How many have been taken to be sent, of all that were asked for.
    taken: usize,
}

impl<E, R> Batcher<E, R> {
    /// Has an entry sent, by `send` or by another who asks: what came of it. None when whoever sent it was dropped in the middle, so
    /// that it may or may not have been sent.
    ///
    /// `turn` tells when the next request may be made, and what it gives is held until that is answered. With a lock, what is asked
    /// for during a request goes with the one after it, and with what is ready at once nobody waits for another's request.
    ///
    /// One that is dropped before its entry was taken to be sent is not sent.
    pub(super) async fn submit<'a, T>(
        &self,
        entry: E,
        turn: impl Future<Output = T>,
        send: impl Fn(Vec<E>) -> BoxFuture<'a, Vec<R>>,
    ) -> Option<R> {
        let (asker, mut told) = oneshot::channel();
        let number = self.waiting().push(entry, asker);
        tokio::task::yield_now().await;
        let turn = tokio::select! {
            biased;
            outcome = &mut told => return outcome.ok(),
            turn = turn => turn,
        };
        // Whoever took it tells; those who wait now will see to themselves.
        let mut taken = self.waiting().take_with(number).into_iter();
        loop {
            let (entries, askers): (Vec<_>, Vec<_>) = taken.by_ref().take(BATCH_MAX).unzip();
            if entries.is_empty() {
                break;
            }
            for (asker, outcome) in askers.into_iter().zip(send(entries).await) {
                // Whoever was dropped meanwhile hears of nothing.
                let _ = asker.send(outcome);
            }
        }
        drop(turn);
        told.await.ok()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<E, R>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E, R> Waiting<E, R> {
    /// The entry's number.
    fn push(&mut self, entry: E, asker: oneshot::Sender<R>) -> usize {
        self.entries.push((entry, asker));
        self.taken + self.entries.len() - 1
    }

    /// All whose askers are still there, if the entry of this number is among them; none when it was taken already.
    fn take_with(&mut self, number: usize) -> Vec<(E, oneshot::Sender<R>)> {
        if number < self.taken {
            return Vec::new();
        }
        self.taken += self.entries.len();
        let mut entries = mem::take(&mut self.entries);
        entries.retain(|(_, asker)| !asker.is_closed());
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
        /// Twice the entry, of which a request tells.
        async fn twice(&self, entry: u32) -> Option<u32> {
            self.double(entry, ready(())).await
        }

        /// The same when no other request is under way.
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
    async fn those_who_ask_at_once_are_sent_by_the_batch_and_each_is_told_its_own() {
        let doubler = Doubler::default();
        let told = join_all((0..23).map(|entry| doubler.twice(entry))).await;
        assert_eq!(
            told,
            (0..23).map(|entry| Some(entry * 2)).collect::<Vec<_>>()
        );
        let sent: Vec<_> = doubler.sent().iter().map(Vec::len).collect();
        assert_eq!(sent, [10, 10, 3]);
    }

    #[tokio::test]
    async fn who_asks_later_waits_for_nobody() {
        let doubler = Doubler::default();
        let mut stuck = Box::pin(doubler.twice(1));
        for _ in 0..2 {
            assert!(stuck.as_mut().now_or_never().is_none());
        }
        assert_eq!(doubler.twice(2).await, Some(4));
        assert_eq!(doubler.sent(), [[1], [2]]);
    }

    #[tokio::test]
    async fn who_asks_later_in_turn_goes_with_the_next_request_and_is_told_at_once() {
        let doubler = Doubler::default();
        let [mut first, mut second, mut third, mut fourth] =
            [1, 2, 3, 4].map(|entry| Box::pin(doubler.twice_in_turn(entry)));
        for ask in [&mut first, &mut second, &mut third] {
            for _ in 0..2 {
                assert_eq!(ask.as_mut().now_or_never(), None);
            }
        }
        assert_eq!(doubler.sent(), [[1]], "under way");
        assert_eq!(first.as_mut().now_or_never(), Some(Some(2)));
        assert_eq!(second.as_mut().now_or_never(), None);
        assert_eq!(doubler.sent(), [[2, 3]], "under way");
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
    async fn who_was_sent_for_sends_for_nobody() {
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
    async fn who_is_dropped_before_it_is_sent_is_not_sent() {
        let doubler = Doubler::default();
        let mut dropped = Box::pin(doubler.twice(1));
        assert_eq!(dropped.as_mut().now_or_never(), None);
        drop(dropped);
        assert_eq!(doubler.twice(2).await, Some(4));
        assert_eq!(doubler.sent(), [[2]]);
    }

    #[tokio::test]
    async fn who_is_sent_for_by_one_that_is_dropped_is_told_so() {
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
