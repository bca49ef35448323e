//! The value of one directive, and its printed form.
//! Knows no default and no bound: `parse` makes values, the row says which.
//! Always: never shown by `Debug` outside this crate, because it may be a secret.

use crate::choices::name_of;
use crate::directive::{Kind, Row};
use crate::number::format_percentile;
use crate::policy::PolicySelection;
use crate::special::{Address, KeyspaceEvents, OutputLimits, SavePoint};
use crate::words::join;

#[derive(Clone, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    /// Also the octal ones.
    Integer(i64),
    Memory(u64),
    Percent(u8),
    Code(u8),
    Text(Box<[u8]>),
    Words(Vec<Vec<u8>>),
    SavePoints(Vec<SavePoint>),
    OutputLimits(OutputLimits),
    OomScores([i16; 3]),
    Events(KeyspaceEvents),
    Percentiles(Vec<f64>),
    Replica(Option<Address>),
    Policy(PolicySelection),
}

impl Value {
    /// As CONFIG GET prints it.
    pub(crate) fn print(&self, row: &Row) -> Vec<u8> {
        let printed = match self {
            Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
            Value::Integer(number) if matches!(row.kind, Kind::Octal { .. }) => format!("{number:o}"),
            Value::Integer(number) => number.to_string(),
            Value::Memory(bytes) => bytes.to_string(),
            Value::Percent(percent) => format!("{percent}%"),
            Value::Code(code) => match row.kind {
                Kind::Choice(names) | Kind::Choices(names) => name_of(names, *code),
                _ => unreachable!("only choices have codes"),
            },
            Value::Text(text) => return text.to_vec(),
            Value::Words(words) => return words.join(&b' '),
            Value::SavePoints(points) => join(
                &points
                    .iter()
                    .flat_map(|point| [point.seconds, point.changes])
                    .map(|n| n.to_string())
                    .collect::<Vec<_>>(),
            ),
            Value::OutputLimits(limits) => limits
                .classes()
                .map(|(class, limit)| {
                    format!("{class} {} {} {}", limit.hard_bytes, limit.soft_bytes, limit.soft_seconds)
                })
                .join(" "),
            Value::OomScores(scores) => scores.map(|score| score.to_string()).join(" "),
            Value::Events(events) => events.letters(),
            Value::Percentiles(percentiles) => {
                join(&percentiles.iter().map(|number| format_percentile(*number)).collect::<Vec<_>>())
            }
            Value::Replica(None) => String::new(),
            Value::Replica(Some(address)) => {
                return [&address.host[..], b" ", address.port.to_string().as_bytes()].concat();
            }
            Value::Policy(selection) => selection.print(),
        };
        printed.into_bytes()
    }
}
