//! Arithmetic and comparison between two vectors: finding for each series its partner.

use std::collections::HashMap;

use yagura_model::Labels;

use super::{
    ast::{Binary, Cardinality},
    binary::{Meaning, Signatures, many_is_right, meaning, same_labels, signature},
    error::QueryError,
    eval::{ABSENT, Column, Evaluator, Result, present},
};

/// Evaluates an operator between two vectors.
///
/// Which series may meet is settled once by their labels; which do at an instant depends on who has a value then.
pub(super) fn operate(
    evaluator: Evaluator<'_>,
    binary: &Binary,
    lhs: Vec<Column>,
    rhs: Vec<Column>,
) -> Result<Vec<Column>> {
    let (many, one) = if many_is_right(binary) { (rhs, lhs) } else { (lhs, rhs) };
    let mut signatures = Signatures::default();
    let mut groups: Vec<Group> = Vec::new();
    for (index, column) in one.iter().enumerate() {
        group(&mut groups, signatures.number(&binary.matching, &column.labels)).one.push(index);
    }
    for (index, column) in many.iter().enumerate() {
        group(&mut groups, signatures.number(&binary.matching, &column.labels)).many.push(index);
    }
    let mut join = Join { evaluator, binary, many: &many, one: &one, out: Out::default() };
    for group in &groups {
        evaluator.control().check()?;
        join.group(group)?;
    }
    Ok(join.out.columns.into_iter().filter(Column::has_values).collect())
}

/// Series of both sides that have the matching labels in common.
#[derive(Default)]
struct Group {
    one: Vec<usize>,
    many: Vec<usize>,
}

fn group(groups: &mut Vec<Group>, number: usize) -> &mut Group {
    if groups.len() <= number {
        groups.resize_with(number + 1, Group::default);
    }
    // The vector was just made long enough.
    #[expect(clippy::indexing_slicing, reason = "the vector was just made long enough")]
    &mut groups[number]
}

#[derive(Default)]
struct Out {
    columns: Vec<Column>,
    places: HashMap<Labels, usize>,
}

struct Join<'j> {
    evaluator: Evaluator<'j>,
    binary: &'j Binary,
    many: &'j [Column],
    one: &'j [Column],
    out: Out,
}

/// The "one" side of a group: at each instant at most one of its series has a value.
struct Partner {
    values: Vec<f64>,
    /// Which series has the value at each instant; empty when there is but one series.
    owners: Vec<usize>,
}

impl Join<'_> {
    fn group(&mut self, group: &Group) -> Result<()> {
        let one = self.partner(group)?;
        let one_to_one = self.binary.matching.cardinality == Cardinality::OneToOne;
        let mut matched = vec![false; self.evaluator.grid.count];
        // Which results this group has made at which instants, should two of them have the same labels.
        let mut made: HashMap<usize, Vec<bool>> = HashMap::new();
        let fill = self.fill_one();
        for index in &group.many {
            let Some(column) = self.many.get(*index) else { continue };
            let mut place = None;
            for step in 0..self.evaluator.grid.count {
                let value = column.values.get(step).copied().unwrap_or(ABSENT);
                if !present(value) {
                    continue;
                }
                let (other, owner) = match one.values.get(step).copied().filter(|other| present(*other)) {
                    Some(other) => (other, Some(one.owner(step, group))),
                    None => match fill {
                        Some(fill) => (fill, None),
                        None => continue,
                    },
                };
                if let Some(matched) = matched.get_mut(step) {
                    if *matched && one_to_one {
                        return Err(ambiguous("many-to-one matching must be explicit (group_left/group_right)"));
                    }
                    *matched = true;
                }
                let place = match place {
                    Some((known, place)) if known == owner => place,
                    _ => {
                        let found = self.place(column, owner);
                        place = Some((owner, found));
                        found
                    }
                };
                let made = made.entry(place).or_insert_with(|| vec![false; self.evaluator.grid.count]);
                if let Some(made) = made.get_mut(step)
                    && std::mem::replace(made, true)
                {
                    return Err(ambiguous("grouping labels must ensure unique matches"));
                }
                self.put(place, step, value, other)?;
            }
        }
        self.unmatched(group, &one, &matched)
    }

    /// With a fill value for the "many" side, what no series of it met.
    fn unmatched(&mut self, group: &Group, one: &Partner, matched: &[bool]) -> Result<()> {
        let Some(fill) = self.fill_many() else { return Ok(()) };
        for step in 0..self.evaluator.grid.count {
            let other = one.values.get(step).copied().unwrap_or(ABSENT);
            if !present(other) || matched.get(step).copied().unwrap_or_default() {
                continue;
            }
            let owner = one.owner(step, group);
            let Some(partner) = self.one.get(owner) else { continue };
            let labels = signature(&self.binary.matching, &partner.labels);
            let stand_in = Column { labels, drop_name: false, values: Vec::new() };
            let place = self.place(&stand_in, Some(owner));
            self.put(place, step, fill, other)?;
        }
        Ok(())
    }

    fn fill_one(&self) -> Option<f64> {
        let matching = &self.binary.matching;
        if many_is_right(self.binary) { matching.fill_left } else { matching.fill_right }
    }

    fn fill_many(&self) -> Option<f64> {
        let matching = &self.binary.matching;
        if many_is_right(self.binary) { matching.fill_right } else { matching.fill_left }
    }

    fn partner(&self, group: &Group) -> Result<Partner> {
        let first = group.one.first().and_then(|index| self.one.get(*index));
        let Some(first) = first else { return Ok(Partner { values: Vec::new(), owners: Vec::new() }) };
        if group.one.len() == 1 {
            return Ok(Partner { values: first.values.clone(), owners: Vec::new() });
        }
        let mut values = vec![ABSENT; self.evaluator.grid.count];
        let mut owners = vec![0; self.evaluator.grid.count];
        for index in &group.one {
            let Some(column) = self.one.get(*index) else { continue };
            for (step, value) in column.values.iter().enumerate().filter(|(_, value)| present(**value)) {
                let (Some(slot), Some(owner)) = (values.get_mut(step), owners.get_mut(step)) else { continue };
                if present(*slot) && self.any_many(step) {
                    let other = self.one.get(*owner).map(|other| other.labels.clone()).unwrap_or_default();
                    return Err(self.duplicate(column, &other));
                }
                *slot = *value;
                *owner = *index;
            }
        }
        Ok(Partner { values, owners })
    }

    /// Whether the other side has any value at an instant; if not, nothing is matched at all.
    fn any_many(&self, step: usize) -> bool {
        let fills = self.binary.matching.fill_left.is_some() || self.binary.matching.fill_right.is_some();
        fills || self.many.iter().any(|column| column.values.get(step).is_some_and(|value| present(*value)))
    }

    fn duplicate(&self, column: &Column, other: &Labels) -> QueryError {
        let side = if many_is_right(self.binary) { "left" } else { "right" };
        let group = signature(&self.binary.matching, &column.labels);
        QueryError::Execution(format!(
            "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];\
             many-to-many matching not allowed: matching labels must be unique on one side",
            in_braces(&group),
            in_braces(&column.labels),
            in_braces(other)
        ))
    }

    /// The result column for a series and its partner.
    fn place(&mut self, column: &Column, owner: Option<usize>) -> usize {
        let partner = owner.and_then(|owner| self.one.get(owner)).map(|column| column.labels.clone());
        let labels = result_labels(self.binary, &column.labels, &partner.unwrap_or_default());
        let next = self.out.columns.len();
        let place = *self.out.places.entry(labels.clone()).or_insert(next);
        if place == next {
            let drop_name = self.binary.returns_bool || column.drop_name;
            self.out.columns.push(Column { labels, drop_name, values: vec![ABSENT; self.evaluator.grid.count] });
        }
        place
    }

    fn put(&mut self, place: usize, step: usize, many: f64, one: f64) -> Result<()> {
        let (lhs, rhs) = if many_is_right(self.binary) { (one, many) } else { (many, one) };
        let result = match meaning(self.binary.op) {
            Meaning::Arithmetic(compute) => compute(lhs, rhs),
            Meaning::Comparison(holds) if self.binary.returns_bool => f64::from(u8::from(holds(lhs, rhs))),
            Meaning::Comparison(holds) if holds(lhs, rhs) => lhs,
            Meaning::Comparison(_) => return Ok(()),
        };
        let slot = self.out.columns.get_mut(place).and_then(|column| column.values.get_mut(step));
        if let Some(slot) = slot {
            if present(*slot) {
                return Err(same_labels());
            }
            *slot = result;
        }
        Ok(())
    }
}

impl Partner {
    fn owner(&self, step: usize, group: &Group) -> usize {
        self.owners.get(step).or_else(|| group.one.first()).copied().unwrap_or_default()
    }
}

fn ambiguous(why: &str) -> QueryError {
    QueryError::Execution(format!("multiple matches for labels: {why}"))
}

/// Labels as Prometheus shows them in errors: the name as any other label.
fn in_braces(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

fn result_labels(binary: &Binary, many: &Labels, one: &Labels) -> Labels {
    let matching = &binary.matching;
    let listed = |name: &str| matching.labels.iter().any(|label| label == name);
    let changes_meaning = matches!(meaning(binary.op), Meaning::Arithmetic(_));
    let one_to_one = matching.cardinality == Cardinality::OneToOne;
    let labels =
        many.without(|name| (changes_meaning && is_metadata(name)) || (one_to_one && listed(name) != matching.on));
    if matching.include.is_empty() {
        return labels;
    }
    let mut builder = labels.to_builder();
    for name in &matching.include {
        builder.set(name, one.get(name).unwrap_or_default());
    }
    builder.build()
}

/// The labels that say what a metric is; they do not outlive a change of its meaning.
pub(crate) fn is_metadata(name: &str) -> bool {
    matches!(name, "__name__" | "__type__" | "__unit__")
}
