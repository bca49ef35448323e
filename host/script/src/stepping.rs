//! A script that somebody steps through: an interpreter of its own, used once, for a text with marks in it.
//! Not what is said meanwhile: see `debugger`.
//! Always: what it does to data is what the script would do by itself.

use tenon_resp::Args;

use crate::Host;
use crate::debugger::{Debugger, with_marks};
use crate::interpreter::{Code, Ended, Failure, Interpreter};

/// The last line that a debugger reads.
const END: &[u8] = b"<endsession>";

/// A script that is ready to be stepped through.
pub struct Stepping {
    interpreter: Interpreter,
    code: Code,
    debugger: Debugger,
}

impl Stepping {
    /// Of a script's whole `text` the code begins at `start`; `seed` is where `math.random` begins. An error is a
    /// sentence.
    pub fn new(text: &[u8], start: usize, seed: u64) -> Result<Stepping, String> {
        let interpreter = Interpreter::for_stepping(seed);
        let code = &text[start..];
        interpreter.compile(code)?;
        let marked = with_marks(code).map(|marked| interpreter.compile_marked(&marked));
        let Some(Ok(code)) = marked else {
            return Err("user_script: it has too many variables to be stepped through".to_owned());
        };
        Ok(Stepping { interpreter, code, debugger: Debugger::new(text) })
    }

    /// What runs.
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// Runs it, stopping where its host says.
    pub fn run(&mut self, keys: Args<'_>, arguments: Args<'_>, host: &mut dyn Host) -> Ended {
        let Stepping { interpreter, code, debugger } = self;
        let ended = interpreter.run_marked(code, (keys, arguments), host, debugger);
        match (ended, self.debugger.take_failure()) {
            (Ended::Stopped(place), Some(text)) => {
                Ended::Failed(Failure { text: text.into(), place, is_counted: false })
            }
            (ended, _) => ended,
        }
    }

    /// What is to be told yet, and that it is over.
    pub fn last_lines(&mut self) -> Vec<Vec<u8>> {
        let mut lines = self.debugger.take_said();
        lines.push(END.to_vec());
        lines
    }

    /// The lines of a session that never began.
    pub fn no_lines() -> Vec<Vec<u8>> {
        vec![END.to_vec()]
    }
}
