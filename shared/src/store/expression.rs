//! Every expression that is sent to DynamoDB.
//!
//! The condition on a state is derived from the transition table. [`super::step`] and
//! [`super::callback`] add conditions on values clause by clause, with the methods below. All
//! attribute names go through placeholders, since many of them (`status`, `owner`, `format`) are
//! reserved words.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::{self, name, number, text, time};
use crate::domain::callback::CallbackStatus;
use crate::domain::id::CreateId;
use crate::domain::limits::{FORMAT_READ, PRECONDITION_VERSIONS_MAX};
use crate::domain::precondition::{Preconditions, Version, Versions};
use crate::domain::time::Timestamp;
use crate::domain::transition::{self, Status, Step};

/// The clauses of an expression and the placeholders that they use. DynamoDB refuses unused
/// placeholders, so each is declared where it is used.
#[derive(Debug, Default)]
pub(super) struct Expression {
    conditions: Vec<String>,
    sets: Vec<String>,
    removes: Vec<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

pub(super) struct Rendered {
    pub(super) condition: String,
    pub(super) update: Option<String>,
    pub(super) names: HashMap<String, String>,
    pub(super) values: HashMap<String, AttributeValue>,
}

impl Expression {
    /// The condition under which an operation may be created: its id has no record, or only the
    /// record of an operation that has expired or was erased and that DynamoDB has not deleted yet.
    ///
    /// The SDK retries a create whose response was lost, with the time of the first try. Meanwhile
    /// the operation may have ended and its message may be gone, so a new record would stay pending
    /// for ever. Hence two exceptions. A create never replaces the tombstone of its own operation,
    /// whatever the clocks say: the create was applied before. And it never replaces a tombstone
    /// that is later than `begun_at`, when the submit began: this create's own incarnation may have
    /// come and gone before that erase, and the erase may have deleted the payload items that this
    /// submit wrote.
    pub(super) fn creating(create_id: &CreateId, begun_at: Timestamp, now: Timestamp) -> Self {
        let mut this = Self::default();
        let (pk, other) = (this.name(name::PK), this.name(name::CREATE_ID));
        let (delete_at, erased_at) = (this.name(name::DELETE_AT), this.name(name::ERASED_AT));
        let own = this.value("own", text(create_id.as_str()));
        let expired = this.value("expired", item::delete_at(now));
        let begun_at = this.value("begun_at", time(begun_at));
        // A comparison with an absent attribute is false.
        this.conditions.push(format!(
            "(attribute_not_exists({pk}) OR ({other} <> {own} AND \
             ((attribute_not_exists({erased_at}) AND {delete_at} <= {expired}) \
             OR {erased_at} <= {begun_at})))"
        ));
        this
    }

    /// A record that this code can read and that has neither expired nor been erased: every write
    /// to a record requires it.
    pub(super) fn on_record(now: Timestamp) -> Self {
        let mut this = Self::default();
        let (format, delete_at) = (this.name(name::FORMAT), this.name(name::DELETE_AT));
        let newest = this.value("format", number(FORMAT_READ));
        let expired = this.value("expired", item::delete_at(now));
        this.conditions.push(format!("{format} <= {newest}"));
        this.conditions.push(format!("{delete_at} > {expired}"));
        this.require_optional(name::ERASED_AT, None);
        this
    }

    /// A record that this code can read and that expired at the time that was read. Only a create
    /// over it or another erase still writes to it.
    pub(super) fn on_expired(expires_at: Timestamp) -> Self {
        let mut this = Self::default();
        let (format, newest) = (
            this.name(name::FORMAT),
            this.value("format", number(FORMAT_READ)),
        );
        this.conditions.push(format!("{format} <= {newest}"));
        this.require(name::DELETE_AT, item::delete_at(expires_at));
        this.require_optional(name::ERASED_AT, None);
        this
    }

    /// The filter of a scan: heads that have neither expired nor been erased, whatever else they
    /// hold. A comparison with an attribute that is absent or not a number is false. The negated
    /// comparison therefore keeps a corrupt head in the result.
    pub(super) fn visible_heads(now: Timestamp) -> Self {
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

    /// The condition of a payload item's write. The item's key is random, so an item under it is
    /// never another's.
    pub(super) fn on_absent() -> Self {
        let mut this = Self::default();
        this.require_optional(name::PK, None);
        this
    }

    /// A step: it requires a state from which the transition table allows the step.
    pub(super) fn step(step: Step, now: Timestamp) -> Self {
        let mut this = Self::on_record(now);
        let status = this.name(name::STATUS);
        let sources: Vec<_> = transition::sources(step)
            .map(|(from, after_lease)| {
                let is_from = format!(
                    "{status} = {}",
                    this.value(from.as_str(), text(from.as_str()))
                );
                if !after_lease {
                    return is_from;
                }
                // A lease, a backoff, a wait or a start: `lease_until` alone says when a worker may
                // act.
                let lease_until = this.name(name::LEASE_UNTIL);
                let now = this.value("now", time(now));
                let has_passed = format!("{lease_until} <= {now}");
                match from {
                    // Absent unless the operation starts later.
                    Status::Pending => format!(
                        "({is_from} AND (attribute_not_exists({lease_until}) OR {has_passed}))"
                    ),
                    _ => format!("({is_from} AND {has_passed})"),
                }
            })
            .collect();
        this.conditions.push(any_of(sources));
        this
    }

    /// A step that is a transition: it also sets the state, increments the version and stamps the
    /// change.
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

    /// The end: it stamps the time, ends the lease and restarts the retention from now.
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

    /// Requires a terminal state.
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

    /// Requires that the callback's last round is over, with a status that allows a redelivery.
    pub(super) fn require_round_over(&mut self) {
        let status = self.name(name::CALLBACK_STATUS);
        let ended: Vec<_> = CallbackStatus::ALL
            .into_iter()
            .filter(|status| status.allows_redelivery())
            .map(|status| self.value(status.as_str(), text(status.as_str())))
            .collect();
        self.conditions
            .push(format!("{status} IN ({})", ended.join(", ")));
    }

    /// The attribute has this value.
    pub(super) fn require(&mut self, attribute: &'static str, value: AttributeValue) {
        let name = self.name(attribute);
        let value = self.value(attribute, value);
        self.conditions.push(format!("{name} = {value}"));
    }

    /// The attribute has this value; with `None`, it is absent.
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

    pub(super) fn require_present(&mut self, attribute: &str) {
        let name = self.name(attribute);
        self.conditions.push(format!("attribute_exists({name})"));
    }

    /// Attempts are left, and the deadline has not passed.
    pub(super) fn require_attempts_and_time(&mut self, now: Timestamp) {
        let (attempt, attempts_max) = (self.name(name::ATTEMPT), self.name(name::ATTEMPTS_MAX));
        let (deadline_at, now) = (self.name(name::DEADLINE_AT), self.value("now", time(now)));
        self.conditions.push(format!("{attempt} < {attempts_max}"));
        self.conditions.push(format!("{deadline_at} > {now}"));
    }

    /// No attempts are left, or the deadline has passed.
    pub(super) fn require_exhausted(&mut self, now: Timestamp) {
        let (attempt, attempts_max) = (self.name(name::ATTEMPT), self.name(name::ATTEMPTS_MAX));
        let (deadline_at, now) = (self.name(name::DEADLINE_AT), self.value("now", time(now)));
        self.conditions.push(format!(
            "({attempt} >= {attempts_max} OR {deadline_at} <= {now})"
        ));
    }

    /// The caller's preconditions on the version. A list of more than [`PRECONDITION_VERSIONS_MAX`]
    /// versions is never met.
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
            versions.as_ref().map_or(0, listed) > PRECONDITION_VERSIONS_MAX
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

    fn require_never(&mut self) {
        let never = self.never();
        self.conditions.push(never);
    }

    /// A clause that refuses every write: a record's version is at least 1.
    fn never(&mut self) -> String {
        let lock_version = self.name(name::LOCK_VERSION);
        let never = self.value("never", number(0));
        format!("{lock_version} = {never}")
    }

    /// True at one of these versions; never true for an empty list.
    fn any_version(&mut self, label: &str, versions: &[Version]) -> String {
        if versions.is_empty() {
            return self.never();
        }
        let lock_version = self.name(name::LOCK_VERSION);
        let created_at = self.name(name::CREATED_AT);
        let updated_at = self.name(name::UPDATED_AT);
        let clauses: Vec<_> = versions
            .iter()
            .enumerate()
            .map(|(index, wanted)| {
                // Short labels: an expression's length is limited, and the list may be long.
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

    pub(super) fn set(&mut self, attribute: &str, value: AttributeValue) {
        let name = self.name(attribute);
        let value = self.value(&format!("to_{attribute}"), value);
        self.sets.push(format!("{name} = {value}"));
    }

    /// Sets an attribute unless it is present.
    pub(super) fn set_once(&mut self, attribute: &str, value: AttributeValue) {
        let name = self.name(attribute);
        let value = self.value(&format!("to_{attribute}"), value);
        self.sets
            .push(format!("{name} = if_not_exists({name}, {value})"));
    }

    /// Sets an attribute that must never fall: a lower value refuses the write.
    pub(super) fn set_forward(&mut self, attribute: &str, value: AttributeValue) {
        self.set(attribute, value);
        let name = self.name(attribute);
        self.conditions.push(format!("{name} <= :to_{attribute}"));
    }

    pub(super) fn increment(&mut self, attribute: &str) {
        let name = self.name(attribute);
        let one = self.value("one", number(1));
        self.sets.push(format!("{name} = {name} + {one}"));
    }

    pub(super) fn remove(&mut self, attribute: &str) {
        let name = self.name(attribute);
        self.removes.push(name);
    }

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

/// Joins the clauses, of which there is at least one, with OR. DynamoDB refuses redundant
/// parentheses.
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
                "((#status = :pending AND \
                 (attribute_not_exists(#lease_until) OR #lease_until <= :now)) \
                 OR (#status = :processing AND #lease_until <= :now))",
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
            (Step::Continue, "#status = :processing"),
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
        round.require_round_over();
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
                ("heads".to_owned(), Expression::visible_heads(now)),
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
