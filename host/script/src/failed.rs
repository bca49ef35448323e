//! What an error comes to that ended a run: its text, and the line of the script where it was raised. Lua hands over a
//! sentence with all places that were being run behind it; what was raised as a table is fetched apart.
//! Always: nothing of a script runs while its error is looked at, whatever its metatables say.

use mlua::{Error, Function as LuaFunction, Table, Value};

use crate::interpreter::{Failure, Place};
use crate::told::{Raised, type_name};

/// What stands between a sentence and the places.
const PLACES: &str = "\nstack traceback:\n";

/// What the error says; `raised` returns the table that was raised last.
pub(crate) fn failure_of(error: Error, raised: &LuaFunction) -> Failure {
    let raised = raised.call::<Option<Table>>(()).ok().flatten();
    let mut error = &error;
    let mut places = "";
    while let Error::CallbackError { traceback, cause } = error {
        (error, places) = (cause, traceback);
    }
    let mut failure = match error {
        Error::RuntimeError(told) => {
            let (sentence, behind) = told.rsplit_once(PLACES).unwrap_or((told, ""));
            places = behind;
            match raised.filter(|table| sentence == format!("table: {:p}", table.to_pointer())) {
                Some(table) => of_table(&table),
                None => of_text(sentence.as_bytes()),
            }
        }
        Error::MemoryError(_) => of_text(b"not enough memory"),
        error => match error.downcast_ref::<Raised>() {
            Some(Raised::Sentence(sentence)) => of_text(sentence.as_bytes()),
            Some(Raised::Coded { text, is_counted }) => {
                Failure { text: text.clone(), place: None, is_counted: *is_counted }
            }
            Some(Raised::Value(Value::Table(table))) => of_table(table),
            Some(Raised::Value(value)) => of_text(type_name(value).as_bytes()),
            None => of_text(error.to_string().as_bytes()),
        },
    };
    failure.place = places.lines().find_map(place_in);
    failure
}

fn of_text(sentence: &[u8]) -> Failure {
    Failure { text: [b"ERR ", sentence].concat(), place: None, is_counted: false }
}

fn of_table(table: &Table) -> Failure {
    let field = |name: &str| table.raw_get::<Value>(name).unwrap_or(Value::Nil);
    let text = match field("err") {
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Integer(number) => number.to_string().into_bytes(),
        Value::Number(number) => number.to_string().into_bytes(),
        _ => b"ERR execution failure".to_vec(),
    };
    let is_counted = matches!(field("ignore_error_stats_update"), Value::Boolean(true));
    Failure { text, place: None, is_counted }
}

/// The line of a script's own that one of the places names.
fn place_in(line: &str) -> Option<Place> {
    let (name, behind) = line.trim_start().split_once(':')?;
    let line = behind.split(':').next()?.parse().ok()?;
    matches!(name, "user_script" | "user_function").then(|| Place { source: format!("@{name}"), line })
}
