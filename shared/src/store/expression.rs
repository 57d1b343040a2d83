//! Every expression that is sent to DynamoDB.
//!
//! What a step asks of the state is derived from the transition table; what it asks of values is added clause by clause by
//! [`super::step`] and [`super::callback`] through the words below. All attribute names go through placeholders, since many
//! of them (`status`, `owner`, `format`) are reserved words.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::{self, name, number, text, time};
use crate::domain::callback::CallbackStatus;
use crate::domain::id::CreateId;
use crate::domain::limits::{FORMAT, VERSIONS_MAX};
use crate::domain::precondition::{Preconditions, Version, Versions};
use crate::domain::time::Timestamp;
use crate::domain::transition::{self, Status, Step};

/// The condition of a payload item's write: its key is drawn once, so it is never overwritten.
pub(super) const ABSENT: &str = "attribute_not_exists(pk)";

/// What makes an expression: clauses, and the placeholders that they use. DynamoDB refuses unused ones, so they are collected
/// from use.
#[derive(Debug, Default)]
pub(super) struct Expression {
    conditions: Vec<String>,
    sets: Vec<String>,
    removes: Vec<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

/// The parts of an [`Expression`] as a request takes them.
pub(super) struct Rendered {
    pub(super) condition: String,
    pub(super) update: Option<String>,
    pub(super) names: HashMap<String, String>,
    pub(super) values: HashMap<String, AttributeValue>,
}

impl Expression {
    /// The condition under which an operation may be created: there is none of its name, or only one that has expired or was
    /// erased, and that the store has not deleted yet.
    ///
    /// The SDK makes a create again whose answer was lost, with the time at which it was begun. Meanwhile the operation may have
    /// ended, and its message with it, so that to create it afresh would leave it pending for ever. Hence not over an operation's
    /// own mark, whatever the clocks say: it has been carried out before. And not over a mark that is later than `begun_at`, when
    /// the submit began: this create's own incarnation may have come and gone before that erase, and the erase may have deleted the
    /// payload items that this submit has written.
    pub(super) fn creating(create_id: &CreateId, begun_at: Timestamp, now: Timestamp) -> Self {
        let mut this = Self::default();
        let (pk, other) = (this.name(name::PK), this.name(name::CREATE_ID));
        let (delete_at, erased_at) = (this.name(name::DELETE_AT), this.name(name::ERASED_AT));
        let own = this.value("own", text(create_id.as_str()));
        let expired = this.value("expired", item::delete_at(now));
        let begun_at = this.value("begun_at", time(begun_at));
        // A comparison with an attribute that is not there is false.
        this.conditions.push(format!(
            "(attribute_not_exists({pk}) OR ({other} <> {own} AND \
             ((attribute_not_exists({erased_at}) AND {delete_at} <= {expired}) \
             OR {erased_at} <= {begun_at})))"
        ));
        this
    }

    /// A record that this code can read and that has neither expired nor been erased: what every write to one asks for.
    pub(super) fn on_record(now: Timestamp) -> Self {
        let mut this = Self::default();
        let (format, delete_at) = (this.name(name::FORMAT), this.name(name::DELETE_AT));
        let newest = this.value("format", number(FORMAT));
        let expired = this.value("expired", item::delete_at(now));
        this.conditions.push(format!("{format} <= {newest}"));
        this.conditions.push(format!("{delete_at} > {expired}"));
        this.require_optional(name::ERASED_AT, None);
        this
    }

    /// A record that this code can read and that expired then, as was read. Nobody writes to it any more but a create over it, or
    /// another erase.
    pub(super) fn on_expired(expires_at: Timestamp) -> Self {
        let mut this = Self::default();
        let (format, newest) = (
            this.name(name::FORMAT),
            this.value("format", number(FORMAT)),
        );
        this.conditions.push(format!("{format} <= {newest}"));
        this.require(name::DELETE_AT, item::delete_at(expires_at));
        this.require_optional(name::ERASED_AT, None);
        this
    }

    /// What a scan passes on: heads that have neither expired nor been erased, whatever else is in them. A comparison with an
    /// attribute that is not there, or is no number, is false: turned round, it does not hide a corrupt head.
    pub(super) fn standing_heads(now: Timestamp) -> Self {
        let mut this = Self::default();
        this.require(name::SK, text(item::HEAD));
        this.require_optional(name::ERASED_AT, None);
        let (delete_at, expired) = (
            this.name(name::DELETE_AT),
            this.value("expired", item::delete_at(now)),
        );
        this.conditions
            .push(format!("NOT {delete_at} <= {expired}"));
        this
    }

    /// A step: the states from which it may be taken, by the transition table, and the state that it leads to.
    pub(super) fn step(step: Step, now: Timestamp) -> Self {
        let mut this = Self::on_record(now);
        let status = this.name(name::STATUS);
        let sources: Vec<_> = transition::sources(step)
            .map(|(from, once_free)| {
                let is_from = format!(
                    "{status} = {}",
                    this.value(from.as_str(), text(from.as_str()))
                );
                if !once_free {
                    return is_from;
                }
                // A lease or a backoff, no matter which: `lease_until` alone says when somebody else may act.
                let lease_until = this.name(name::LEASE_UNTIL);
                let now = this.value("now", time(now));
                format!("({is_from} AND {lease_until} <= {now})")
            })
            .collect();
        this.conditions.push(any_of(sources));
        this
    }

    /// A step that is a transition: it sets the state, raises the version and stamps the change.
    pub(super) fn transition(step: Step, now: Timestamp) -> Self {
        let mut this = Self::step(step, now);
        let target = transition::target(step);
        this.set(name::STATUS, text(target.as_str()));
        this.increment(name::LOCK_VERSION);
        this.set(name::UPDATED_AT, time(now));
        if target.is_terminal() {
            this.end(now);
        }
        this
    }

    /// Terminal: stamped, no longer leased, and kept from now for as long as was asked.
    fn end(&mut self, now: Timestamp) {
        self.set(name::ENDED_AT, time(now));
        self.remove(name::LEASE_UNTIL);
        self.remove(name::LAST_ERROR);
        let delete_at = self.name(name::DELETE_AT);
        let retention = self.name(name::RETENTION_SECS);
        let expired = self.value("expired", item::delete_at(now));
        self.sets
            .push(format!("{delete_at} = {retention} + {expired}"));
    }

    /// Terminal states only.
    pub(super) fn require_ended(&mut self) {
        let status = self.name(name::STATUS);
        let ended: Vec<_> = Status::ALL
            .into_iter()
            .filter(|status| status.is_terminal())
            .map(|ended| self.value(ended.as_str(), text(ended.as_str())))
            .collect();
        self.conditions
            .push(format!("{status} IN ({})", ended.join(", ")));
    }

    /// Callbacks only whose round is over, in one of the ways from which a new one may be started.
    pub(super) fn require_settled(&mut self) {
        let status = self.name(name::CALLBACK_STATUS);
        let settled: Vec<_> = CallbackStatus::ALL
            .into_iter()
            .filter(|status| status.allows_redelivery())
            .map(|settled| self.value(settled.as_str(), text(settled.as_str())))
            .collect();
        self.conditions
            .push(format!("{status} IN ({})", settled.join(", ")));
    }

    /// The attribute has this value.
    pub(super) fn require(&mut self, attribute: &'static str, value: AttributeValue) {
        let name = self.name(attribute);
        let value = self.value(attribute, value);
        self.conditions.push(format!("{name} = {value}"));
    }

    /// The attribute has this value, or `None`: is absent.
    pub(super) fn require_optional(
        &mut self,
        attribute: &'static str,
        value: Option<AttributeValue>,
    ) {
        if let Some(value) = value {
            return self.require(attribute, value);
        }
        let name = self.name(attribute);
        self.conditions
            .push(format!("attribute_not_exists({name})"));
    }

    /// The attribute is there.
    pub(super) fn require_present(&mut self, attribute: &str) {
        let name = self.name(attribute);
        self.conditions.push(format!("attribute_exists({name})"));
    }

    /// There are attempts left, and time.
    pub(super) fn require_attempts_and_time(&mut self, now: Timestamp) {
        let (attempt, attempts_max) = (self.name(name::ATTEMPT), self.name(name::ATTEMPTS_MAX));
        let (deadline_at, now) = (self.name(name::DEADLINE_AT), self.value("now", time(now)));
        self.conditions.push(format!("{attempt} < {attempts_max}"));
        self.conditions.push(format!("{deadline_at} > {now}"));
    }

    /// There are no attempts left, or no time.
    pub(super) fn require_spent(&mut self, now: Timestamp) {
        let (attempt, attempts_max) = (self.name(name::ATTEMPT), self.name(name::ATTEMPTS_MAX));
        let (deadline_at, now) = (self.name(name::DEADLINE_AT), self.value("now", time(now)));
        self.conditions.push(format!(
            "({attempt} >= {attempts_max} OR {deadline_at} <= {now})"
        ));
    }

    /// What a caller asks of the version that is there. More than [`VERSIONS_MAX`] versions are not met.
    pub(super) fn require_preconditions(&mut self, preconditions: &Preconditions) {
        let Preconditions {
            if_match,
            if_none_match,
        } = preconditions;
        let is_too_long = |versions: &Option<Versions>| {
            let listed = |versions: &Versions| match versions {
                Versions::Any => 0,
                Versions::Listed(versions) => versions.len(),
            };
            versions.as_ref().map_or(0, listed) > VERSIONS_MAX
        };
        if is_too_long(if_match) || is_too_long(if_none_match) {
            return self.require_never();
        }
        if let Some(Versions::Listed(versions)) = if_match {
            let clause = self.any_version("m", versions);
            self.conditions.push(clause);
        }
        match if_none_match {
            None => {}
            Some(Versions::Any) => self.require_never(),
            Some(Versions::Listed(versions)) => {
                let clause = self.any_version("n", versions);
                self.conditions.push(format!("NOT {clause}"));
            }
        }
    }

    /// Refuses the write. A record's version is at least 1.
    fn require_never(&mut self) {
        self.require(name::LOCK_VERSION, number(0));
    }

    /// True at one of these versions, and never when there are none.
    fn any_version(&mut self, label: &str, versions: &[Version]) -> String {
        let lock_version = self.name(name::LOCK_VERSION);
        if versions.is_empty() {
            // A record's version is at least 1.
            let never = self.value(&format!("{label}_never"), number(0));
            return format!("{lock_version} = {never}");
        }
        let created_at = self.name(name::CREATED_AT);
        let updated_at = self.name(name::UPDATED_AT);
        let clauses: Vec<_> = versions
            .iter()
            .enumerate()
            .map(|(index, wanted)| {
                // Short, for an expression has its limit, and there may be many.
                let mut value =
                    |part: &str, value| self.value(&format!("{label}{index}{part}"), value);
                let created = value("c", time(wanted.created_at));
                let version = value("v", number(wanted.lock_version));
                let updated = value("u", time(wanted.updated_at));
                format!(
                    "({created_at} = {created} AND {lock_version} = {version} \
                     AND {updated_at} = {updated})"
                )
            })
            .collect();
        any_of(clauses)
    }

    /// Sets an attribute.
    pub(super) fn set(&mut self, attribute: &str, value: AttributeValue) {
        let name = self.name(attribute);
        let value = self.value(&format!("to_{attribute}"), value);
        self.sets.push(format!("{name} = {value}"));
    }

    /// Sets an attribute unless it is there.
    pub(super) fn set_once(&mut self, attribute: &str, value: AttributeValue) {
        let name = self.name(attribute);
        let value = self.value(&format!("to_{attribute}"), value);
        self.sets
            .push(format!("{name} = if_not_exists({name}, {value})"));
    }

    /// Sets an attribute that only ever grows: the write is refused where it would fall.
    pub(super) fn set_forward(&mut self, attribute: &str, value: AttributeValue) {
        self.set(attribute, value);
        let name = self.name(attribute);
        self.conditions.push(format!("{name} <= :to_{attribute}"));
    }

    /// Raises a number by one.
    pub(super) fn increment(&mut self, attribute: &str) {
        let name = self.name(attribute);
        let one = self.value("one", number(1));
        self.sets.push(format!("{name} = {name} + {one}"));
    }

    /// Removes an attribute.
    pub(super) fn remove(&mut self, attribute: &str) {
        let name = self.name(attribute);
        self.removes.push(name);
    }

    /// The parts of a request.
    pub(super) fn render(self) -> Rendered {
        let mut update = String::new();
        if !self.sets.is_empty() {
            update = format!("SET {}", self.sets.join(", "));
        }
        if !self.removes.is_empty() {
            update = format!("{update} REMOVE {}", self.removes.join(", "));
        }
        Rendered {
            condition: self.conditions.join(" AND "),
            update: (!update.is_empty()).then_some(update),
            names: self.names,
            values: self.values,
        }
    }

    /// The placeholder for an attribute's name.
    pub(super) fn name(&mut self, attribute: &str) -> String {
        let placeholder = format!("#{attribute}");
        self.names.insert(placeholder.clone(), attribute.to_owned());
        placeholder
    }

    /// The placeholder for a value.
    pub(super) fn value(&mut self, label: &str, value: AttributeValue) -> String {
        let placeholder = format!(":{label}");
        self.values.insert(placeholder.clone(), value);
        placeholder
    }
}

/// One of the clauses, of which there is at least one. DynamoDB refuses redundant parentheses.
fn any_of(clauses: Vec<String>) -> String {
    match <[String; 1]>::try_from(clauses) {
        Ok([only]) => only,
        Err(several) => format!("({})", several.join(" OR ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(step: Step) -> String {
        Expression::step(step, Timestamp::from_secs(1))
            .render()
            .condition
    }

    #[test]
    fn a_steps_condition_is_what_the_table_says() {
        let record =
            "#format <= :format AND #delete_at > :expired AND attribute_not_exists(#erased_at)";
        for (step, states) in [
            (
                Step::Claim,
                "(#status = :pending OR (#status = :processing AND #lease_until <= :now))",
            ),
            (
                Step::GiveUp,
                "(#status = :pending OR (#status = :processing AND #lease_until <= :now))",
            ),
            (
                Step::Cancel,
                "(#status = :pending OR #status = :processing)",
            ),
            (Step::Heartbeat, "#status = :processing"),
            (Step::Complete, "#status = :processing"),
            (Step::Fail, "#status = :processing"),
            (Step::Retry, "#status = :processing"),
        ] {
            assert_eq!(
                condition(step),
                format!("{record} AND {states}"),
                "{step:?}"
            );
        }
    }

    #[test]
    fn every_placeholder_is_declared_and_every_declared_one_used() {
        let now = Timestamp::from_secs(1);
        let mut round = Expression::on_record(now);
        round.require_ended();
        round.require_settled();
        let version = Version {
            created_at: now,
            lock_version: 1,
            updated_at: now,
        };
        let preconditions = [
            None,
            Some(Versions::Any),
            Some(Versions::Listed(vec![])),
            Some(Versions::Listed(vec![version])),
            Some(Versions::Listed(vec![version, version])),
        ];
        let conditional = preconditions.iter().flat_map(|if_match| {
            preconditions.iter().map(move |if_none_match| {
                let mut cancel = Expression::transition(Step::Cancel, now);
                cancel.require_preconditions(&Preconditions {
                    if_match: if_match.clone(),
                    if_none_match: if_none_match.clone(),
                });
                (format!("{if_match:?}, {if_none_match:?}"), cancel)
            })
        });
        let expressions = Step::ALL
            .into_iter()
            .filter(|step| *step != Step::Create)
            .map(|step| (format!("{step:?}"), Expression::transition(step, now)))
            .chain([
                ("round".to_owned(), round),
                (
                    "create".to_owned(),
                    Expression::creating(&CreateId::from_bytes([1; 16]), now, now),
                ),
                ("expired".to_owned(), Expression::on_expired(now)),
                ("heads".to_owned(), Expression::standing_heads(now)),
            ])
            .chain(conditional);
        for (what, expression) in expressions {
            let rendered = expression.render();
            let update = rendered.update.unwrap_or_default();
            let text = format!("{} {update}", rendered.condition);
            let used: std::collections::HashSet<_> = text
                .split(|c: char| !(c.is_ascii_alphanumeric() || "#:_".contains(c)))
                .filter(|word| word.starts_with(['#', ':']))
                .map(str::to_owned)
                .collect();
            let declared = rendered
                .names
                .into_keys()
                .chain(rendered.values.into_keys())
                .collect();
            assert_eq!(used, declared, "{what}");
        }
    }
}
