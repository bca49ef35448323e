//! What a check found: a place, what stands there, and what should.
//! Always: one problem prints as one line that an editor can jump to.

use std::fmt;

/// One finding. `line` counts from 1; 0 means the file as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) found: String,
    pub(crate) expected: String,
    pub(crate) weight: Weight,
}

/// Whether a finding fails the check or is only said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    Error,
    Warning,
}

impl Problem {
    pub(crate) fn error(
        file: &str,
        line: usize,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Problem {
        let (found, expected) = (found.into(), expected.into());
        Problem { file: file.to_owned(), line, found, expected, weight: Weight::Error }
    }

    pub(crate) fn warning(
        file: &str,
        line: usize,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Problem {
        Problem { weight: Weight::Warning, ..Problem::error(file, line, found, expected) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { file, line, found, expected, weight } = self;
        let word = if *weight == Weight::Warning { "warning: " } else { "" };
        if *line == 0 {
            write!(out, "{word}{file}: found {found}; expected {expected}")
        } else {
            write!(out, "{word}{file}:{line}: found {found}; expected {expected}")
        }
    }
}

/// Prints every problem and fails when one of them is an error.
pub(crate) fn report(problems: Vec<Problem>) -> Result<(), String> {
    for problem in &problems {
        println!("{problem}");
    }
    match problems.iter().filter(|problem| problem.weight == Weight::Error).count() {
        0 => Ok(()),
        1 => Err("1 problem".to_owned()),
        many => Err(format!("{many} problems")),
    }
}
