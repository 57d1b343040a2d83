//! A model of Ferry's protocol that is explored exhaustively. It covers every interleaving of the
//! four functions' calls, each of which may fail, or be applied and seem to fail. Messages are
//! received twice, late, out of order and from dead-letter queues, leases are lost at any time, and
//! ids are reused. Work continues, sleeps, starts later and is redriven, also while workers of the
//! previous release still run.
//!
//! The model is not a second protocol. The steps come from [`shared::domain::transition`], the same
//! table that the functions are compiled with, and the order of calls follows their code file by
//! file. It leaves out sizes, secrets and networks, owners (there is one), lists, functions that a
//! worker does not know, formats but for those two releases, the attempt history, and durations.

pub mod action;
pub mod check;
pub mod config;
mod owner;
pub mod property;
mod queue;
mod sender;
pub mod state;
mod store;
mod submit;
mod time;
mod worker;

use stateright::{Model, Property};

use crate::action::{Action, Process, Wire};
use crate::config::{Config, Start};
use crate::state::{
    Cancel, ERASES, Erase, Message, Queue, REDELIVERIES, Redeliver, Response, SLOTS, Sender,
    Source, State, Submit, Worker,
};

#[derive(Debug, Clone)]
pub struct Ferry {
    pub config: Config,
}

impl Model for Ferry {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let first = match self.config.start {
            Start::Nothing => Submit::NotRequested,
            Start::Ended | Start::Delivered => Submit::Answered(Response::Accepted),
        };
        let nothing = State {
            head: None,
            tombstone: None,
            begun: 0,
            has_existed: false,
            items: Vec::new(),
            messages: Vec::new(),
            submits: [first, Submit::NotRequested],
            workers: [Worker::Idle; SLOTS],
            senders: [Sender::Idle; SLOTS],
            cancel: Cancel::NotRequested,
            redeliveries: [Redeliver::NotRequested; REDELIVERIES],
            erases: [Erase::NotRequested; ERASES],
            budget: self.config.budget,
            posts: 0,
            rounds: 0,
            source: Source::Retained,
            redriven: false,
            is_final: false,
            breaches: 0,
        };
        vec![store::at_start(&self.config, nothing)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.is_final || state.breaches != 0 {
            return;
        }
        self.calls_under_way(state, actions);
        self.receives(state, actions, |message| message.visible);
        // Internal actions come before rest. External requests and early receives are optional, so
        // they do not prevent it.
        if actions.is_empty() {
            actions.push(Action::Rest);
        }
        self.requests(state, actions);
        self.receives(state, actions, |message| {
            queue::may_reappear(state, &self.config, *message)
        });
        time::offers(state, &self.config, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let (mut next, config) = (last.clone(), &self.config);
        match action {
            Action::Call(process, choice, wire) => {
                if wire != Wire::Answered {
                    next.budget.faults -= 1;
                }
                match process {
                    Process::Submit(create) => {
                        submit::call(&mut next, config, create, choice, wire)?;
                    }
                    Process::Worker(slot) => worker::call(&mut next, config, slot, choice, wire)?,
                    Process::Sender(slot) => sender::call(&mut next, config, slot, choice, wire)?,
                    Process::Cancel => owner::cancel(&mut next, wire)?,
                    Process::Redeliver(id) => owner::redeliver(&mut next, config, id, wire)?,
                    Process::Erase(id) => owner::erase(&mut next, config, id, wire)?,
                }
            }
            Action::Receive(Process::Worker(slot) | Process::Sender(slot), index) => {
                queue::receive(&mut next, config, slot, index);
            }
            Action::Receive(_, _) => return None,
            Action::Expire(timer) => time::expire(&mut next, timer),
            Action::Rest => time::rest(&mut next),
        }
        next.normalize();
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        property::of(self)
    }
}

impl Ferry {
    /// The next calls of the processes that have begun.
    fn calls_under_way(&self, state: &State, actions: &mut Vec<Action>) {
        for (create, submit) in (0..).zip(state.submits) {
            if submit != Submit::NotRequested {
                submit::offers(state, &self.config, create, actions);
            }
        }
        for slot in 0..2 {
            worker::offers(state, &self.config, slot, actions);
            sender::offers(state, &self.config, slot, actions);
        }
        if state.cancel != Cancel::NotRequested {
            owner::offer_cancel(state, actions);
        }
        for (id, redelivery) in (0..).zip(state.redeliveries) {
            if redelivery != Redeliver::NotRequested {
                owner::offers_of_redelivery(state, id, actions);
            }
        }
        for (id, erase) in (0..).zip(state.erases) {
            if erase != Erase::NotRequested {
                owner::offers_of_erase(state, id, actions);
            }
        }
    }

    /// The first calls of the processes that may begin.
    fn requests(&self, state: &State, actions: &mut Vec<Action>) {
        let config = &self.config;
        for (create, submit) in (0..config.submits).zip(state.submits) {
            if submit == Submit::NotRequested {
                submit::offers(state, config, create, actions);
            }
        }
        if config.cancel && state.cancel == Cancel::NotRequested {
            owner::offer_cancel(state, actions);
        }
        // In order, since redeliveries differ only by their number.
        let redelivery = (0..config.redeliveries)
            .zip(state.redeliveries)
            .find(|(_, redelivery)| *redelivery == Redeliver::NotRequested);
        if let Some((id, _)) = redelivery {
            owner::offers_of_redelivery(state, id, actions);
        }
        // Sorted, so that those that have not begun come first.
        let erases = state.erases.iter().filter(|it| **it != Erase::NotRequested);
        if erases.count() < usize::from(config.erases) {
            owner::offers_of_erase(state, 0, actions);
        }
    }

    /// The messages that an idle process may receive.
    fn receives(&self, state: &State, actions: &mut Vec<Action>, which: impl Fn(&Message) -> bool) {
        let idle_workers = state
            .workers
            .iter()
            .filter(|it| **it == Worker::Idle)
            .count();
        let idle_senders = state
            .senders
            .iter()
            .filter(|it| **it == Sender::Idle)
            .count();
        for (index, message) in state.messages.iter().enumerate() {
            let is_double = index > 0 && state.messages[index - 1] == *message;
            if is_double || !which(message) {
                continue;
            }
            // Sorted, so that idle processes come first.
            let process = match message.queue {
                Queue::Dispatch | Queue::DispatchDeadLetters => {
                    (idle_workers + self.config.workers > SLOTS).then_some(Process::Worker(0))
                }
                Queue::Callback | Queue::CallbackDeadLetters => {
                    (idle_senders + self.config.senders > SLOTS).then_some(Process::Sender(0))
                }
            };
            actions.extend(process.map(|process| Action::Receive(process, index)));
        }
    }
}
