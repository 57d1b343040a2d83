//! Requests of the same moment, sent as one.
//!
//! SQS bills a batch of up to ten like a single request, and the messages of a batch that are served side by side ask for the same
//! things at the same time. Whoever asks gives way once, so that its neighbours can ask as well; the first to go on sends for all of
//! them. Nobody waits for anything but its own turn: what is asked later goes with a later request.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::BATCH_MAX;

/// What has been asked for and not yet sent. Clones share it.
#[derive(Debug)]
pub(super) struct Together<E, R> {
    waiting: Arc<Mutex<Waiting<E, R>>>,
}

/// Entries, each with who is told what came of it.
type Waiting<E, R> = Vec<(E, oneshot::Sender<R>)>;

/// What is to be sent as one request.
#[derive(Debug)]
pub(super) struct Batch<E, R> {
    pub(super) entries: Vec<E>,
    askers: Vec<oneshot::Sender<R>>,
}

impl<E, R> Batch<E, R> {
    /// Tells everybody what came of theirs, in the order of the entries.
    pub(super) fn tell(self, outcomes: impl IntoIterator<Item = R>) {
        for (asker, outcome) in self.askers.into_iter().zip(outcomes) {
            // Whoever was dropped meanwhile hears of nothing.
            let _ = asker.send(outcome);
        }
    }
}

impl<E, R> Together<E, R> {
    /// Asks for an entry to be sent: what is to be sent now by who asked, none for all but one of those who ask at once, and what
    /// will tell the outcome. That is an error when whoever sent it was dropped in the middle, so that it may or may not have been
    /// sent.
    ///
    /// One that is dropped before its entry was sent leaves it to be sent with others', or not at all: as with any request that is
    /// broken off, nobody may count on either.
    pub(super) async fn ask(&self, entry: E) -> (Vec<Batch<E, R>>, oneshot::Receiver<R>) {
        let (asker, told) = oneshot::channel();
        self.waiting().push((entry, asker));
        tokio::task::yield_now().await;
        let mut waiting = mem::take(&mut *self.waiting()).into_iter();
        let batches = std::iter::from_fn(|| {
            let (entries, askers): (Vec<_>, Vec<_>) = waiting.by_ref().take(BATCH_MAX).unzip();
            (!askers.is_empty()).then_some(Batch { entries, askers })
        });
        (batches.collect(), told)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<E, R>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E, R> Default for Together<E, R> {
    fn default() -> Self {
        Self {
            waiting: Arc::default(),
        }
    }
}

impl<E, R> Clone for Together<E, R> {
    fn clone(&self) -> Self {
        Self {
            waiting: Arc::clone(&self.waiting),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::FutureExt as _;
    use futures_util::future::join_all;

    use super::*;

    #[derive(Default)]
    struct Doubler {
        together: Together<u32, u32>,
        sent: Mutex<Vec<Vec<u32>>>,
    }

    impl Doubler {
        /// Twice the entry, of which a request tells.
        async fn twice(&self, entry: u32) -> Option<u32> {
            let (batches, told) = self.together.ask(entry).await;
            for mut batch in batches {
                let entries = mem::take(&mut batch.entries);
                self.sent.lock().unwrap().push(entries.clone());
                tokio::task::yield_now().await;
                batch.tell(entries.into_iter().map(|entry| entry * 2));
            }
            told.await.ok()
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
    async fn who_is_sent_for_by_one_that_is_dropped_is_told_so() {
        let doubler = Doubler::default();
        let mut first = Box::pin(doubler.twice(1));
        assert!(first.as_mut().now_or_never().is_none());
        let mut second = Box::pin(doubler.twice(2));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(first.as_mut().now_or_never().is_none());
        drop(first);
        assert_eq!(second.await, None);
        assert_eq!(doubler.sent(), [[1, 2]]);
    }
}
